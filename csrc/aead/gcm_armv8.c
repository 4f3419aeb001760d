/* AES-GCM on the AES and PMULL instructions of ARMv8; the algorithm is in aead/gcm_rows.h. */
#include "aead/kernels.h"

#ifdef SFR_ARM64
#include "aead/aes.h"

#define KERNEL_TARGET SFR_ARMV8
#include "aead/gcm_armv8_words.h"

#include "aead/gcm_rows.h"

OPS(sfr_gcm128_armv8, SFR_AES128_ROUNDS)
OPS(sfr_gcm256_armv8, SFR_AES256_ROUNDS)
#endif
