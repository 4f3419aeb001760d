/* AES-CTR as the rest of suites 1-3 and 6-8 uses it: one function for each width and key size. */
#ifndef SFR_CTR_HMAC_H
#define SFR_CTR_HMAC_H

#include "aead/aes.h"
#include "aead/kernels.h"
#include "hash/hash.h"

#ifdef SFR_X86

typedef struct sfr_ctr_hmac_state {
    __m128i round_keys[SFR_AES256_ROUNDS + 1];
    sfr_hmac_key mac;
} sfr_ctr_hmac_state;

SFR_INLINE const sfr_ctr_hmac_state *sfr_ctr_hmac_state_of(const sfr_row *row)
{
    return (const sfr_ctr_hmac_state *)row->key->state;
}

/* row->out = in XOR key stream, in both directions. `in` is row->out, or does not overlap it. */
typedef void sfr_crypt(const sfr_row *, const uint8_t *in);

sfr_crypt sfr_crypt128_vaes256, sfr_crypt256_vaes256, sfr_crypt128_vaes512, sfr_crypt256_vaes512;

/* RFC 9605 4.5.1: nonce || 00000000 is the first counter block. Block i of the key stream is the
 * encryption of nonce || i, big-endian; here i is kept little-endian in the last word. */
SFR_INLINE SFR_AESNI __m128i sfr_ctr_start(const sfr_row *row)
{
    return _mm_loadu_si128((const __m128i *)row->block);
}

SFR_INLINE SFR_AESNI __m128i sfr_ctr_swap(void)
{
    return _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

SFR_INLINE SFR_AESNI void sfr_crypt_block(uint8_t *out, const uint8_t *in, __m128i stream)
{
    __m128i text = _mm_loadu_si128((const __m128i *)in);
    _mm_storeu_si128((__m128i *)out, _mm_xor_si128(text, stream));
}

/* Handles the last size < 16 bytes without touching a byte beyond them. */
SFR_INLINE SFR_AESNI void sfr_crypt_partial(uint8_t *out, const uint8_t *in, size_t size,
                                            __m128i stream)
{
    uint64_t word = (uint64_t)_mm_cvtsi128_si64(stream);
    if (size & 8) {
        sfr_store64(out, sfr_load64(in) ^ word);
        word = (uint64_t)_mm_extract_epi64(stream, 1);
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
