#define SFR_FORMAT "toy/trailer.h"
#define SFR_FORMAT_NAME(function) trailer_##function
#include "frame/receiver.c"
#include "frame/receiver_batch.c"
#include "frame/receiver_columns.c"
#include "frame/commit.c"
