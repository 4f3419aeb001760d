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

/* RFC 9605 4.4.3: aad = header || metadata; clear bytes count as the head of the metadata.
 * row->header holds the header's words. */
SFR_INLINE void sfr_row_aad(sfr_row *row, size_t header_size, const uint8_t *clear,
                            size_t clear_size, const uint8_t *metadata, size_t metadata_size)
{
    row->aad[0] = (sfr_span){(const uint8_t *)row->header, header_size};
    row->aad[1] = (sfr_span){clear, clear_size};
    row->aad[2] = (sfr_span){metadata, metadata_size};
    row->aad_size = header_size + clear_size + metadata_size;
    row->aad_head[0] = row->header[0];
    row->aad_head[1] = row->header[1];
    if (SFR_LIKELY(row->aad_size == header_size)) return;
    uint8_t head[16] = {0};
    size_t at = 0;
    for (int i = 0; i < SFR_AAD_SPANS && at < sizeof head; i++) {
        size_t room = sizeof head - at, size = row->aad[i].size < room ? row->aad[i].size : room;
        if (size) memcpy(head + at, row->aad[i].data, size);
        at += size;
    }
    memcpy(row->aad_head, head, sizeof head);
}

#endif
