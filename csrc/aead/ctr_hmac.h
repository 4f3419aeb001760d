/* AES-CTR as the rest of suites 1-3 and 6-8 uses it: one function for each width and key size. */
#ifndef SFR_CTR_HMAC_H
#define SFR_CTR_HMAC_H

#include "aead/aes.h"
#include "aead/kernels.h"
#include "hash/hash.h"

#if defined(SFR_X86) || defined(SFR_ARM64)

typedef struct sfr_ctr_hmac_state {
    sfr_block round_keys[SFR_AES256_ROUNDS + 1];
    sfr_hmac_key mac;
} sfr_ctr_hmac_state;

SFR_INLINE const sfr_ctr_hmac_state *sfr_ctr_hmac_state_of(const sfr_row *row)
{
    return (const sfr_ctr_hmac_state *)row->key->state;
}

/* row->out = in XOR key stream, in both directions. `in` is row->out, or does not overlap it. */
typedef void sfr_crypt(const sfr_row *, const uint8_t *in);

sfr_crypt sfr_crypt128_aesni, sfr_crypt256_aesni;
sfr_crypt sfr_crypt128_vaes256, sfr_crypt256_vaes256, sfr_crypt128_vaes512, sfr_crypt256_vaes512;
sfr_crypt sfr_crypt128_armv8, sfr_crypt256_armv8;

/* RFC 9605 4.5.1: nonce || 00000000 is the first counter block. Block i of the key stream is the
 * encryption of nonce || i, big-endian; here i is kept little-endian in the last word. */
SFR_AES sfr_block sfr_ctr_start(const sfr_row *row)
{
    return sfr_block_load(row->block);
}

#ifdef SFR_X86
SFR_AES sfr_block sfr_ctr_swap(void)
{
    return _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}
#endif

SFR_AES void sfr_crypt_block(uint8_t *out, const uint8_t *in, sfr_block stream)
{
    sfr_block_store(out, sfr_block_xor(sfr_block_load(in), stream));
}

/* Handles the last size < 16 bytes without touching a byte beyond them. */
SFR_AES void sfr_crypt_partial(uint8_t *out, const uint8_t *in, size_t size, sfr_block stream)
{
    uint64_t word = sfr_block_low(stream);
    if (size & 8) {
        sfr_store64(out, sfr_load64(in) ^ word);
        word = sfr_block_high(stream);
        in += 8, out += 8;
    }
    if (size & 4) {
        sfr_store32(out, sfr_load32(in) ^ (uint32_t)word);
        word >>= 32;
        in += 4, out += 4;
    }
    for (size &= 3; size; size--, word >>= 8) *out++ = (uint8_t)(*in++ ^ word);
}

#endif
#endif
