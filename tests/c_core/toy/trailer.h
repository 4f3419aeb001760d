/* A trailer format that nobody uses, built like LiveKit's: a sender's stream is part of its marks.
 *
 *     clear | ciphertext | tag | counter, 8 bytes | stream, 4 bytes | KID, 1 byte
 *
 * The nonce is sframe_salt XOR (the counter, least significant byte first | the stream as it lies
 * on the wire). The AAD is the clear bytes and the metadata, without the trailer. */
#ifndef TRAILER_H
#define TRAILER_H

#include "formats/mark.h"

#define SFR_FORMAT_TRAILER 1
#define SFR_FORMAT_MAX 13
#define SFR_FORMAT_PREDICTED 0

SFR_INLINE size_t sfr_format_size(uint64_t kid, uint64_t ctr)
{
    (void)kid, (void)ctr;
    return SFR_FORMAT_MAX;
}

SFR_INLINE sfr_mark sfr_format_mark(uint64_t kid, uint64_t ctr, uint64_t stream)
{
    uint64_t name = sfr_be64(stream << 32) | (kid & 0xff) << 32;
    return (sfr_mark){{sfr_be64(ctr), name, 0}, SFR_FORMAT_MAX};
}

SFR_INLINE sfr_stretch sfr_format_stretch(uint64_t kid, uint64_t ctr)
{
    (void)kid, (void)ctr;
    return (sfr_stretch){.last = UINT64_MAX, .size = SFR_FORMAT_MAX, .shift = 64};
}

SFR_INLINE size_t sfr_format_length(const uint8_t *in, size_t left, const uint8_t *end)
{
    (void)in, (void)left, (void)end;
    return SFR_FORMAT_MAX;
}

SFR_INLINE int sfr_format_read(const uint8_t *in, size_t left, const uint8_t *end, int strict,
                               sfr_mark *mark, uint64_t *kid, uint64_t *ctr)
{
    (void)in, (void)strict;
    if (left < SFR_FORMAT_MAX) return SFR_MALFORMED;
    *mark = (sfr_mark){{0}, SFR_FORMAT_MAX};
    memcpy(mark->words, end - SFR_FORMAT_MAX, SFR_FORMAT_MAX);
    SFR_READ_ONCE(mark->words[0]);
    SFR_READ_ONCE(mark->words[1]);
    *ctr = sfr_be64(mark->words[0]);
    *kid = mark->words[1] >> 32;
    return SFR_OK;
}

SFR_INLINE void sfr_format_nonce(sfr_row *row, sfr_key_summary summary, const sfr_mark *mark,
                                 uint64_t ctr)
{
    row->block[0] = (summary.salt_head | summary.salt_tail << 32) ^ ctr;
    row->block[1] = summary.salt_tail >> 32 ^ (uint32_t)mark->words[1];
}

SFR_INLINE void sfr_format_aad(sfr_row *row, const sfr_mark *mark, const uint8_t *clear,
                               const sfr_frame *f)
{
    static const uint64_t nothing[3];
    (void)mark;
    sfr_row_aad(row, nothing, 0, clear, f);
}

#endif
