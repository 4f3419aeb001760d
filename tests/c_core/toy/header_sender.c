#define SFR_FORMAT "toy/header.h"
#define SFR_FORMAT_NAME(function) header_##function
#include "frame/counters.c"
#include "frame/sender_life.c"
#include "frame/sender.c"
#include "frame/sender_batch.c"
#include "frame/sender_columns.c"
