/* SHA-256 and SHA-512 as HMAC uses them: independent streams, any number at a time.
 *
 * Rule: hashing and HMAC wipe their own variables but leave to the compiler what it spills, and
 *       vector registers as they are. Whoever calls them ends with sfr_burn_stack. */
#ifndef SFR_SHA2_H
#define SFR_SHA2_H

#include "sfr_internal.h"

typedef union sfr_sha_state { sfr_sha256 s256; sfr_sha512 s512; } sfr_sha_state;

/* Takes each of `count` streams `blocks` blocks further: states[i] absorbs what data[i] points to.
 * The states are distinct. */
typedef void sfr_compress(sfr_sha_state *const *states, const uint8_t *const *data, size_t blocks,
                          size_t count);

typedef struct sfr_hash {
    size_t size, block;            /* bytes of a state (and of a digest), bytes of a block */
    sfr_compress *compress;
} sfr_hash;

#define SFR_MAX_BLOCK 128
#define SFR_MAX_DIGEST 64

extern const sfr_hash sfr_hash256_portable, sfr_hash512_portable;

/* The best there is for one stream of this digest size, 32 or 64. */
const sfr_hash *sfr_hash_of(int nh);

extern const uint32_t sfr_sha256_k[64];
extern const uint64_t sfr_sha512_k[80];

/* Sixteen steps with constant numbers, so that what they index stays in registers. */
#define SFR_SIXTEEN(step)                                                                          \
    step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10)       \
    step(11) step(12) step(13) step(14) step(15)

/* Writes 0x80, zeros and the message's length in bits after its last `used` bytes; returns the
 * blocks. There is room for another SFR_PADDING bytes. */
#define SFR_PADDING (SFR_MAX_BLOCK + 17)
size_t sfr_pad(const sfr_hash *, uint8_t *buffer, size_t used, uint64_t message_size);

void sfr_digest(const sfr_hash *, const sfr_sha_state *, uint8_t *out);   /* hash->size bytes */

/* The two midstates of an HMAC key. */
SFR_INLINE const void *sfr_hmac_inner(const sfr_hmac_key *key) { return key; }
SFR_INLINE const void *sfr_hmac_outer(const sfr_hmac_key *key, const sfr_hash *hash)
{
    return (const uint8_t *)key + hash->size;
}

/* Overwrites the stack below its caller and clears the registers xmm0-15. */
void sfr_burn_stack(void);

#endif
