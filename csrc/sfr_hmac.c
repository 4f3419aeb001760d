/* HMAC (RFC 2104) with SHA-256 or SHA-512.
 *
 * A key is kept as the two midstates after its padded block, so a message costs its own blocks
 * and one more. No key here is longer than a block (RFC 2104 would hash it first): secrets are
 * digests, salts are empty or four bytes.
 */
#include "sfr_aes.h"
#include "sfr_sha2.h"

#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

static const sfr_sha256 initial256 = {{
    0x6a09e667,
    0xbb67ae85,
    0x3c6ef372,
    0xa54ff53a,
    0x510e527f,
    0x9b05688c,
    0x1f83d9ab,
    0x5be0cd19,
}};

static const sfr_sha512 initial512 = {{
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
}};

/* More than the frames of all that one entry point calls. */
#define BURNT 2048

__attribute__((noinline)) void sfr_burn_stack(void)
{
    uint8_t below[BURNT];
    sfr_wipe(below, sizeof below);
#ifdef SFR_X86
    sfr_clear_xmm();
#endif
}

size_t sfr_pad(const sfr_hash *hash, uint8_t *buffer, size_t used, uint64_t message_size)
{
    size_t length_field = hash->block / 8;
    size_t blocks = (used + length_field) / hash->block + 1;
    memset(buffer + used, 0, SFR_PADDING);
    buffer[used] = 0x80;
    sfr_store64(buffer + blocks * hash->block - 8, sfr_be64(message_size * 8));
    return blocks;
}

void sfr_digest(const sfr_hash *hash, const sfr_sha_state *state, uint8_t *out)
{
    for (size_t i = 0; i < 8; i++)
        if (hash->size == 32)
            sfr_store32(out + 4 * i, sfr_be32(state->s256.h[i]));
        else
            sfr_store64(out + 8 * i, sfr_be64(state->s512.h[i]));
}

/* ---- keys ---- */

void sfr_hmac_init(sfr_hmac_key *out, int nh, const uint8_t *key, size_t size)
{
    const sfr_hash *hash = sfr_hash_of(nh);
    const void *initial = nh == 32 ? (const void *)&initial256 : &initial512;
    sfr_sha_state states[2];
    uint8_t pads[2][SFR_MAX_BLOCK];
    memset(pads[0], INNER_PAD, hash->block);
    memset(pads[1], OUTER_PAD, hash->block);
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < size; j++) pads[i][j] ^= key[j];
        memcpy(&states[i], initial, hash->size);
    }
    hash->compress((sfr_sha_state *[]){&states[0], &states[1]},
                   (const uint8_t *[]){pads[0], pads[1]}, 1, 2);
    memcpy(out, &states[0], hash->size);
    memcpy((uint8_t *)out + hash->size, &states[1], hash->size);
    sfr_wipe(states, sizeof states);
    sfr_wipe(pads, sizeof pads);
}

/* ---- one message ---- */

typedef struct message {
    const sfr_hash *hash;
    sfr_sha_state state;
    size_t used;   /* bytes waiting in the buffer, less than a block */
    uint64_t size; /* bytes so far, the key's block included */
    uint8_t buffer[SFR_MAX_BLOCK + SFR_PADDING];
} message;

static void compress(message *m, const uint8_t *data, size_t blocks)
{
    m->hash->compress((sfr_sha_state *[]){&m->state}, &data, blocks, 1);
}

static void absorb(message *m, const uint8_t *data, size_t size)
{
    m->size += size;
    while (size) {
        size_t block = m->hash->block, room = block - m->used, part = size < room ? size : room;
        if (room == block && size >= block) {
            part = size & ~(block - 1);
            compress(m, data, part / block);
        } else {
            memcpy(m->buffer + m->used, data, part);
            m->used = (m->used + part) & (block - 1);
            if (part == room) compress(m, m->buffer, 1);
        }
        data += part;
        size -= part;
    }
}

static void finish(message *m, uint8_t *digest)
{
    compress(m, m->buffer, sfr_pad(m->hash, m->buffer, m->used, m->size));
    sfr_digest(m->hash, &m->state, digest);
}

static void start(message *m, const sfr_hash *hash, const void *midstate)
{
    m->hash = hash;
    m->used = 0;
    m->size = hash->block;
    memcpy(&m->state, midstate, hash->size);
}

void sfr_hmac(const sfr_hmac_key *key, int nh, const sfr_span *parts, size_t count, uint8_t *out)
{
    const sfr_hash *hash = sfr_hash_of(nh);
    message m;
    start(&m, hash, sfr_hmac_inner(key));
    for (size_t i = 0; i < count; i++) absorb(&m, parts[i].data, parts[i].size);
    finish(&m, out);
    start(&m, hash, sfr_hmac_outer(key, hash));
    absorb(&m, out, hash->size);
    finish(&m, out);
    sfr_wipe(&m, sizeof m);
}
