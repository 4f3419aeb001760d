/* AES-CTR of suites 1-3 and 6-8, with one block in a vector. This file holds the loop; the including
 * one holds the vocabulary of an instruction set: BLOCKS, a counter, its start, and next(). */
#ifndef SFR_CTR_BLOCKS_H
#define SFR_CTR_BLOCKS_H

#include "aead/ctr_hmac.h"

/* Handles all that is left, at most n blocks. */
SFR_AES void end(uint8_t *out, const uint8_t *in, size_t left, counter at, const sfr_block *keys,
                 const int rounds, const int n)
{
    sfr_block stream[BLOCKS];
    next(&at, keys, rounds, stream, n);
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
    counter at = start(row);
    sfr_block stream[BLOCKS];
    uint8_t *out = row->out;
    size_t left = row->size;
    for (; left > 16 * BLOCKS; left -= 16 * BLOCKS) {
        next(&at, keys, rounds, stream, BLOCKS);
        for (int j = 0; j < BLOCKS; j++, in += 16, out += 16) sfr_crypt_block(out, in, stream[j]);
    }
    if (left > 16 * BLOCKS / 2)
        end(out, in, left, at, keys, rounds, BLOCKS);
    else if (left)
        end(out, in, left, at, keys, rounds, BLOCKS / 2);
}

#endif
