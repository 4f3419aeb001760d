/* Included before each file of csrc/ when secrets are tracked: what the comparison of a tag says is
 * public, and nothing else is. sfr_equal is patched (test_p09_constant_time.py); the GCM kernels
 * compare with these two instructions. */
#ifndef VERDICTS_H
#define VERDICTS_H

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
 * Those that do something are volatile, and stay. */
#ifdef CT_MSAN
#define __asm__(...) (void)0
#endif

#endif
