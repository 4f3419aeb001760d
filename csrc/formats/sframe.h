/* SFrame (RFC 9605) as a format: the mark is the header of 4.3.
 *
 *     clear | header | ciphertext | tag
 */
#ifndef SFR_SFRAME_H
#define SFR_SFRAME_H

#include "formats/mark.h"

#define SFR_FORMAT_TRAILER 0
#define SFR_FORMAT_MAX SFR_MAX_HEADER
#define SFR_FORMAT_PREDICTED 1

SFR_INLINE size_t sfr_format_size(uint64_t kid, uint64_t ctr)
{
    return 1 + sfr_field_bytes(kid) + sfr_field_bytes(ctr);
}

SFR_INLINE sfr_mark sfr_format_mark(uint64_t kid, uint64_t ctr, uint64_t stream)
{
    sfr_mark mark;
    (void)stream;
    mark.size = sfr_header_words(kid, ctr, mark.words);
    return mark;
}

/* RFC 9605 4.3: headers are alike as long as the CTR field keeps its length. */
SFR_INLINE sfr_stretch sfr_format_stretch(uint64_t kid, uint64_t ctr)
{
    unsigned ctr_bytes = sfr_field_bytes(ctr), size = 1 + sfr_field_bytes(kid) + ctr_bytes;
    sfr_stretch s = {.size = (uint8_t)size, .shift = 64};
    s.last = ctr_bytes ? UINT64_MAX >> (64 - 8 * ctr_bytes) : 7;
    if (!ctr_bytes || size > 8) return s;
    s.shift = (uint8_t)(64 - 8 * size);
    s.head = sfr_be64(sfr_kid_word(kid) | 0x08 | (ctr_bytes - 1)) >> s.shift;
    return s;
}

/* `in` is what follows the clear bytes; `left` are its bytes without the tag, at least one. `end`
 * is where the frame ends. */
SFR_INLINE size_t sfr_format_length(const uint8_t *in, size_t left, const uint8_t *end)
{
    (void)left, (void)end;
    return sfr_header_length(in[0]);
}

SFR_INLINE int sfr_format_read(const uint8_t *in, size_t left, const uint8_t *end, int strict,
                               sfr_mark *mark, uint64_t *kid, uint64_t *ctr)
{
    sfr_header header;
    (void)end;
    if (SFR_UNLIKELY(sfr_header_read(in, left, strict, mark->words, &header)))
        return SFR_MALFORMED;
    *kid = header.kid;
    *ctr = header.ctr;
    mark->size = header.size;
    return SFR_OK;
}

/* RFC 9605 4.4.3: nonce = sframe_salt XOR CTR, so only its last 8 bytes change. */
SFR_INLINE void sfr_format_nonce(sfr_row *row, sfr_key_summary summary, const sfr_mark *mark,
                                 uint64_t ctr)
{
    (void)mark;
    uint64_t tail = summary.salt_tail ^ sfr_be64(ctr);
    row->block[0] = summary.salt_head | tail << 32;
    row->block[1] = tail >> 32;
}

/* RFC 9605 4.4.3: aad = header || metadata; clear bytes count as the head of the metadata.
 * `clear` points to them, in memory that nobody else writes to. */
SFR_INLINE void sfr_format_aad(sfr_row *row, const sfr_mark *mark, const uint8_t *clear,
                               const sfr_frame *f)
{
    sfr_row_aad(row, mark->words, mark->size, clear, f);
}

/* ---- predicted headers ----
 * Most headers of a key are one word in which only the CTR differs from the last one. */

SFR_INLINE sfr_prediction sfr_format_predict(uint64_t kid, uint64_t ctr)
{
    unsigned kid_bytes = sfr_field_bytes(kid), bytes = sfr_field_bytes(ctr);
    sfr_prediction p = {.first_byte = 1};
    if (!bytes || kid_bytes + bytes >= sizeof(uint64_t)) return p;
    p.ctr_mask = UINT64_MAX >> (64 - 8 * bytes);
    p.head = sfr_kid_word(kid) | 0x08 | (bytes - 1);
    p.ctr_at = (uint8_t)(8 + 8 * kid_bytes), p.ctr_bits = (uint8_t)(8 * bytes);
    p.first_byte = bytes == 1 ? 8 : 1;
    p.size = (uint8_t)(1 + kid_bytes + bytes);
    return p;
}

/* Whether the 8 bytes at `in` begin with a predicted header; `bits` gets its CTR in memory
 * order. */
SFR_INLINE bool sfr_format_match(const uint8_t *in, uint64_t head, uint64_t ctr_mask,
                                 unsigned ctr_at, unsigned first_byte, uint64_t *bits)
{
    uint64_t word = sfr_header_load_first(in, sizeof(uint64_t));
    uint64_t unlike = word ^ head, rest = unlike >> ctr_at;
    *bits = rest & ctr_mask;
    return rest << ctr_at == unlike && (uint8_t)*bits >= first_byte;
}

#endif
