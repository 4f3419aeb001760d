/* The operating system's randomness. */
#ifndef SFR_RANDOM_H
#define SFR_RANDOM_H

#include "platform/words.h"

int sfr_random(uint8_t *out, size_t size);     /* 0, or -1 if the system has none */

#endif
