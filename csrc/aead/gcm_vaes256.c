/* AES-GCM on VAES and VPCLMULQDQ in 256-bit registers, with AVX2 and BMI2: vectors of two blocks.
 * This file holds the vocabulary; the algorithm is in aead/gcm_rows.h. */
#include "aead/kernels.h"

#ifdef SFR_X86
#include <immintrin.h>

#define BLOCKS 2
#define KERNEL_TARGET __attribute__((target("avx2,bmi2,vaes,vpclmulqdq,aes,sse4.1,ssse3,pclmul")))
#define KERNEL KERNEL_TARGET SFR_INLINE

typedef __m256i vec;

/* clang-format off */
KERNEL vec zero(void) { return _mm256_setzero_si256(); }
KERNEL vec load(const void *p) { return _mm256_loadu_si256(p); }
KERNEL vec load_blocks(const void *p) { return _mm256_loadu_si256(p); } /* from an aligned block on */
KERNEL void store(void *p, vec v) { _mm256_storeu_si256(p, v); }
KERNEL vec xor(vec a, vec b) { return _mm256_xor_si256(a, b); }
KERNEL vec both_of(__m128i b) { return _mm256_broadcastsi128_si256(b); }
KERNEL vec both(const __m128i *p) { return both_of(_mm_load_si128(p)); } /* in every block */
KERNEL vec vector_of(__m128i low, __m128i high) { return _mm256_set_m128i(high, low); }
KERNEL vec in_low(__m128i b) /* and zero above */
{
    return _mm256_blend_epi32(zero(), _mm256_castsi128_si256(b), 0x0f);
}
KERNEL __m128i block_of(vec v, int i)                              /* place i % BLOCKS */
{
    return i % 2 ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v);
}
KERNEL vec with_first(vec v, __m128i b) /* b in place 0 */
{
    return _mm256_blend_epi32(v, _mm256_castsi128_si256(b), 0x0f);
}
KERNEL vec with_second(vec v, __m128i b) { return _mm256_inserti128_si256(v, b, 1); }
KERNEL vec with_end(vec v, __m128i b, int i) /* zero after it */
{
    return i % 2 ? _mm256_inserti128_si256(v, b, 1) : in_low(b);
}
KERNEL __m128i add_blocks(vec v) { return _mm_xor_si128(block_of(v, 0), block_of(v, 1)); }
KERNEL vec reflect(vec v)
{
    return _mm256_shuffle_epi8(
        v, both_of(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

KERNEL vec aes_round(vec v, vec key) { return _mm256_aesenc_epi128(v, key); }
KERNEL vec aes_last(vec v, vec before, vec key) { return (void)before, _mm256_aesenclast_epi128(v, key); }
#define product(a, b, halves) _mm256_clmulepi64_epi128(a, b, halves)
KERNEL vec low_halves(vec a, vec b) { return _mm256_unpacklo_epi64(a, b); }
KERNEL vec high_halves(vec a, vec b) { return _mm256_unpackhi_epi64(a, b); }
KERNEL vec load_folded(const uint64_t *p) { return _mm256_permute4x64_epi64(load(p), 0xd8); }

/* Counters with their last word least significant byte first. */
KERNEL vec add_counter(vec v, int n)
{
    return _mm256_add_epi32(v, _mm256_set_epi32(n, 0, 0, 0, n, 0, 0, 0));
}
KERNEL vec add_counters(vec v, int n) /* n, n + 1 in its places */
{
    return _mm256_add_epi32(v, _mm256_set_epi32(n + 1, 0, 0, 0, n, 0, 0, 0));
}
KERNEL vec swap_counter(vec v)
{
    return _mm256_shuffle_epi8(
        v, both_of(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)));
}
/* clang-format on */

#define clear_registers sfr_clear_ymm

#include "aead/gcm_rows.h"

OPS(sfr_gcm128_vaes256, SFR_AES128_ROUNDS)
OPS(sfr_gcm256_vaes256, SFR_AES256_ROUNDS)
#endif
