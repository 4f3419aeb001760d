/* What sealing and opening share: how a frame lies in memory, and how it becomes a row. */
#ifndef SFR_FRAME_H
#define SFR_FRAME_H

#include "sfr_header.h"

/* A frame shorter than this is run while its lock is held (about a microsecond at most): one
 * lock operation instead of three. Longer ones let go of the lock while they run. */
#define SFR_BRIEF ((size_t)4096)

SFR_INLINE bool sfr_overlap(const void *a, size_t a_size, const void *b, size_t b_size)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_size && y < x + a_size && a_size && b_size;
}

/* RFC 9605 4.4.3: nonce = sframe_salt XOR CTR, so only its last 8 bytes change. */
SFR_INLINE void sfr_row_nonce(sfr_row *row, const sfr_key *key, uint64_t ctr)
{
    uint64_t tail = key->salt_tail ^ sfr_be64(ctr);
    row->key = key;
    row->block[0] = key->salt_head | tail << 32;
    row->block[1] = tail >> 32;
}

/* Where the AAD does not fit into its first block the kernel reads it from here. */
SFR_INLINE void sfr_row_spans(sfr_row *row, const uint64_t words[3], size_t header_size,
                              const uint8_t *clear, const sfr_frame *f)
{
    memcpy(row->header, words, sizeof row->header);
    row->aad[0] = (sfr_span){(const uint8_t *)row->header, header_size};
    row->aad[1] = (sfr_span){clear, f->clear};
    row->aad[2] = (sfr_span){f->metadata, f->metadata_size};
}

/* The first 16 bytes of header, clear bytes and metadata; the header is shorter than that. */
SFR_INLINE void sfr_row_head(sfr_row *row, size_t header_size, const uint8_t *clear,
                             const sfr_frame *f)
{
    uint8_t head[16];
    memcpy(head, row->aad_head, sizeof head);
    size_t room = sizeof head - header_size, some = f->clear < room ? f->clear : room;
    if (some) memcpy(head + header_size, clear, some);
    room -= some;
    size_t rest = f->metadata_size < room ? f->metadata_size : room;
    if (rest) memcpy(head + header_size + some, f->metadata, rest);
    memcpy(row->aad_head, head, sizeof head);
}

/* RFC 9605 4.4.3: aad = header || metadata; clear bytes count as the head of the metadata.
 * `clear` is where they lie, which is not for everyone where the frame came from. */
SFR_INLINE void sfr_row_aad(sfr_row *row, const uint64_t words[3], size_t header_size,
                            const uint8_t *clear, const sfr_frame *f)
{
    row->aad_size = header_size + f->clear + f->metadata_size;
    row->aad_head[0] = words[0];
    row->aad_head[1] = words[1];
    if (SFR_LIKELY(row->aad_size == header_size && header_size <= 16)) return;
    if (header_size < 16) sfr_row_head(row, header_size, clear, f);
    if (row->aad_size > 16) sfr_row_spans(row, words, header_size, clear, f);
}

#endif
