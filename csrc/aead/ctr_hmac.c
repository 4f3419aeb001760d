/* AES-CTR with HMAC (RFC 9605 4.5.1): suites 1-3 with SHA-256, 6-8 with SHA-512.
 *
 * Rule 1: encrypt, then MAC. A tag is verified, in constant time, before anything is decrypted.
 * Rule 2: the MAC covers the very bytes that are decrypted. Ciphertext is copied first, a long one
 *         to `out`, and `in` is not read again. (A long ciphertext in place cannot be copied
 *         anywhere.)
 * Rule 3: no secret remains on the stack or in vector registers.
 */
#include "aead/ctr_hmac.h"
#include "hash/sha2.h"

#if defined(SFR_X86) || defined(SFR_ARM64)

/* ---- encrypt-then-MAC ---- */

/* The two halves of a family on one kernel, and the function that clears their registers. */
typedef struct composite {
    sfr_crypt *crypt;
    const sfr_hash *hash;
    void (*clear)(void);
} composite;

/* RFC 9605 4.5.1: the MAC's input is len(aad) || len(ct) || Nt, 8 bytes each, || nonce || aad ||
 * ct. The part in front of the AAD has this size: */
#define PREFIX (24 + SFR_NN)

static void write_prefix(uint8_t *out, const sfr_row *row)
{
    sfr_store64(out, sfr_be64(row->aad_size));
    sfr_store64(out + 8, sfr_be64(row->size));
    sfr_store64(out + 16, sfr_be64(row->key->tag_size));
    memcpy(out + 24, row->block, sizeof row->block);
}

/* Starts the MAC of a row whose ciphertext is at `text`; a long one is copied to row->out. Returns
 * where to read the ciphertext from then on. */
static const uint8_t *begin_mac(sfr_stream *s, const sfr_hash *hash, const sfr_row *row,
                                const uint8_t *text)
{
    const sfr_hmac_key *key = &sfr_ctr_hmac_state_of(row)->mac;
    write_prefix(s->head, row);
    if (row->aad_size <= sizeof row->aad_head) {
        memcpy(s->head + PREFIX, row->aad_head, sizeof row->aad_head);
        sfr_stream_begin(s, hash, key, PREFIX + row->aad_size);
    } else {
        sfr_stream_begin(s, hash, key, PREFIX);
        for (int i = 0; i < SFR_AAD_SPANS; i++)
            sfr_stream_absorb(s, hash, row->aad[i].data, row->aad[i].size);
    }
    return sfr_stream_last(s, hash, text, row->size, row->out);
}

/* What a stream holds of the keys: its state, the MAC, the nonce. */
static void wipe_mac(sfr_stream *s)
{
    memset(&s->state, 0, sizeof s->state);
    memset(s->mac, 0, sizeof s->mac);
    memset(s->head + PREFIX - SFR_NN, 0, SFR_NN);
    __asm__ __volatile__("" : : "r"(s) : "memory"); /* as sfr_wipe, but inlined */
}

/* RFC 9605 4.5.1: the first Nt bytes of the MAC: 4, or 8 to 16, whose halves may overlap. */
static void write_tag(const sfr_row *row, const uint8_t *mac)
{
    uint8_t *out = row->tag.write;
    size_t size = row->key->tag_size;
    if (size < 8) {
        memcpy(out, mac, 4);
    } else {
        memcpy(out, mac, 8);
        memcpy(out + size - 8, mac + size - 8, 8);
    }
}

static void seal_some(const composite *c, sfr_row *const *rows, size_t count)
{
    sfr_stream streams[SFR_STREAMS];
    for (size_t i = 0; i < count; i++) c->crypt(rows[i], rows[i]->in);
    for (size_t i = 0; i < count; i++) begin_mac(&streams[i], c->hash, rows[i], rows[i]->out);
    sfr_stream_finish(streams, count, c->hash);
    for (size_t i = 0; i < count; i++) {
        write_tag(rows[i], streams[i].mac);
        wipe_mac(&streams[i]);
    }
    sfr_burn_stack(count > c->hash->shallow);
    c->clear();
}

static void open_some(const composite *c, sfr_row *const *rows, size_t count)
{
    sfr_stream streams[SFR_STREAMS];
    const uint8_t *texts[SFR_STREAMS];
    for (size_t i = 0; i < count; i++)
        texts[i] = begin_mac(&streams[i], c->hash, rows[i], rows[i]->in);
    sfr_stream_finish(streams, count, c->hash);
    for (size_t i = 0; i < count; i++) {
        /* RFC 9605 4.5.1: the tag is checked before anything is decrypted, in constant time. */
        int same = sfr_equal(streams[i].mac, rows[i]->tag.read, rows[i]->key->tag_size);
        rows[i]->status = same ? SFR_OK : SFR_AUTH_FAILED;
        if (SFR_LIKELY(same))
            c->crypt(rows[i], texts[i]);
        else
            sfr_wipe(rows[i]->out, rows[i]->size);
        wipe_mac(&streams[i]);
    }
    sfr_burn_stack(count > c->hash->shallow);
    c->clear();
}

static void in_groups(void (*some)(const composite *, sfr_row *const *, size_t), const composite *c,
                      sfr_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i += SFR_STREAMS)
        some(c, rows + i, count - i < SFR_STREAMS ? count - i : SFR_STREAMS);
}

/* ---- the families and their kernels ---- */

/* RFC 9605 4.5.1: sframe_key is the AES key, then the MAC key. */
static SFR_AES_TARGET void key_init128(void *out, const uint8_t *sframe_key)
{
    sfr_ctr_hmac_state *s = out;
    sfr_aes128_expand(s->round_keys, sframe_key);
    sfr_hmac_init(&s->mac, 32, sframe_key + 16, 32);
    sfr_burn_stack(true);
}

static SFR_AES_TARGET void key_init256(void *out, const uint8_t *sframe_key)
{
    sfr_ctr_hmac_state *s = out;
    sfr_aes256_expand(s->round_keys, sframe_key);
    sfr_hmac_init(&s->mac, 64, sframe_key + 32, 64);
    sfr_burn_stack(true);
}

#define KERNEL(name, bits, crypt, hash, clear)                                    \
    static void seal##name(sfr_row *const *rows, size_t count)                    \
    {                                                                             \
        in_groups(seal_some, &(composite){crypt, hash, clear}, rows, count);      \
    }                                                                             \
    static void open##name(sfr_row *const *rows, size_t count)                    \
    {                                                                             \
        in_groups(open_some, &(composite){crypt, hash, clear}, rows, count);      \
    }                                                                             \
    const sfr_ops sfr_ctr_hmac##name = {.state_size = sizeof(sfr_ctr_hmac_state), \
                                        .hot_size = sizeof(sfr_ctr_hmac_state),   \
                                        .key_init = key_init##bits,               \
                                        .seal = seal##name,                       \
                                        .open = open##name};

#ifdef SFR_X86

static void clear_xmm(void)
{
    sfr_clear_xmm();
}

static void clear_ymm(void)
{
    sfr_clear_ymm();
}

static __attribute__((target("avx512f"))) void clear_zmm(void)
{
    sfr_clear_zmm();
}

/* SHA-512 is most of the work in suites 6-8, so it uses AVX2 if the CPU has it, even without
 * VAES. */
static bool wide512(void)
{
    return sfr_cpu() & SFR_CPU_AVX2;
}

static void clear_after512(void)
{
    wide512() ? clear_ymm() : clear_xmm();
}

KERNEL(128_aesni, 128, sfr_crypt128_aesni, sfr_hash_of(32), clear_xmm)
KERNEL(128_vaes256, 128, sfr_crypt128_vaes256, sfr_hash_of(32), clear_ymm)
KERNEL(128_vaes512, 128, sfr_crypt128_vaes512, &sfr_hash256_avx512, clear_zmm)
KERNEL(256_aesni, 256, sfr_crypt256_aesni, wide512() ? &sfr_hash512_avx2 : &sfr_hash512_ssse3,
       clear_after512)
KERNEL(256_vaes256, 256, sfr_crypt256_vaes256, &sfr_hash512_avx2, clear_ymm)
KERNEL(256_vaes512, 256, sfr_crypt256_vaes512, &sfr_hash512_avx512, clear_zmm)

#else

static void clear(void)
{
    sfr_clear_registers();
}

KERNEL(128_armv8, 128, sfr_crypt128_armv8, sfr_hash_of(32), clear)
KERNEL(256_armv8, 256, sfr_crypt256_armv8, &sfr_hash512_portable, clear)
KERNEL(256_armv8_sha3, 256, sfr_crypt256_armv8, &sfr_hash512_armv8, clear)

#endif

#endif
