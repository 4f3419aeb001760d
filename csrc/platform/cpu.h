/* What this CPU, with this operating system, can run. */
#ifndef SFR_CPU_H
#define SFR_CPU_H

#include "platform/words.h"

enum {
    SFR_CPU_AESNI = 1 << 0,        /* AES, PCLMULQDQ, SSSE3, SSE4.1 */
    SFR_CPU_VAES256 = 1 << 1,      /* VAES and VPCLMULQDQ, beside SFR_CPU_AVX2 */
    SFR_CPU_VAES512 = 1 << 2,      /* AVX-512 F, BW, DQ, VL as well, and ZMM state saved */
    SFR_CPU_SHANI = 1 << 3,
    SFR_CPU_SLOW_CLMUL = 1 << 4,   /* no feature: a 512-bit VPCLMULQDQ takes two cycles */
    SFR_CPU_AVX2 = 1 << 5,         /* AVX2, BMI2, and YMM state saved: enough for hashes */
    SFR_CPU_ARMV8 = 1 << 6,        /* AES, PMULL, SHA-256 */
    SFR_CPU_ARMV8_SHA3 = 1 << 7    /* SHA-512, and SHA-3's EOR3 */
};

/* The bits above. The names of the features found are written to `features`, for reports. */
uint32_t sfr_cpu_detect(char *features, size_t size);

#endif
