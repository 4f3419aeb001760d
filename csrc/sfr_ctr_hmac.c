/* AES-CTR with HMAC (RFC 9605 4.5.1): suites 1-3 with SHA-256, 6-8 with SHA-512.
 *
 * Rule 1: encrypt, then MAC. A tag is verified, in constant time, before anything is decrypted.
 * Rule 2: the MAC reads the bytes that will be decrypted: out of place, ciphertext is copied to
 *         `out` first and `in` is not read again.
 * Rule 3: nothing secret stays on the stack or in vector registers.
 */
#include "sfr_aes.h"
#include "sfr_sha2.h"

#ifdef SFR_X86

typedef struct state {
    __m128i round_keys[SFR_AES256_ROUNDS + 1];
    sfr_hmac_key mac;
} state;

SFR_INLINE const state *state_of(const sfr_row *row)
{
    return (const state *)row->key->state;
}

/* ---- AES-CTR ---- */

#define LANES 8

SFR_INLINE SFR_AESNI __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

SFR_INLINE SFR_AESNI void store(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}

/* Block `number` of the key stream's input: nonce || number, big-endian. */
SFR_INLINE SFR_AESNI __m128i counter_block(__m128i nonce, uint32_t number)
{
    return _mm_insert_epi32(nonce, (int)sfr_be32(number), 3);
}

/* Blocks first .. first + n - 1 of the key stream; n is a constant. */
SFR_INLINE SFR_AESNI void key_stream(const __m128i *round_keys, int rounds, __m128i nonce,
                                     uint32_t first, __m128i *stream, int n)
{
    for (int j = 0; j < n; j++)
        stream[j] = _mm_xor_si128(counter_block(nonce, first + (uint32_t)j), round_keys[0]);
    for (int i = 1; i < rounds; i++)
        for (int j = 0; j < n; j++) stream[j] = _mm_aesenc_si128(stream[j], round_keys[i]);
    for (int j = 0; j < n; j++) stream[j] = _mm_aesenclast_si128(stream[j], round_keys[rounds]);
}

/* The last size < 16 bytes, without touching a byte beyond them. */
SFR_INLINE SFR_AESNI void xor_partial(uint8_t *out, const uint8_t *in, size_t size, __m128i stream)
{
    uint64_t word = (uint64_t)_mm_cvtsi128_si64(stream);
    if (size & 8) {
        sfr_store64(out, sfr_load64(in) ^ word);
        word = (uint64_t)_mm_extract_epi64(stream, 1);
        in += 8, out += 8;
    }
    if (size & 4) {
        sfr_store32(out, sfr_load32(in) ^ (uint32_t)word);
        word >>= 32;
        in += 4, out += 4;
    }
    for (size &= 3; size; size--, word >>= 8) *out++ = (uint8_t)(*in++ ^ word);
}

/* The last blocks of a frame, fewer than n and a whole one. */
SFR_INLINE SFR_AESNI void crypt_tail(uint8_t *out, const uint8_t *in, size_t size,
                                     const __m128i *stream)
{
    for (; size >= 16; size -= 16, in += 16, out += 16)
        store(out, _mm_xor_si128(load(in), *stream++));
    if (size) xor_partial(out, in, size, *stream);
}

/* out = in XOR key stream, which is both ways. in and out are the same or disjoint. */
SFR_INLINE SFR_AESNI void crypt(const sfr_row *row, const uint8_t *in, int rounds)
{
    const __m128i *round_keys = state_of(row)->round_keys;
    __m128i nonce = load((const uint8_t *)row->block), stream[LANES];
    uint8_t *out = row->out;
    size_t left = row->size;
    uint32_t number = 0;
    for (; left >= 16 * LANES; left -= 16 * LANES, number += LANES) {
        key_stream(round_keys, rounds, nonce, number, stream, LANES);
        for (int j = 0; j < LANES; j++, in += 16, out += 16)
            store(out, _mm_xor_si128(load(in), stream[j]));
    }
    if (left > 16 * LANES / 2)
        key_stream(round_keys, rounds, nonce, number, stream, LANES);
    else if (left)
        key_stream(round_keys, rounds, nonce, number, stream, LANES / 2);
    crypt_tail(out, in, left, stream);
}

static SFR_AESNI void crypt128(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES128_ROUNDS);
}

static SFR_AESNI void crypt256(const sfr_row *row, const uint8_t *in)
{
    crypt(row, in, SFR_AES256_ROUNDS);
}

/* ---- encrypt-then-MAC ---- */

typedef struct composite {
    void (*crypt)(const sfr_row *, const uint8_t *in);
    int nh;
} composite;

static const composite aes128_sha256 = {crypt128, 32}, aes256_sha512 = {crypt256, 64};

/* RFC 9605 4.5.1: len(aad) || len(ct) || Nt, 8 bytes each, || nonce || aad || ct. */
static void compute_tag(const sfr_row *row, int nh, uint8_t tag[SFR_MAX_DIGEST])
{
    uint64_t prefix[5] = {sfr_be64(row->aad_size), sfr_be64(row->size),
                          sfr_be64(row->key->tag_size), row->block[0], row->block[1]};
    sfr_span parts[] = {{(const uint8_t *)prefix, 24 + SFR_NN},
                        row->aad[0],
                        row->aad[1],
                        row->aad[2],
                        {row->out, row->size}};
    sfr_hmac(&state_of(row)->mac, nh, parts, sizeof parts / sizeof *parts, tag);
    sfr_wipe(prefix, sizeof prefix);
}

static void seal_row(const composite *c, const sfr_row *row)
{
    uint8_t tag[SFR_MAX_DIGEST];
    c->crypt(row, row->in);
    compute_tag(row, c->nh, tag);
    memcpy(row->tag.write, tag, row->key->tag_size);
    sfr_wipe(tag, sizeof tag);
}

static void open_row(const composite *c, sfr_row *row)
{
    uint8_t tag[SFR_MAX_DIGEST];
    if (row->out != row->in && row->size) memcpy(row->out, row->in, row->size);
    compute_tag(row, c->nh, tag);
    row->status = sfr_equal(tag, row->tag.read, row->key->tag_size) ? SFR_OK : SFR_AUTH_FAILED;
    if (SFR_LIKELY(row->status == SFR_OK))
        c->crypt(row, row->out);
    else
        sfr_wipe(row->out, row->size);
    sfr_wipe(tag, sizeof tag);
}

/* ---- the two families ---- */

/* RFC 9605 4.5.1: sframe_key is the AES key, then the MAC key. */
static SFR_AESNI void key_init128(void *out, const uint8_t *sframe_key)
{
    state *s = out;
    sfr_aes128_expand(s->round_keys, sframe_key);
    sfr_hmac_init(&s->mac, 32, sframe_key + 16, 32);
    sfr_burn_stack();
}

static SFR_AESNI void key_init256(void *out, const uint8_t *sframe_key)
{
    state *s = out;
    sfr_aes256_expand(s->round_keys, sframe_key);
    sfr_hmac_init(&s->mac, 64, sframe_key + 32, 64);
    sfr_burn_stack();
}

static void seal128(sfr_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) seal_row(&aes128_sha256, rows[i]);
    sfr_burn_stack();
}

static void open128(sfr_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) open_row(&aes128_sha256, rows[i]);
    sfr_burn_stack();
}

static void seal256(sfr_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) seal_row(&aes256_sha512, rows[i]);
    sfr_burn_stack();
}

static void open256(sfr_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) open_row(&aes256_sha512, rows[i]);
    sfr_burn_stack();
}

const sfr_ops sfr_ctr_hmac128_aesni = {sizeof(state), key_init128, seal128, open128};
const sfr_ops sfr_ctr_hmac256_aesni = {sizeof(state), key_init256, seal256, open256};

#endif
