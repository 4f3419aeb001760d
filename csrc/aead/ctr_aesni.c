/* AES-CTR of suites 1-3 and 6-8 on AES-NI. */
#include "aead/ctr_hmac.h"

#ifdef SFR_X86

#define BLOCKS 8 /* interleaved; at the end half as many */

/* Makes the next n blocks of the key stream; n is a constant. */
SFR_INLINE SFR_AESNI void next(__m128i *counter, const __m128i *round_keys, int rounds,
                               __m128i *stream, int n)
{
    const __m128i one = _mm_set_epi32(1, 0, 0, 0), swap = sfr_ctr_swap();
    for (int j = 0; j < n; j++) {
        stream[j] = _mm_xor_si128(_mm_shuffle_epi8(*counter, swap), round_keys[0]);
        *counter = _mm_add_epi32(*counter, one);
    }
    for (int i = 1; i < rounds; i++)
        for (int j = 0; j < n; j++) stream[j] = _mm_aesenc_si128(stream[j], round_keys[i]);
    for (int j = 0; j < n; j++) stream[j] = _mm_aesenclast_si128(stream[j], round_keys[rounds]);
}

/* Handles all that is left, at most n blocks. */
SFR_INLINE SFR_AESNI void end(uint8_t *out, const uint8_t *in, size_t left, __m128i counter,
                              const __m128i *round_keys, int rounds, int n)
{
    __m128i stream[BLOCKS];
    next(&counter, round_keys, rounds, stream, n);
    for (int j = 0; j < n; j++, left -= 16) {
        if (left < 16) {
            sfr_crypt_partial(out + 16 * j, in + 16 * j, left, stream[j]);
            return;
        }
        sfr_crypt_block(out + 16 * j, in + 16 * j, stream[j]);
    }
}

SFR_INLINE SFR_AESNI void crypt(const sfr_row *row, const uint8_t *in, int rounds)
{
    const __m128i *keys = sfr_ctr_hmac_state_of(row)->round_keys;
    __m128i stream[BLOCKS], counter = sfr_ctr_start(row);
    uint8_t *out = row->out;
    size_t left = row->size;
    for (; left > 16 * BLOCKS; left -= 16 * BLOCKS) {
        next(&counter, keys, rounds, stream, BLOCKS);
        for (int j = 0; j < BLOCKS; j++, in += 16, out += 16) sfr_crypt_block(out, in, stream[j]);
    }
    if (left > 16 * BLOCKS / 2)
        end(out, in, left, counter, keys, rounds, BLOCKS);
    else if (left)
        end(out, in, left, counter, keys, rounds, BLOCKS / 2);
}

SFR_AESNI void sfr_crypt128_aesni(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES128_ROUNDS);
}

SFR_AESNI void sfr_crypt256_aesni(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES256_ROUNDS);
}

#endif
