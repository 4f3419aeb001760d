/* From a frame to a row, inlined into the sender's files.
 *
 * Most frames are plain: no metadata, no clear bytes, and a mark of one word. `plain` is a constant
 * of each function below, so the plain path contains no code for anything else. */
#ifndef SFR_SEAL_H
#define SFR_SEAL_H

#include "frame/sender.h"
#include SFR_FORMAT

_Static_assert(SFR_FORMAT_MAX <= (SFR_FORMAT_TRAILER ? 24 : SFR_MAX_HEADER),
               "write_mark writes this much");

SFR_INLINE int check_frame(const sfr_sender *s, const sfr_frame *f)
{
    if (SFR_UNLIKELY(f->clear > f->in_size)) return SFR_E_ARGUMENT;
    return SFR_UNLIKELY(f->in_size > s->max_frame) ? SFR_E_TOO_LARGE : SFR_OK;
}

SFR_INLINE uint64_t blocks_of(const sfr_frame *f, size_t mark_size)
{
    uint64_t aad = (uint64_t)mark_size + f->clear + f->metadata_size;
    return (f->in_size - f->clear + 15) / 16 + (aad + 15) / 16 + 1;
}

SFR_INLINE bool is_plain(const sfr_sender *s, const sfr_frame *f)
{
    return SFR_LIKELY(s->head_shift < 64 && !f->clear && !f->metadata_size);
}

SFR_INLINE void assume_plain(const sfr_frame *f)
{
    if (f->clear || f->metadata_size) __builtin_unreachable();
}

/* The mark of a counter in the stretch of `next`. */
SFR_INLINE sfr_mark mark_of(const sfr_sender *s, uint64_t ctr, const bool plain)
{
    if (!plain) return sfr_format_mark(s->kid, ctr, s->stream);
    size_t size = mark_size_of(s);
    if (size > 8) __builtin_unreachable();
    return (sfr_mark){{sfr_be64((s->head | ctr) << s->head_shift), 0, 0}, size};
}

/* With the lock held: runs every check, then takes a counter. `room` is what `out` offers, or
 * SIZE_MAX when there is no `out` yet. */
SFR_INLINE int reserve(sfr_sender *s, sfr_frame *f, size_t room, uint32_t generation, sfr_mark *m,
                       const bool plain)
{
    if (SFR_UNLIKELY(!ready(s, generation))) return sfr_sender_refusal(s);
    *m = mark_of(s, peek_ctr(s), plain);
    size_t size = f->in_size + m->size + s->tag_size;
    uint64_t blocks = blocks_of(f, m->size);
    if (SFR_UNLIKELY(size > room)) return SFR_E_ROOM;
    int rekey_due = 0;
    if (SFR_UNLIKELY(blocks >= s->blocks_left)) {
        int status = sfr_sender_charge(s, blocks, &rekey_due);
        if (status != SFR_OK) return status;
    } else {
        s->blocks_left -= blocks;
    }
    f->rekey_due = rekey_due;
    f->kid = s->kid;
    f->ctr = take_ctr(s);
    f->out_size = size;
    return SFR_OK;
}

SFR_INLINE int check_overlap(sfr_sender *s, const sfr_frame *f)
{
    size_t size = f->in_size + SFR_FORMAT_MAX + s->tag_size;
    if (size > f->out_size) size = f->out_size;
    if (SFR_UNLIKELY(sfr_overlap(f->metadata, f->metadata_size, f->out, size)))
        return SFR_E_OVERLAP;
    if (SFR_LIKELY(!sfr_overlap(f->in, f->in_size, f->out, size))) return SFR_OK;
    return f->in == f->out + SFR_FORMAT_FRONT(mark_size_of(s)) ? SFR_OK : SFR_E_OVERLAP;
}

/* For a frame with `out` set: runs every check, then takes a counter. */
SFR_INLINE int reserve_into(sfr_sender *s, sfr_frame *f, sfr_mark *m, const bool plain)
{
    int status = check_overlap(s, f);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    return reserve(s, f, f->out_size, sfr_process_generation(), m, plain);
}

/* ---- the row ---- */

/* Writes a mark that has no 17 bytes of room, or must not touch bytes behind it. Takes the mark by
 * value: one whose address is taken would live in memory. */
static __attribute__((noinline, unused)) void put_mark(uint8_t *at, sfr_mark m)
{
    memcpy(at, m.words, m.size);
}

SFR_INLINE void write_mark(uint8_t *at, const sfr_frame *f, const sfr_mark *m, bool in_place)
{
    if (!SFR_FORMAT_TRAILER && SFR_LIKELY(f->out_size >= f->clear + SFR_MAX_HEADER && !in_place)) {
        sfr_store64(at, m->words[0]); /* payload and tag overwrite the surplus */
        if (m->size > 8) sfr_store64(at + 8, m->words[1]), at[16] = (uint8_t)m->words[2];
    } else {
        put_mark(at, *m);
    }
}

/* Moves the clear bytes, writes the mark, and describes the rest to a kernel. The move comes first:
 * in place, the clear bytes lie where a header will. */
SFR_INLINE void make_row(sfr_row *row, const sfr_sender *s, const sfr_frame *f, const sfr_mark *m)
{
    uint8_t *start = f->out + f->clear, *payload = start + SFR_FORMAT_FRONT(m->size);
    const uint8_t *in = f->in + f->clear;
    const size_t size = f->in_size - f->clear;
    if (SFR_UNLIKELY(f->clear)) memmove(f->out, f->in, f->clear);
    write_mark(SFR_FORMAT_TRAILER ? payload + size + s->tag_size : start, f, m, in == payload);
    row->key = key_of(s);
    row->ops_id = s->ops_id;
    sfr_format_nonce(row, summary_of(s), m, f->ctr);
    sfr_format_aad(row, m, f->out, f);
    row->in = in;
    row->out = payload;
    row->size = size;
    row->tag.write = payload + size;
}

#endif
