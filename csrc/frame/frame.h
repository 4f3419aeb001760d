/* What sealing and opening share: how a frame lies in memory, and how it becomes a row. */
#ifndef SFR_FRAME_H
#define SFR_FRAME_H

#include "aead/kernels.h"
#include "frame/header.h"
#include "hash/hash.h"
#include "platform/arena.h"
#include "platform/locks.h"
#include "sfr_batch.h"

/* Frames up to this size run with their lock held, for a few microseconds at most: one lock
 * operation instead of three. Longer frames release the lock while they run. */
#define SFR_BRIEF ((size_t)4096)

SFR_INLINE bool sfr_overlap(const void *a, size_t a_size, const void *b, size_t b_size)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_size && y < x + a_size && a_size && b_size;
}

/* Bytes of all rows, or SIZE_MAX if a row lies outside the data. A set top bit stands for a
 * negative number; no difference can wrap unless an earlier one was negative. */
SFR_INLINE size_t sfr_rows_size(const sfr_rows_in *in, size_t count)
{
    uint64_t total = 0, wrong = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t start = (uint64_t)in->offsets[i], size = (uint64_t)(int64_t)in->lengths[i];
        uint64_t behind = in->size - start;
        wrong |= start | size | behind | (behind - size);
        total += size;
    }
    return wrong >> 63 ? SIZE_MAX : total;
}

SFR_INLINE const uint8_t *sfr_row_start(const sfr_rows_in *in, size_t i)
{
    return (const uint8_t *)((uintptr_t)in->data + (uintptr_t)in->offsets[i]);
}

SFR_INLINE sfr_rows_in sfr_rows_from(const sfr_rows_in *in, size_t row)
{
    return (sfr_rows_in){in->data, in->size, in->offsets + row, in->lengths + row};
}

SFR_INLINE sfr_rows_out sfr_rows_to(const sfr_rows_out *to, size_t row)
{
    return (sfr_rows_out){to->offsets + row, to->lengths + row, to->status + row, to->kid + row,
                          to->ctr + row};
}

/* The parts of a key that a row needs before it runs. A sender or receiver keeps a copy in the
 * cache line that every frame touches, so planning never touches the key itself. */
typedef struct sfr_key_summary {
    uint64_t salt_tail;
    uint32_t salt_head;
    uint8_t ops_id;
} sfr_key_summary;

SFR_INLINE sfr_key_summary sfr_key_summary_of(const sfr_key *key)
{
    return (sfr_key_summary){key->salt_tail, key->salt_head, key->ops_id};
}

/* memcpy for so few bytes that a call would cost more than the copy. */
SFR_INLINE void sfr_copy_short(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 16) {
        for (size_t i = 0; i < n - 16; i += 16) memcpy(to + i, from + i, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else {
        for (size_t i = 0; i < n; i++) to[i] = from[i];
    }
}

/* Copies an AAD of up to SFR_GATHERED bytes into one piece, so that a kernel need not handle
 * three. */
SFR_INLINE void sfr_row_gather(sfr_row *row, const uint64_t words[3], size_t header_size,
                               const uint8_t *clear, const sfr_frame *f)
{
    uint8_t *at = (uint8_t *)row->gathered + header_size;
    memcpy(row->gathered, words, 3 * sizeof words[0]);
    sfr_copy_short(at, clear, f->clear);
    sfr_copy_short(at + f->clear, f->metadata, f->metadata_size);
    row->aad[0] = (sfr_span){(const uint8_t *)row->gathered, row->aad_size};
    row->aad[1].size = row->aad[2].size = 0;
    if (row->aad_size <= 16) memcpy(row->aad_head, row->gathered, 16);
}

SFR_INLINE void sfr_row_spans(sfr_row *row, const uint64_t words[3], size_t header_size,
                              const uint8_t *clear, const sfr_frame *f)
{
    memcpy(row->gathered, words, 3 * sizeof words[0]);
    row->aad[0] = (sfr_span){(const uint8_t *)row->gathered, header_size};
    row->aad[1] = (sfr_span){clear, f->clear};
    row->aad[2] = (sfr_span){f->metadata, f->metadata_size};
}

/* aad = head || clear bytes || metadata, where `words` hold the head, `header_size` bytes of it. */
SFR_INLINE void sfr_row_aad(sfr_row *row, const uint64_t words[3], size_t header_size,
                            const uint8_t *clear, const sfr_frame *f)
{
    row->aad_size = header_size + f->clear + f->metadata_size;
    if (SFR_LIKELY(row->aad_size == header_size && header_size <= 16))
        row->aad_head[0] = words[0], row->aad_head[1] = words[1];
    else if (row->aad_size <= SFR_GATHERED)
        sfr_row_gather(row, words, header_size, clear, f);
    else
        sfr_row_spans(row, words, header_size, clear, f);
}

#endif
