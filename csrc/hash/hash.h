/* HMAC and the key schedule, as the rest of the library uses them. */
#ifndef SFR_HASH_H
#define SFR_HASH_H

#include "aead/row.h"
#include "platform/secrets.h"

typedef struct sfr_sha256 { uint32_t h[8]; } sfr_sha256;      /* midstate only */
typedef struct sfr_sha512 { uint64_t h[8]; } sfr_sha512;

void sfr_sha256_blocks(sfr_sha256 *, const uint8_t *data, size_t blocks);   /* 64 bytes each */
void sfr_sha512_blocks(sfr_sha512 *, const uint8_t *data, size_t blocks);   /* 128 bytes each */

/* An HMAC key, kept as the two midstates after its padded blocks. */
typedef struct sfr_hmac_key {
    union {
        struct { sfr_sha256 inner, outer; } s256;
        struct { sfr_sha512 inner, outer; } s512;
    } u;
} sfr_hmac_key;

void sfr_hmac_init(sfr_hmac_key *, int nh, const uint8_t *key, size_t size);   /* nh: 32 or 64 */
void sfr_hmac(const sfr_hmac_key *, int nh, const sfr_span *parts, size_t count, uint8_t *out);

#define SFR_MAX_NK 96
#define SFR_NN 12

struct sfr_secret {
    const sfr_suite *suite;
    sfr_hmac_key prk;              /* HMAC keyed with sframe_secret: all that Expand needs */
};

/* RFC 9605 4.4.2: sframe_key (suite->nk bytes) and sframe_salt for one KID. */
void sfr_derive(const sfr_secret *, uint64_t kid, uint8_t sframe_key[SFR_MAX_NK],
                uint8_t sframe_salt[SFR_NN]);

/* The whole key of one KID on one kernel, in memory of the arena; its owner lies right in front of
 * it, so both are found at once. The fingerprint names (sframe_key, sframe_salt) under a secret of
 * this process: equal keys have equal fingerprints. False without memory or randomness for that
 * secret. */
size_t sfr_key_size(const sfr_suite *, const sfr_kernel *);
bool sfr_key_init(sfr_key *, const sfr_secret *, const sfr_kernel *, uint64_t kid,
                  uint8_t fingerprint[16]);

#endif
