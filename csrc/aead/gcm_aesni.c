/* AES-GCM on AES-NI and PCLMULQDQ, with SSSE3 and SSE4.1: vectors of one block. This file holds the
 * vocabulary; the algorithm is in aead/gcm_rows.h. */
#include "aead/kernels.h"

#ifdef SFR_X86
#include <immintrin.h>

#define BLOCKS 1
#define KERNEL_TARGET __attribute__((target("aes,sse4.1,ssse3,pclmul")))
#define KERNEL KERNEL_TARGET SFR_INLINE

typedef __m128i vec;

/* clang-format off */
KERNEL vec zero(void) { return _mm_setzero_si128(); }
KERNEL vec load(const void *p) { return _mm_loadu_si128(p); }
KERNEL vec load_blocks(const void *p) { return _mm_load_si128(p); } /* from an aligned block on */
KERNEL void store(void *p, vec v) { _mm_storeu_si128(p, v); }
KERNEL vec xor(vec a, vec b) { return _mm_xor_si128(a, b); }
KERNEL vec both(const __m128i *p) { return _mm_load_si128(p); }   /* in every block */
KERNEL vec both_of(__m128i b) { return b; }
KERNEL vec vector_of(__m128i low, __m128i high) { return (void)high, low; }
KERNEL vec in_low(__m128i b) { return b; }                        /* and zero above */
KERNEL __m128i block_of(vec v, int i) { return (void)i, v; }      /* place i % BLOCKS */
KERNEL vec with_first(vec v, __m128i b) { return (void)v, b; }    /* b in place 0 */
KERNEL vec with_second(vec v, __m128i b) { return (void)b, v; }   /* b in place 1 */
KERNEL vec with_end(vec v, __m128i b, int i) { return (void)v, (void)i, b; } /* zero after it */
KERNEL __m128i add_blocks(vec v) { return v; }
KERNEL vec reflect(vec v)
{
    return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

KERNEL vec aes_round(vec v, vec key) { return _mm_aesenc_si128(v, key); }
KERNEL vec aes_last(vec v, vec before, vec key) { return (void)before, _mm_aesenclast_si128(v, key); }
#define product(a, b, halves) _mm_clmulepi64_si128(a, b, halves)
KERNEL vec low_halves(vec a, vec b) { return _mm_unpacklo_epi64(a, b); }
KERNEL vec high_halves(vec a, vec b) { return _mm_unpackhi_epi64(a, b); }
KERNEL vec load_folded(const uint64_t *p) { return load(p); }

/* Counters with their last word least significant byte first. */
KERNEL vec add_counter(vec v, int n) { return _mm_add_epi32(v, _mm_set_epi32(n, 0, 0, 0)); }
KERNEL vec add_counters(vec v, int n) { return add_counter(v, n); }  /* n, n + 1 in its places */
KERNEL vec swap_counter(vec v)
{
    return _mm_shuffle_epi8(v, _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}
/* clang-format on */

#define clear_registers sfr_clear_xmm

#include "aead/gcm_rows.h"

OPS(sfr_gcm128_aesni, SFR_AES128_ROUNDS)
OPS(sfr_gcm256_aesni, SFR_AES256_ROUNDS)
#endif
