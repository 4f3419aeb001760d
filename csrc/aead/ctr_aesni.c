/* AES-CTR of suites 1-3 and 6-8 on AES-NI. */
#include "aead/ctr_hmac.h"

#ifdef SFR_X86

#define BLOCKS 8 /* interleaved; at the end half as many */

typedef __m128i counter;

SFR_AES counter start(const sfr_row *row)
{
    return sfr_ctr_start(row);
}

/* Makes the next n blocks of the key stream; n is a constant. */
SFR_AES void next(counter *at, const __m128i *round_keys, int rounds, __m128i *stream, int n)
{
    const __m128i one = _mm_set_epi32(1, 0, 0, 0), swap = sfr_ctr_swap();
    for (int j = 0; j < n; j++) {
        stream[j] = _mm_xor_si128(_mm_shuffle_epi8(*at, swap), round_keys[0]);
        *at = _mm_add_epi32(*at, one);
    }
    for (int i = 1; i < rounds; i++)
        for (int j = 0; j < n; j++) stream[j] = _mm_aesenc_si128(stream[j], round_keys[i]);
    for (int j = 0; j < n; j++) stream[j] = _mm_aesenclast_si128(stream[j], round_keys[rounds]);
}

#include "aead/ctr_blocks.h"

SFR_AESNI void sfr_crypt128_aesni(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES128_ROUNDS);
}

SFR_AESNI void sfr_crypt256_aesni(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES256_ROUNDS);
}

#endif
