/* AES-CTR of suites 1-3 and 6-8 on the AES instructions of ARMv8. */
#include "aead/ctr_hmac.h"

#ifdef SFR_ARM64

#define BLOCKS 8 /* interleaved; at the end half as many */

/* Makes the next n blocks of the key stream; n is a constant. The counter's words are reversed. */
SFR_AES void next(uint32x4_t *counter, const sfr_block *keys, const int rounds, sfr_block *stream,
                  const int n)
{
    const uint32x4_t one = {0, 0, 0, 1};
    for (int j = 0; j < n; j++) {
        stream[j] = vrev32q_u8(vreinterpretq_u8_u32(*counter));
        *counter = vaddq_u32(*counter, one);
    }
    for (int i = 0; i < rounds - 1; i++)
        for (int j = 0; j < n; j++) stream[j] = sfr_aes_round(stream[j], keys[i]);
    for (int j = 0; j < n; j++)
        stream[j] = sfr_block_xor(vaeseq_u8(stream[j], keys[rounds - 1]), keys[rounds]);
}

/* Handles all that is left, at most n blocks. */
SFR_AES void end(uint8_t *out, const uint8_t *in, size_t left, uint32x4_t counter,
                 const sfr_block *keys, const int rounds, const int n)
{
    sfr_block stream[BLOCKS];
    next(&counter, keys, rounds, stream, n);
    for (int j = 0; j < n; j++, left -= 16) {
        if (left < 16) {
            sfr_crypt_partial(out + 16 * j, in + 16 * j, left, stream[j]);
            return;
        }
        sfr_crypt_block(out + 16 * j, in + 16 * j, stream[j]);
    }
}

SFR_AES void crypt(const sfr_row *row, const uint8_t *in, const int rounds)
{
    const sfr_block *keys = sfr_ctr_hmac_state_of(row)->round_keys;
    uint32x4_t counter = vreinterpretq_u32_u8(vrev32q_u8(sfr_ctr_start(row)));
    sfr_block stream[BLOCKS];
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

SFR_ARMV8 void sfr_crypt128_armv8(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES128_ROUNDS);
}

SFR_ARMV8 void sfr_crypt256_armv8(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES256_ROUNDS);
}

#endif
