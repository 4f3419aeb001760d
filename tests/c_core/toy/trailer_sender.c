#define SFR_FORMAT "toy/trailer.h"
#define SFR_FORMAT_NAME(function) trailer_##function
#include "frame/counters.c"
#include "frame/sender_life.c"
#include "frame/sender.c"
#include "frame/sender_batch.c"
#include "frame/sender_columns.c"
