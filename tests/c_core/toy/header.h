/* A header format that nobody uses, with predicted marks.
 *
 *     clear | KID, 6 bits | counter, 4 or 8 bytes | ciphertext | tag
 *
 * 0x40 of the first byte tells of 8 bytes. The nonce is sframe_salt with the counter, most
 * significant byte first, XORed into its first 8 bytes. The AAD is SFrame's. */
#ifndef HEADER_H
#define HEADER_H

#include "formats/mark.h"

#define SFR_FORMAT_TRAILER 0
#define SFR_FORMAT_MAX 9
#define SFR_FORMAT_PREDICTED 1

extern size_t header_predictions; /* how many marks came as they were predicted */

SFR_INLINE size_t sfr_format_size(uint64_t kid, uint64_t ctr)
{
    (void)kid;
    return ctr >> 32 ? 9 : 5;
}

SFR_INLINE sfr_mark sfr_format_mark(uint64_t kid, uint64_t ctr, uint64_t stream)
{
    (void)stream;
    if (!(ctr >> 32)) return (sfr_mark){{sfr_be64((kid << 32 | ctr) << 24), 0, 0}, 5};
    return (sfr_mark){{sfr_be64(ctr) << 8 | 0x40 | kid, ctr & 0xff, 0}, 9};
}

SFR_INLINE sfr_stretch sfr_format_stretch(uint64_t kid, uint64_t ctr)
{
    if (ctr >> 32) return (sfr_stretch){.last = UINT64_MAX, .size = 9, .shift = 64};
    return (sfr_stretch){.last = UINT32_MAX, .head = kid << 32, .size = 5, .shift = 24};
}

SFR_INLINE size_t sfr_format_length(const uint8_t *in, size_t left, const uint8_t *end)
{
    (void)left, (void)end;
    return in[0] & 0x40 ? 9 : 5;
}

SFR_INLINE int sfr_format_read(const uint8_t *in, size_t left, const uint8_t *end, int strict,
                               sfr_mark *mark, uint64_t *kid, uint64_t *ctr)
{
    (void)strict, (void)end;
    *mark = (sfr_mark){{0}, 0};
    memcpy(mark->words, in, left < SFR_FORMAT_MAX ? left : SFR_FORMAT_MAX);
    SFR_READ_ONCE(mark->words[0]);
    SFR_READ_ONCE(mark->words[1]);
    const uint64_t first = mark->words[0];
    mark->size = first & 0x40 ? 9 : 5;
    if (left < mark->size) return SFR_MALFORMED;
    if (mark->size == 5) mark->words[0] &= UINT64_MAX >> 24, mark->words[1] = 0;
    *kid = first & 0x3f;
    *ctr = mark->size == 5 ? sfr_be64(first) >> 24 & UINT32_MAX
                           : sfr_be64(first >> 8 | mark->words[1] << 56);
    return SFR_OK;
}

SFR_INLINE void sfr_format_nonce(sfr_row *row, sfr_key_summary summary, const sfr_mark *mark,
                                 uint64_t ctr)
{
    (void)mark;
    row->block[0] = (summary.salt_head | summary.salt_tail << 32) ^ sfr_be64(ctr);
    row->block[1] = summary.salt_tail >> 32;
}

SFR_INLINE void sfr_format_aad(sfr_row *row, const sfr_mark *mark, const uint8_t *clear,
                               const sfr_frame *f)
{
    sfr_row_aad(row, mark->words, mark->size, clear, f);
}

SFR_INLINE sfr_prediction sfr_format_predict(uint64_t kid, uint64_t ctr)
{
    if (ctr >> 32) return (sfr_prediction){.ctr_mask = 0};
    return (sfr_prediction){kid, UINT32_MAX, .size = 5, .ctr_at = 8, .ctr_bits = 32};
}

SFR_INLINE bool sfr_format_match(const uint8_t *in, uint64_t head, uint64_t ctr_mask,
                                 unsigned ctr_at, unsigned first_byte, uint64_t *bits)
{
    (void)first_byte;
    uint64_t unlike = sfr_header_load_first(in, sizeof(uint64_t)) ^ head;
    bool like = ctr_mask && !(unlike << (64 - ctr_at));
    *bits = unlike >> ctr_at & ctr_mask;
    header_predictions += like;
    return like;
}

#endif
