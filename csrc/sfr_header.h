/* Headers as words: RFC 9605 4.3 for the hot path. A header is at most 17 bytes, so it is kept
 * in three little-endian words, zero-padded; the same words are the first AAD block. */
#ifndef SFR_HEADER_H
#define SFR_HEADER_H

#include "sfr_internal.h"

__extension__ typedef unsigned __int128 sfr_u128;

/* Bytes a KID or CTR takes after the config byte: none for 0-7, else the least that hold it. */
SFR_INLINE unsigned sfr_field_bytes(uint64_t value)
{
    return value < 8 ? 0 : (71u - (unsigned)__builtin_clzll(value)) / 8;
}

SFR_INLINE uint64_t sfr_to_bytes(uint64_t value, unsigned bytes)
{
    return bytes ? sfr_be64(value) >> (64 - 8 * bytes) : 0;
}

SFR_INLINE size_t sfr_header_words(uint64_t kid, uint64_t ctr, uint64_t words[3])
{
    unsigned kid_bytes = sfr_field_bytes(kid), ctr_bytes = sfr_field_bytes(ctr);
    /* RFC 9605 4.3 MUST: values 0-7 in the config byte, larger ones in as few bytes as they need. */
    unsigned config = (kid_bytes ? 0x80 | (kid_bytes - 1) << 4 : (unsigned)kid << 4) |
                      (ctr_bytes ? 0x08 | (ctr_bytes - 1) : (unsigned)ctr);
    unsigned at = 8 + 8 * kid_bytes;
    if (SFR_LIKELY(kid_bytes + ctr_bytes < 7)) {   /* one word holds it */
        words[0] = config | sfr_to_bytes(kid, kid_bytes) << 8 | sfr_to_bytes(ctr, ctr_bytes) << at;
        words[1] = words[2] = 0;
        return 1 + kid_bytes + ctr_bytes;
    }
    sfr_u128 low = (sfr_u128)config | (sfr_u128)sfr_to_bytes(kid, kid_bytes) << 8 |
                   (sfr_u128)sfr_to_bytes(ctr, ctr_bytes) << at;
    words[0] = (uint64_t)low;
    words[1] = (uint64_t)(low >> 64);
    words[2] = kid_bytes + ctr_bytes == 16 ? ctr & 0xff : 0;
    return 1 + kid_bytes + ctr_bytes;
}

/* Every byte of the header is read once, into words: another thread may be writing to `in`. */
SFR_INLINE void sfr_header_load(const uint8_t *in, size_t size, uint64_t words[3])
{
    if (SFR_LIKELY(size >= SFR_MAX_HEADER)) {
        words[0] = sfr_load64(in);
        words[1] = sfr_load64(in + 8);
        words[2] = in[16];
    } else {
        words[0] = words[1] = words[2] = 0;
        memcpy(words, in, size);
    }
}

/* True when the field could have been written shorter: RFC 9605 4.3 MUST. */
SFR_INLINE bool sfr_not_minimal(uint64_t value, unsigned bytes)
{
    return bytes && sfr_field_bytes(value) != bytes;
}

SFR_INLINE int sfr_header_read(const uint8_t *in, size_t size, int strict, uint64_t words[3],
                               sfr_header *out)
{
    if (SFR_UNLIKELY(size == 0)) return SFR_MALFORMED;
    sfr_header_load(in, size, words);
    unsigned config = (unsigned)words[0] & 0xff;
    unsigned kid_bytes = config & 0x80 ? (config >> 4 & 7) + 1 : 0;
    unsigned ctr_bytes = config & 0x08 ? (config & 7) + 1 : 0;
    unsigned total = 1 + kid_bytes + ctr_bytes;
    if (SFR_UNLIKELY(total > size)) return SFR_MALFORMED;

    sfr_u128 fields = (sfr_u128)words[1] << 64 | words[0];
    uint64_t kid_raw = (uint64_t)(fields >> 8), ctr_raw = (uint64_t)(fields >> (8 + 8 * kid_bytes));
    if (kid_bytes + ctr_bytes == 16) ctr_raw |= words[2] << 56;
    out->kid = kid_bytes ? sfr_be64(kid_raw) >> (64 - 8 * kid_bytes) : config >> 4;
    out->ctr = ctr_bytes ? sfr_be64(ctr_raw) >> (64 - 8 * ctr_bytes) : config & 7;
    out->size = total;
    if (strict && SFR_UNLIKELY(sfr_not_minimal(out->kid, kid_bytes) ||
                               sfr_not_minimal(out->ctr, ctr_bytes)))
        return SFR_MALFORMED;

    /* What follows the header is not part of it. */
    if (total < 8) words[0] &= ((uint64_t)1 << 8 * total) - 1, words[1] = 0;
    else if (total < 16) words[1] &= ((uint64_t)1 << 8 * (total - 8)) - 1;
    if (total < SFR_MAX_HEADER) words[2] = 0;
    return SFR_OK;
}

#endif
