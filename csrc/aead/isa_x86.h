/* What the kernels ask of x86: blocks, carry-less products, AES, and clearing its registers.
 * aead/isa_armv8.h gives the same names for ARM.
 *
 * Blocks are byte-reversed for GHASH, so that a block's first bit, the coefficient of x^0, is the top
 * bit of the register. The carry-less product of two such blocks is the GHASH product divided by x.
 * To make up for that, key set-up multiplies the hash key by x once.
 *
 * All functions are inlined into code of wider instruction sets and take its encoding; the target
 * attribute of that code has to name at least what SFR_AESNI names. */
#ifndef SFR_ISA_X86_H
#define SFR_ISA_X86_H

#include <immintrin.h>

#include "platform/words.h"

#define SFR_AESNI __attribute__((target("aes,sse4.1,ssse3,pclmul")))
#define SFR_AES_TARGET SFR_AESNI
#define SFR_AES SFR_AES_TARGET SFR_INLINE
#define SFR_GHASH __attribute__((target("sse4.1,ssse3,pclmul"))) SFR_INLINE

/* ---- registers ---- */

#define SFR_LOW_REGISTERS                                                                    \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define SFR_HIGH_REGISTERS                                                                    \
    "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"

/* Clear the vector registers, so that none holds a key or a hash on return. Code that has
 * handled secrets calls the one of its register width before it returns. */
SFR_INLINE void sfr_clear_xmm(void)
{
    __asm__ __volatile__("pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\t"
                         "pxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
                         "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\t"
                         "pxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t"
                         "pxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\t"
                         "pxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\t"
                         "pxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\t"
                         "pxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15" ::
                             : SFR_LOW_REGISTERS);
}

SFR_INLINE void sfr_clear_ymm(void)
{
    __asm__ __volatile__("vzeroall" ::: SFR_LOW_REGISTERS);
}

SFR_INLINE __attribute__((target("avx512f"))) void sfr_clear_zmm(void)
{
    __asm__ __volatile__("vpxord %%zmm16, %%zmm16, %%zmm16\n\tvpxord %%zmm17, %%zmm17, %%zmm17\n\t"
                         "vpxord %%zmm18, %%zmm18, %%zmm18\n\tvpxord %%zmm19, %%zmm19, %%zmm19\n\t"
                         "vpxord %%zmm20, %%zmm20, %%zmm20\n\tvpxord %%zmm21, %%zmm21, %%zmm21\n\t"
                         "vpxord %%zmm22, %%zmm22, %%zmm22\n\tvpxord %%zmm23, %%zmm23, %%zmm23\n\t"
                         "vpxord %%zmm24, %%zmm24, %%zmm24\n\tvpxord %%zmm25, %%zmm25, %%zmm25\n\t"
                         "vpxord %%zmm26, %%zmm26, %%zmm26\n\tvpxord %%zmm27, %%zmm27, %%zmm27\n\t"
                         "vpxord %%zmm28, %%zmm28, %%zmm28\n\tvpxord %%zmm29, %%zmm29, %%zmm29\n\t"
                         "vpxord %%zmm30, %%zmm30, %%zmm30\n\tvpxord %%zmm31, %%zmm31, %%zmm31\n\t"
                         "vzeroall" ::
                             : SFR_LOW_REGISTERS, SFR_HIGH_REGISTERS);
}

/* The vector registers that every CPU has. */
#define sfr_clear_registers sfr_clear_xmm

/* ---- blocks ---- */

typedef __m128i sfr_block;

SFR_GHASH sfr_block sfr_block_zero(void) { return _mm_setzero_si128(); }
SFR_GHASH sfr_block sfr_block_load(const void *p) { return _mm_loadu_si128(p); }
SFR_GHASH void sfr_block_store(void *p, sfr_block block) { _mm_storeu_si128(p, block); }
SFR_GHASH sfr_block sfr_block_xor(sfr_block a, sfr_block b) { return _mm_xor_si128(a, b); }
SFR_GHASH sfr_block sfr_block_or(sfr_block a, sfr_block b) { return _mm_or_si128(a, b); }
SFR_GHASH sfr_block sfr_block_pair(uint64_t low, uint64_t high)
{
    return _mm_set_epi64x((long long)high, (long long)low);
}

SFR_GHASH uint64_t sfr_block_low(sfr_block b) { return (uint64_t)_mm_cvtsi128_si64(b); }
SFR_GHASH uint64_t sfr_block_high(sfr_block b) { return (uint64_t)_mm_extract_epi64(b, 1); }
SFR_GHASH sfr_block sfr_block_swapped(sfr_block b) { return _mm_shuffle_epi32(b, 0x4e); }
SFR_GHASH bool sfr_block_is_zero(sfr_block b) { return _mm_testz_si128(b, b); }
SFR_GHASH sfr_block sfr_block_chosen(sfr_block b, const uint8_t *control)
{
    return _mm_shuffle_epi8(b, _mm_loadu_si128((const void *)control));
}

/* b where `mask` has zeros. */
SFR_GHASH sfr_block sfr_block_without(sfr_block b, sfr_block mask)
{
    return _mm_andnot_si128(mask, b);
}

SFR_GHASH sfr_block sfr_block_ones(void) { return _mm_set1_epi8(-1); }

/* ---- the field of GHASH ---- */

SFR_GHASH sfr_block sfr_block_reflect(sfr_block block)
{
    return _mm_shuffle_epi8(block,
                            _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* The product of two halves; the low digit of `halves` is the half of a. */
#define sfr_block_product(a, b, halves) _mm_clmulepi64_si128(a, b, halves)

/* The reflected block of two lengths in bits. */
SFR_GHASH sfr_block sfr_ghash_lengths(uint64_t aad, uint64_t text)
{
    return sfr_block_pair(text, aad);
}

/* A sum of products before its reduction: low + middle x^64 + high x^128. */
typedef struct sfr_ghash_sum {
    sfr_block low, middle, high;
} sfr_ghash_sum;

/* x^127 + x^126 + x^121 + 1: the field's polynomial in reversed bits, below its top term. */
SFR_GHASH sfr_block sfr_ghash_poly(void) { return _mm_set_epi64x((long long)(0xc2ull << 56), 1); }

/* Folds the low half away in two steps of 64 bits. */
SFR_GHASH sfr_block sfr_ghash_reduce(sfr_ghash_sum sum)
{
    const sfr_block poly = sfr_ghash_poly();
    sfr_block fold = _mm_clmulepi64_si128(poly, sum.low, 0x01);
    sfr_block middle =
        _mm_xor_si128(sum.middle, _mm_xor_si128(fold, _mm_shuffle_epi32(sum.low, 0x4e)));
    fold = _mm_clmulepi64_si128(poly, middle, 0x01);
    return _mm_xor_si128(sum.high, _mm_xor_si128(fold, _mm_shuffle_epi32(middle, 0x4e)));
}

/* Turns E(K, 0^128) into the form that products take: reversed, times x. */
SFR_GHASH sfr_block sfr_ghash_key(sfr_block h)
{
    h = sfr_block_reflect(h);
    sfr_block top = _mm_srai_epi32(_mm_shuffle_epi32(h, 0xff), 31);
    sfr_block carry = _mm_slli_si128(_mm_srli_epi64(h, 63), 8);
    h = _mm_or_si128(_mm_slli_epi64(h, 1), carry);
    return _mm_xor_si128(h, _mm_and_si128(top, sfr_ghash_poly()));
}

/* ---- AES ---- */

/* E(K, block). */
SFR_AES sfr_block sfr_aes_block(sfr_block block, const sfr_block *round_keys, const int rounds)
{
    block = _mm_xor_si128(block, round_keys[0]);
    for (int r = 1; r < rounds; r++) block = _mm_aesenc_si128(block, round_keys[r]);
    return _mm_aesenclast_si128(block, round_keys[rounds]);
}

/* w0, w0^w1, w0^w1^w2, w0^w1^w2^w3 of the four words of a round key. */
SFR_AES sfr_block sfr_aes_running_xor(sfr_block key)
{
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    return _mm_xor_si128(key, _mm_slli_si128(key, 8));
}

/* SubWord(RotWord(w3)) ^ rcon in all four words. With equal columns AESENCLAST is SubBytes and an
 * XOR; AESKEYGENASSIST would do the same three times slower. */
SFR_AES sfr_block sfr_aes_rotated_word(sfr_block key, int rcon)
{
    const sfr_block rotate_last = _mm_set1_epi32(0x0c0f0e0d);
    return _mm_aesenclast_si128(_mm_shuffle_epi8(key, rotate_last), _mm_set1_epi32(rcon));
}

SFR_AES sfr_block sfr_aes_last_word(sfr_block key)
{
    return _mm_aesenclast_si128(_mm_shuffle_epi32(key, 0xff), _mm_setzero_si128());
}

#endif
