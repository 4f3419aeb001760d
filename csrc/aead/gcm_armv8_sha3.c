/* The same as gcm_armv8.c, with EOR3, which came with the instructions for SHA-3; the algorithm is in aead/gcm_rows.h. */
#include "aead/kernels.h"

#ifdef SFR_ARM64
#include "aead/aes.h"

#define KERNEL_TARGET SFR_ARMV8_SHA3
#include "aead/gcm_armv8_words.h"

#include "aead/gcm_rows.h"

OPS(sfr_gcm128_armv8_sha3, SFR_AES128_ROUNDS)
OPS(sfr_gcm256_armv8_sha3, SFR_AES256_ROUNDS)
#endif
