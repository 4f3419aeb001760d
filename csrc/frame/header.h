/* Headers as words: RFC 9605 4.3 for the hot path. A header has at most 17 bytes, so three
 * little-endian words hold it, zero-padded. The same words are the first block of the AAD. */
#ifndef SFR_HEADER_H
#define SFR_HEADER_H

#include "platform/words.h"
#include "sfr_keys.h"

__extension__ typedef unsigned __int128 sfr_u128;

/* Bytes that a KID or CTR takes after the config byte: none for 0-7, else as few as hold it. */
SFR_INLINE unsigned sfr_field_bytes(uint64_t value)
{
    return value < 8 ? 0 : (71u - (unsigned)__builtin_clzll(value)) / 8;
}

SFR_INLINE uint64_t sfr_to_bytes(uint64_t value, unsigned bytes)
{
    return bytes ? sfr_be64(value) >> (64 - 8 * bytes) : 0;
}

/* RFC 9605 4.3 MUST: values 0-7 in the config byte, larger ones in as few bytes as they need.
 * Returns the KID's part of a header's first word, if that word holds the whole header. */
SFR_INLINE uint64_t sfr_kid_word(uint64_t kid)
{
    unsigned bytes = sfr_field_bytes(kid);
    return bytes ? 0x80 | (bytes - 1) << 4 | sfr_to_bytes(kid, bytes) << 8 : kid << 4;
}

SFR_INLINE size_t sfr_header_words(uint64_t kid, uint64_t ctr, uint64_t words[3])
{
    unsigned kid_bytes = sfr_field_bytes(kid), ctr_bytes = sfr_field_bytes(ctr);
    unsigned config = (kid_bytes ? 0x80 | (kid_bytes - 1) << 4 : (unsigned)kid << 4) |
                      (ctr_bytes ? 0x08 | (ctr_bytes - 1) : (unsigned)ctr);
    sfr_u128 low = (sfr_u128)config | (sfr_u128)sfr_to_bytes(kid, kid_bytes) << 8 |
                   (sfr_u128)sfr_to_bytes(ctr, ctr_bytes) << (8 + 8 * kid_bytes);
    words[0] = (uint64_t)low;
    words[1] = (uint64_t)(low >> 64);
    words[2] = kid_bytes + ctr_bytes == 16 ? ctr & 0xff : 0;
    return 1 + kid_bytes + ctr_bytes;
}

/* Loads the rest of a header longer than a word. Every byte of a header is read once, because
 * another thread may be writing to `in`. */
SFR_INLINE void sfr_header_load_rest(const uint8_t *in, size_t size, uint64_t words[3])
{
    uint8_t rest[16] = {0};
    memcpy(rest, in + 8, size < SFR_MAX_HEADER ? size - 8 : SFR_MAX_HEADER - 8);
    words[1] = sfr_load64(rest);
    words[2] = sfr_load64(rest + 8);
    SFR_READ_ONCE(words[1]);
    SFR_READ_ONCE(words[2]);
}

SFR_INLINE uint64_t sfr_header_load_first(const uint8_t *in, size_t size)
{
    uint64_t word = 0;
    if (SFR_LIKELY(size >= 8)) word = sfr_load64(in);
    else memcpy(&word, in, size);
    SFR_READ_ONCE(word);
    return word;
}

/* The size of a header, as its config byte says. */
SFR_INLINE size_t sfr_header_length(uint8_t config)
{
    unsigned kid_bytes = config & 0x80 ? (config >> 4 & 7) + 1u : 0;
    return 1u + kid_bytes + (config & 0x08 ? (config & 7) + 1u : 0);
}

/* True when the field could have been written shorter: RFC 9605 4.3 MUST. `raw` starts with the
 * field's most significant byte. */
SFR_INLINE bool sfr_not_minimal(uint64_t raw, unsigned bytes)
{
    return bytes && (raw & 0xff) < (bytes == 1 ? 8 : 1);
}

SFR_INLINE uint64_t sfr_from_bytes(uint64_t raw, unsigned bytes)
{
    return sfr_be64(raw) >> (64 - 8 * bytes);
}

/* RFC 9605 4.4.4: `words` get the header as it came, minimal or not. */
SFR_INLINE int sfr_header_read(const uint8_t *in, size_t size, int strict, uint64_t words[3],
                               sfr_header *out)
{
    if (SFR_UNLIKELY(size == 0)) return SFR_MALFORMED;
    uint64_t word = sfr_header_load_first(in, size), kid_raw = word >> 8, ctr_raw;
    unsigned config = (unsigned)word & 0xff;
    unsigned kid_bytes = config & 0x80 ? (config >> 4 & 7) + 1 : 0;
    unsigned ctr_bytes = config & 0x08 ? (config & 7) + 1 : 0;
    unsigned total = 1 + kid_bytes + ctr_bytes;
    if (SFR_UNLIKELY(total > size)) return SFR_MALFORMED;
    words[0] = word;
    words[1] = words[2] = 0;
    if (SFR_LIKELY(total <= 8)) {
        ctr_raw = word >> (8 * (1 + kid_bytes) & 63);
        words[0] &= ~(uint64_t)0 >> (64 - 8 * total); /* clears what follows the header */
    } else {
        sfr_header_load_rest(in, total, words);
        sfr_u128 fields = (sfr_u128)words[1] << 64 | word;
        kid_raw = (uint64_t)(fields >> 8), ctr_raw = (uint64_t)(fields >> (8 + 8 * kid_bytes));
        if (total == SFR_MAX_HEADER) ctr_raw |= words[2] << 56;
    }
    out->kid = kid_bytes ? sfr_from_bytes(kid_raw, kid_bytes) : config >> 4;
    out->ctr = ctr_bytes ? sfr_from_bytes(ctr_raw, ctr_bytes) : config & 7;
    out->size = total;
    return strict && SFR_UNLIKELY((int)sfr_not_minimal(kid_raw, kid_bytes) |
                                  (int)sfr_not_minimal(ctr_raw, ctr_bytes)) ? SFR_MALFORMED : SFR_OK;
}

#endif
