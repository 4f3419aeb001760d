#define SFR_FORMAT "toy/header.h"
#define SFR_FORMAT_NAME(function) header_##function
#include "frame/receiver.c"
#include "frame/receiver_batch.c"
#include "frame/receiver_columns.c"
#include "frame/commit.c"

size_t header_predictions;
