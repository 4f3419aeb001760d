/* A bare AEAD on the library's own kernels, for floor.pyx: one key, nonce and AAD ready, and none
 * of SFrame. Nobody chooses or learns a key or a nonce: a key is random and lives as long as its
 * Floor, and a nonce is the row's number, which so comes again in every call. It measures, and is
 * no way to protect anything: no part of the library includes this file. */
#ifndef FLOOR_H
#define FLOOR_H

#include "internal.h"

enum { FLOOR_ROWS = SFR_CHUNK, FLOOR_TAG = 16, FLOOR_AAD = 7, FLOOR_KEY = 32 };

static size_t floor_key_size(const sfr_kernel *kernel, int family)
{
    return sizeof(sfr_key) + kernel->ops[family]->state_size;
}

static sfr_key *floor_key(const sfr_kernel *kernel, int family)
{
    uint8_t bytes[FLOOR_KEY];
    sfr_key *key = sfr_arena_alloc(floor_key_size(kernel, family));
    if (!key || sfr_random(bytes, sizeof bytes)) return NULL;
    key->ops = kernel->ops[family];
    key->tag_size = FLOOR_TAG;
    key->ops->key_init(key->state, bytes);
    sfr_wipe(bytes, sizeof bytes);
    return key;
}

SFR_INLINE void floor_row(sfr_row *row, const sfr_key *key, uint64_t number, const uint8_t *in,
                          size_t size, uint8_t *out)
{
    row->key = key;
    row->ops_id = 0;
    row->block[0] = number;
    row->block[1] = 0;
    row->aad_head[0] = 0x0100000034129b;
    row->aad_head[1] = 0;
    row->aad_size = FLOOR_AAD;
    row->in = in, row->out = out, row->size = size;
}

SFR_INLINE void floor_seal_row(sfr_row *row, const sfr_key *key, uint64_t number,
                               const uint8_t *in, size_t size, uint8_t *out)
{
    floor_row(row, key, number, in, size, out);
    row->tag.write = out + size;
}

SFR_INLINE void floor_open_row(sfr_row *row, const sfr_key *key, uint64_t number,
                               const uint8_t *in, size_t size, uint8_t *out)
{
    floor_row(row, key, number, in, size, out);
    row->tag.read = in + size;
}

static inline void floor_run_one(sfr_row *row, bool sealing)
{
    sfr_row *rows[1] = {row};
    (sealing ? row->key->ops->seal : row->key->ops->open)(rows, 1);
}

static inline bool floor_opened(const sfr_row *rows, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) wrong |= rows[i].status;
    return !wrong;
}

#endif
