/* Included before each file of csrc/ when secrets are tracked: what the comparison of a tag says is
 * public, and nothing else is. sfr_equal is patched (test_p09_secrets_followed.py); the GCM kernels
 * compare with these two instructions. */
#ifndef VERDICTS_H
#define VERDICTS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <immintrin.h>
#include <stddef.h>

void ct_public(const void *, size_t);

static inline __attribute__((target("sse4.1"))) int ct_testz(__m128i a, __m128i b)
{
    ct_public(&a, sizeof a);
    ct_public(&b, sizeof b);
    return _mm_testz_si128(a, b);
}

static inline __attribute__((target("avx512f"))) __mmask8 ct_cmpneq(__m512i a, __m512i b)
{
    __mmask8 differing = _mm512_cmpneq_epi64_mask(a, b);
    ct_public(&differing, sizeof differing);
    return differing;
}

#undef _mm_testz_si128
#undef _mm512_cmpneq_epi64_mask
#define _mm_testz_si128 ct_testz
#define _mm512_cmpneq_epi64_mask ct_cmpneq

/* Empty statements that pin a value to a register; to MemorySanitizer they would be a use of it.
 * (The system's headers, which have such words in other places, come first.) Those that do something are volatile, and stay. */
#ifdef CT_MSAN
#define crypt crypt_of_libc /* a name that the library has for something else */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#undef crypt
#define __asm__(...) (void)0

/* This instruction alone is unknown to it, and taken for a use: the same from AND, OR and NOT. */
static inline __attribute__((target("avx512f"))) __m512i ct_term(__m512i x, int one)
{
    return one ? x : _mm512_xor_si512(x, _mm512_set1_epi32(-1));
}

static inline __attribute__((target("avx512f"))) __m512i ct_ternary(__m512i a, __m512i b, __m512i c,
                                                                    int table)
{
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < 8; i++) {
        __m512i ab = _mm512_and_si512(ct_term(a, i & 4), ct_term(b, i & 2));
        if (table >> i & 1) sum = _mm512_or_si512(sum, _mm512_and_si512(ab, ct_term(c, i & 1)));
    }
    return sum;
}

#undef _mm512_ternarylogic_epi64
#undef _mm512_ternarylogic_epi32
#define _mm512_ternarylogic_epi64 ct_ternary
#define _mm512_ternarylogic_epi32 ct_ternary
#endif

#endif
