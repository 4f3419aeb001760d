/* HMAC (RFC 2104) with SHA-256 or SHA-512, of one message or of many side by side.
 *
 * A key is kept as the two midstates after its padded blocks, so a message costs its own blocks and
 * one more. RFC 2104 hashes keys longer than a block first; there are none here, because secrets
 * are digests and salts are empty or four bytes long.
 */
#include "hash/sha2.h"

/* ---- keys ---- */

#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

static const sfr_sha256 initial256 = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                       0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};

static const sfr_sha512 initial512 = {{0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                       0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                       0x1f83d9abfb41bd6b, 0x5be0cd19137e2179}};

/* The midstates are adjacent. The full size of a state is copied, because constant sizes are
 * fast. */
static void load_inner(sfr_sha_state *state, const sfr_hmac_key *key)
{
    memcpy(state, key, sizeof *state);
}

static void load_outer(sfr_sha_state *state, const sfr_hmac_key *key, const sfr_hash *hash)
{
    memcpy(state, (const uint8_t *)key + hash->size, sizeof *state);
}

static sfr_sha_state initial_state(int nh)
{
    return nh == 32 ? (sfr_sha_state){.s256 = initial256} : (sfr_sha_state){.s512 = initial512};
}

void sfr_hmac_init(sfr_hmac_key *out, int nh, const uint8_t *key, size_t size)
{
    sfr_sha_state inner = initial_state(nh), outer = inner;
    uint8_t inner_block[SFR_MAX_BLOCK], outer_block[SFR_MAX_BLOCK];
    memset(inner_block, INNER_PAD, sizeof inner_block);
    memset(outer_block, OUTER_PAD, sizeof outer_block);
    for (size_t i = 0; i < size; i++) {
        inner_block[i] ^= key[i];
        outer_block[i] ^= key[i];
    }
    sfr_hash_of(nh)->compress((sfr_sha_state *[]){&inner, &outer},
                              (const uint8_t *[]){inner_block, outer_block}, 1, 2);
    if (nh == 32)
        out->u.s256.inner = inner.s256, out->u.s256.outer = outer.s256;
    else
        out->u.s512.inner = inner.s512, out->u.s512.outer = outer.s512;
    sfr_wipe(&inner, sizeof inner);
    sfr_wipe(&outer, sizeof outer);
    sfr_wipe(inner_block, sizeof inner_block);
    sfr_wipe(outer_block, sizeof outer_block);
}

/* ---- messages ---- */

/* Writes 0x80, zeros and the message's length in bits after the last `used` bytes of a message.
 * Returns the number of blocks that `buffer` then holds. */
static size_t pad(const sfr_hash *hash, uint8_t *buffer, size_t used, uint64_t message_size)
{
    size_t length_field = hash->block / 8;
    size_t blocks = (used + length_field) / hash->block + 1;
    memset(buffer + used, 0, SFR_PADDING / 2); /* constant sizes as small as this are inlined */
    if (hash->block == SFR_MAX_BLOCK) memset(buffer + used + SFR_PADDING / 2, 0, SFR_PADDING / 2);
    buffer[used] = 0x80;
    sfr_store64(buffer + blocks * hash->block - 8, sfr_be64(message_size * 8));
    return blocks;
}

static void store_digest(const sfr_hash *hash, const sfr_sha_state *state, uint8_t *out)
{
    if (hash->size == 32)
        for (size_t i = 0; i < 8; i++) sfr_store32(out + 4 * i, sfr_be32(state->s256.h[i]));
    else
        for (size_t i = 0; i < 8; i++) sfr_store64(out + 8 * i, sfr_be64(state->s512.h[i]));
}

void sfr_stream_begin(sfr_stream *s, const sfr_hash *hash, const sfr_hmac_key *key, size_t written)
{
    load_inner(&s->state, key);
    s->key = key;
    s->size = hash->block + written;
    s->used = written;
}

void sfr_stream_absorb(sfr_stream *s, const sfr_hash *hash, const uint8_t *data, size_t size)
{
    s->size += size;
    while (size) {
        size_t room = SFR_MAX_BLOCK - s->used, part = size < room ? size : room;
        sfr_copy_secret(s->head + s->used, data, part);
        s->used += part;
        data += part;
        size -= part;
        if (s->used < SFR_MAX_BLOCK) return;
        hash->compress((sfr_sha_state *[]){&s->state}, (const uint8_t *[]){s->head},
                       SFR_MAX_BLOCK / hash->block, 1);
        s->used = 0;
    }
}

static void gather_short(sfr_stream *s, const sfr_hash *hash, const uint8_t *data, size_t size)
{
    if (size) memcpy(s->head + s->used, data, size);
    s->legs[0] = (sfr_leg){s->head, pad(hash, s->head, s->used + size, s->size)};
    s->legs[1].blocks = s->legs[2].blocks = 0;
}

/* A long message is hashed where it lies, except the bytes that complete the block in `head` and
 * the incomplete block at its end. */
static void divide_long(sfr_stream *s, const sfr_hash *hash, const uint8_t *data, size_t size)
{
    size_t block = hash->block, lead = -s->used & (block - 1);
    size_t whole = (size - lead) & ~(block - 1), rest = size - lead - whole;
    memcpy(s->head + s->used, data, lead);
    memcpy(s->tail, data + lead + whole, rest);
    s->legs[0] = (sfr_leg){s->head, (s->used + lead) / block};
    s->legs[1] = (sfr_leg){data + lead, whole / block};
    s->legs[2] = (sfr_leg){s->tail, pad(hash, s->tail, rest, s->size)};
}

const uint8_t *sfr_stream_last(sfr_stream *s, const sfr_hash *hash, const uint8_t *data,
                               size_t size, uint8_t *copy)
{
    s->size += size;
    if (s->used + size + hash->block / 8 < 2 * SFR_MAX_BLOCK) {
        gather_short(s, hash, data, size);
        return s->head + s->used;
    }
    if (copy != data) memcpy(copy, data, size);
    divide_long(s, hash, copy, size);
    return copy;
}

/* ---- side by side ---- */

static sfr_leg *next_leg(sfr_stream *s)
{
    for (int i = 0; i < SFR_LEGS; i++)
        if (s->legs[i].blocks) return &s->legs[i];
    return NULL;
}

/* Advances all streams together by the length of the shortest leg, until no leg is left. */
static void run(sfr_stream *streams, size_t count, const sfr_hash *hash)
{
    sfr_leg *legs[SFR_STREAMS];
    sfr_sha_state *states[SFR_STREAMS];
    const uint8_t *data[SFR_STREAMS];
    for (;;) {
        size_t n = 0, blocks = SIZE_MAX;
        for (size_t i = 0; i < count; i++) {
            if (!(legs[n] = next_leg(&streams[i]))) continue;
            if (legs[n]->blocks < blocks) blocks = legs[n]->blocks;
            data[n] = legs[n]->data;
            states[n++] = &streams[i].state;
        }
        if (!n) return;
        hash->compress(states, data, blocks, n);
        for (size_t i = 0; i < n; i++) {
            legs[i]->data += blocks * hash->block;
            legs[i]->blocks -= blocks;
        }
    }
}

/* The outer hash. Its one block is gathered in `tail`. */
static void begin_outer(sfr_stream *s, const sfr_hash *hash)
{
    store_digest(hash, &s->state, s->tail);
    load_outer(&s->state, s->key, hash);
    s->legs[0] = (sfr_leg){s->tail, pad(hash, s->tail, hash->size, hash->block + hash->size)};
}

void sfr_stream_finish(sfr_stream *streams, size_t count, const sfr_hash *hash)
{
    run(streams, count, hash);
    for (size_t i = 0; i < count; i++) begin_outer(&streams[i], hash);
    run(streams, count, hash);
    for (size_t i = 0; i < count; i++) store_digest(hash, &streams[i].state, streams[i].mac);
}

void sfr_hmac(const sfr_hmac_key *key, int nh, const sfr_span *parts, size_t count, uint8_t *out)
{
    const sfr_hash *hash = sfr_hash_of(nh);
    sfr_stream s;
    sfr_stream_begin(&s, hash, key, 0);
    for (size_t i = 0; i < count; i++) sfr_stream_absorb(&s, hash, parts[i].data, parts[i].size);
    sfr_stream_last(&s, hash, NULL, 0, NULL);
    sfr_stream_finish(&s, 1, hash);
    sfr_copy_secret(out, s.mac, hash->size);
    sfr_wipe(&s, sizeof s);
}
