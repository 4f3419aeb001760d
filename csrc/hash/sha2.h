/* SHA-256 and SHA-512 as HMAC uses them: any number of independent streams at a time.
 *
 * Rule: hashing and HMAC wipe their own variables, but neither what the compiler spills nor vector
 *       registers. Callers end with sfr_burn_stack. */
#ifndef SFR_SHA2_H
#define SFR_SHA2_H

#include "aead/kernels.h"
#include "hash/hash.h"

typedef union sfr_sha_state { sfr_sha256 s256; sfr_sha512 s512; } sfr_sha_state;

/* Advances `count` streams by `blocks` blocks each: states[i] absorbs the blocks at data[i]. The
 * states are distinct. */
typedef void sfr_compress(sfr_sha_state *const *states, const uint8_t *const *data, size_t blocks,
                          size_t count);

typedef struct sfr_hash {
    size_t size, block;            /* bytes of a state (and of a digest), bytes of a block */
    sfr_compress *compress;
    size_t shallow;                /* so many streams, or fewer, need little stack */
} sfr_hash;

#define SFR_MAX_BLOCK 128
#define SFR_MAX_DIGEST 64

extern const sfr_hash sfr_hash256_portable, sfr_hash512_portable;
#ifdef SFR_X86
extern const sfr_hash sfr_hash256_ssse3, sfr_hash256_ni, sfr_hash256_avx512;
extern const sfr_hash sfr_hash512_ssse3, sfr_hash512_bmi2, sfr_hash512_avx2, sfr_hash512_avx512;
#elif defined(SFR_ARM64)
extern const sfr_hash sfr_hash256_armv8, sfr_hash512_armv8;
#endif

/* The best hash with digests of nh bytes, 32 or 64, for one stream. */
const sfr_hash *sfr_hash_of(int nh);

extern const uint32_t sfr_sha256_k[64];
extern const uint64_t sfr_sha512_k[80];

/* Sixteen steps with constant indices, so that what they index stays in registers. */
#define SFR_SIXTEEN(step)                                                                          \
    step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10)       \
    step(11) step(12) step(13) step(14) step(15)

/* ---- HMAC over many messages at once ---- */

/* Adjacent blocks in memory. */
typedef struct sfr_leg {
    const uint8_t *data;
    size_t blocks;
} sfr_leg;

/* One message in progress: begin, absorb any number of pieces, then the last piece; finish
 * completes many messages together. `head` gathers the pieces, SFR_MAX_BLOCK bytes at a time. */
#define SFR_PADDING (SFR_MAX_BLOCK + 16)
#define SFR_LEGS 3

typedef struct sfr_stream {
    sfr_sha_state state;
    uint8_t mac[SFR_MAX_DIGEST];
    uint8_t head[2 * SFR_MAX_BLOCK + SFR_PADDING];
    uint8_t tail[SFR_MAX_BLOCK + SFR_PADDING];
    const sfr_hmac_key *key;
    uint64_t size;                 /* bytes so far, including the key's block */
    size_t used;                   /* of head */
    sfr_leg legs[SFR_LEGS];        /* what is left to hash, in this order */
} sfr_stream;

/* `written` bytes of the message, fewer than SFR_MAX_BLOCK, are in `head` already. */
void sfr_stream_begin(sfr_stream *, const sfr_hash *, const sfr_hmac_key *, size_t written);
void sfr_stream_absorb(sfr_stream *, const sfr_hash *, const uint8_t *data, size_t size);
/* Data too long for `head` are copied to `copy`, unless that is `data`; finish hashes them there.
 * Returns where the bytes lie that the MAC covers: another thread may change `data` meanwhile. */
const uint8_t *sfr_stream_last(sfr_stream *, const sfr_hash *, const uint8_t *data, size_t size,
                               uint8_t *copy);
/* Leaves each MAC, hash->size bytes, in `mac`. */
#define SFR_STREAMS 16             /* the largest count */
void sfr_stream_finish(sfr_stream *, size_t count, const sfr_hash *);

#endif
