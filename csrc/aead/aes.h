/* AES key expansion and the few words that the x86 kernels share.
 *
 * Round keys are 16-byte blocks in memory order: 11 of them for AES-128, 15 for AES-256. A wider
 * kernel inlines these functions, so its own target must name at least what SFR_AESNI names.
 */
#ifndef SFR_AES_H
#define SFR_AES_H

#include "aead/row.h"

#ifdef SFR_X86
#include <immintrin.h>

#define SFR_AESNI __attribute__((target("aes,sse4.1,ssse3,pclmul")))

#define SFR_AES128_ROUNDS 10
#define SFR_AES256_ROUNDS 14

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

/* w0, w0^w1, w0^w1^w2, w0^w1^w2^w3 of the four words of a round key. */
SFR_INLINE SFR_AESNI __m128i sfr_aes_running_xor(__m128i key)
{
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    return _mm_xor_si128(key, _mm_slli_si128(key, 8));
}

/* SubWord(RotWord(w3)) ^ rcon in all four words. With equal columns AESENCLAST is SubBytes and an
 * XOR; AESKEYGENASSIST would do the same three times slower. */
SFR_INLINE SFR_AESNI __m128i sfr_aes_rotated_word(__m128i key, int rcon)
{
    const __m128i rotate_last = _mm_set1_epi32(0x0c0f0e0d);
    return _mm_aesenclast_si128(_mm_shuffle_epi8(key, rotate_last), _mm_set1_epi32(rcon));
}

SFR_INLINE SFR_AESNI __m128i sfr_aes_last_word(__m128i key)
{
    return _mm_aesenclast_si128(_mm_shuffle_epi32(key, 0xff), _mm_setzero_si128());
}

SFR_INLINE SFR_AESNI void sfr_aes128_expand(__m128i round_keys[SFR_AES128_ROUNDS + 1],
                                            const uint8_t key[16])
{
    static const uint8_t rcon[SFR_AES128_ROUNDS] = {1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36};
    __m128i k = _mm_loadu_si128((const __m128i *)key);
    round_keys[0] = k;
    for (int i = 0; i < SFR_AES128_ROUNDS; i++) {
        k = _mm_xor_si128(sfr_aes_running_xor(k), sfr_aes_rotated_word(k, rcon[i]));
        round_keys[i + 1] = k;
    }
}

SFR_INLINE SFR_AESNI void sfr_aes256_expand(__m128i round_keys[SFR_AES256_ROUNDS + 1],
                                            const uint8_t key[32])
{
    __m128i even = _mm_loadu_si128((const __m128i *)key);
    __m128i odd = _mm_loadu_si128((const __m128i *)key + 1);
    round_keys[0] = even;
    round_keys[1] = odd;
    for (int i = 2, rcon = 1; i < SFR_AES256_ROUNDS; i += 2, rcon <<= 1) {
        even = _mm_xor_si128(sfr_aes_running_xor(even), sfr_aes_rotated_word(odd, rcon));
        odd = _mm_xor_si128(sfr_aes_running_xor(odd), sfr_aes_last_word(even));
        round_keys[i] = even;
        round_keys[i + 1] = odd;
    }
    round_keys[14] = _mm_xor_si128(sfr_aes_running_xor(even), sfr_aes_rotated_word(odd, 64));
}

#endif
#endif
