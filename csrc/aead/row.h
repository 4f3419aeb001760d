/* The row and the key: all that a kernel knows.
 *
 * A row is one frame as a kernel sees it. Kernels know nothing of headers, counters or windows. */
#ifndef SFR_ROW_H
#define SFR_ROW_H

#include "platform/words.h"
#include "sfr_keys.h"

/* ---- suites in the kernels' words ---- */

/* Rows are bucketed by family, which fixes the number of AES rounds and the MAC. */
typedef enum sfr_family {
    SFR_GCM_128, SFR_GCM_256, SFR_CTR_HMAC_128, SFR_CTR_HMAC_256, SFR_FAMILIES
} sfr_family;

sfr_family sfr_suite_family(const sfr_suite *);

/* ---- the key: immutable once made, so a run needs no lock ---- */

struct sfr_ops;

typedef struct sfr_key {
    const struct sfr_ops *ops;
    uint32_t salt_head;            /* sframe_salt[0..4), memory order */
    uint64_t salt_tail;            /* sframe_salt[4..12), memory order */
    uint8_t tag_size;
    uint8_t ops_id;                /* names `ops`: rows with equal ids run together */
    _Alignas(64) uint8_t state[];  /* ops->state_size bytes, laid out by the kernel */
} sfr_key;

/* ---- the row ----
 * SFrame is one producer of rows; another format brings its own nonce and AAD. */

#define SFR_AAD_SPANS 3
#define SFR_GATHERED 64

typedef struct sfr_row {
    const sfr_key *key;
    /* nonce || 00000000, two words in memory order: kept as words so that a kernel's 8-byte
     * loads forward from the stores that made them. GCM's J0 is this with block number 1. */
    uint64_t block[2];
    /* The AAD, zero-padded, in the same form, if aad_size <= 16; else scratch space of the
     * kernel. */
    uint64_t aad_head[2];
    size_t aad_size;
    const uint8_t *in;
    uint8_t *out;                  /* == in, or disjoint from it */
    size_t size;                   /* of in and of out, without tag */
    union {
        uint8_t *write;            /* seal: key->tag_size bytes go here */
        const uint8_t *read;       /* open: key->tag_size bytes are here */
    } tag;
    int status;                    /* open: SFR_OK or SFR_AUTH_FAILED (then out is all zeros) */
    uint8_t ops_id;                /* copy of key->ops_id: bucketing never touches the key */
    /* Used only if aad_size > 16: header, clear bytes and metadata, or all three in the first. */
    sfr_span aad[SFR_AAD_SPANS];
    uint64_t gathered[SFR_GATHERED / 8];   /* the producer's copy, to which aad[0] points */
} sfr_row;

/* One family on one kernel. All rows of a call are of this family and kernel; keys, lengths and
 * AADs may differ from row to row, and rows of one size class are adjacent. Neither function
 * touches a byte outside the row's buffers. Each byte of `in` and of the tag is read once (GCM), or
 * copied to `out` first (HMAC, unless in place). No secret remains on the stack or in vector
 * registers. */
typedef struct sfr_ops {
    size_t state_size;             /* bytes of sfr_key.state */
    size_t hot_offset, hot_size;   /* the part that a frame of up to 224 bytes reads */
    void (*key_init)(void *state, const uint8_t *sframe_key);
    void (*seal)(sfr_row *const *rows, size_t count);
    void (*open)(sfr_row *const *rows, size_t count);
} sfr_ops;

/* Prefetches the part of a key that a frame of `size` bytes reads, into the second cache: the keys of
 * a chunk would push each other out of the first. `like` is the ops of another key of the batch, so
 * that this key need not be touched; a wrong guess costs time only. */
SFR_INLINE void sfr_key_fetch(const sfr_key *key, const sfr_ops *like, size_t size)
{
    size_t end = like->hot_offset + like->hot_size;
    size_t at = (like->hot_offset + (size < 224 ? 224 - size : 0)) & ~(size_t)63;
    for (; at < end; at += 64) __builtin_prefetch(key->state + at, 0, 2);
}

/* ---- size classes ----
 * Frames of one class take the same number of 64-byte vectors, J0's block included: 40 bytes are
 * class 1, 160 bytes class 3. All frames above class 20 (1264 bytes) form one: SFR_CLASS_LONG. */
#define SFR_CLASS_LONG 21
#define SFR_CLASSES 22
SFR_INLINE size_t sfr_vectors(size_t size) { return (size + 16 + 63) / 64; }
SFR_INLINE unsigned sfr_size_class(size_t size)
{
    size_t vectors = sfr_vectors(size);
    return vectors < SFR_CLASS_LONG ? (unsigned)vectors : SFR_CLASS_LONG;
}

/* Moves the rows that share the first row's label to `taken` and closes the gaps they leave.
 * Returns their number. */
SFR_INLINE size_t sfr_take_like(sfr_row **rows, size_t count, sfr_row **taken,
                                size_t (*label)(const sfr_row *))
{
    const size_t first = label(rows[0]);
    size_t taking = 0, left = 0;
    for (size_t i = 0; i < count; i++) {
        sfr_row *row = rows[i];
        if (label(row) == first)
            taken[taking++] = row;
        else
            rows[left++] = row;
    }
    return taking;
}

/* The most rows that run at once. */
#define SFR_CHUNK 64

#endif
