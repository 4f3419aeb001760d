/* AES-CTR of suites 1-3 and 6-8 on the AES instructions of ARMv8. */
#include "aead/ctr_hmac.h"

#ifdef SFR_ARM64

#define BLOCKS 8 /* interleaved; at the end half as many */

typedef uint32x4_t counter; /* its words are reversed */

SFR_AES counter start(const sfr_row *row)
{
    return vreinterpretq_u32_u8(vrev32q_u8(sfr_ctr_start(row)));
}

/* Makes the next n blocks of the key stream; n is a constant. */
SFR_AES void next(counter *at, const sfr_block *keys, const int rounds, sfr_block *stream,
                  const int n)
{
    const uint32x4_t one = {0, 0, 0, 1};
    for (int j = 0; j < n; j++) {
        stream[j] = vrev32q_u8(vreinterpretq_u8_u32(*at));
        *at = vaddq_u32(*at, one);
    }
    for (int i = 0; i < rounds - 1; i++)
        for (int j = 0; j < n; j++) stream[j] = sfr_aes_round(stream[j], keys[i]);
    for (int j = 0; j < n; j++)
        stream[j] = sfr_block_xor(vaeseq_u8(stream[j], keys[rounds - 1]), keys[rounds]);
}

#include "aead/ctr_blocks.h"

SFR_ARMV8 void sfr_crypt128_armv8(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES128_ROUNDS);
}

SFR_ARMV8 void sfr_crypt256_armv8(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES256_ROUNDS);
}

#endif
