/* The key schedule: HKDF (RFC 5869) as RFC 9605 4.4.2 and 5.1 use it.
 *
 * Rule 1: base keys, PRKs and what is expanded from them live on the stack for one call, are wiped,
 *         and leave the stack only for the arena.
 * Rule 2: a secret is kept as HMAC midstates, so a key of suite 4 costs four compressions.
 */
#include "aead/kernels.h"
#include "hash/sha2.h"
#include "platform/arena.h"
#include "platform/random.h"

/* ---- HKDF ---- */

/* The HMAC keys of an empty salt, with which every base key is extracted. */
static const sfr_hmac_key empty_salt256 = {
    .u.s256 = {
        .inner = {{0xf454dead, 0x9725214f, 0x90daf2a0, 0xdf1228ea, 0x64e5750f, 0xa3924181,
                   0x824a932b, 0xf8e04e32}},
        .outer = {{0xd385480f, 0x7abb6477, 0x37c9c538, 0x5dd82467, 0x8e043a72, 0x753434b0,
                   0xdeb82818, 0x361d45a6}},
    }};
static const sfr_hmac_key empty_salt512 = {
    .u.s512 = {
        .inner = {{0x1aa8caac196aa9cf, 0x157bc66ffacbb113, 0x2f5813b01a6d99fb, 0x6b15a0122ed28282,
                   0xb31bdcd996d81fa6, 0x151961af57cb87c1, 0xdb05ba3a642721c9, 0x3aa11644c5429812}},
        .outer = {{0x1efe832e03f7255b, 0x2b9bb33f32f60445, 0xf9d607f52ec5b0a3, 0x11afe3481f43b83d,
                   0x68dee3ab8db272b7, 0x815ffb34f560a851, 0xfc6950d7e19a3529, 0x23f2e1e9645f0fe6}},
    }};

/* HKDF-Extract, up to the HMAC key that Expand uses. */
static void extract(const sfr_hmac_key *salt, int nh, const uint8_t *base_key, size_t size,
                    sfr_hmac_key *prk)
{
    uint8_t secret[SFR_MAX_DIGEST];
    sfr_hmac(salt, nh, &(sfr_span){base_key, size}, 1, secret);
    sfr_hmac_init(prk, nh, secret, (size_t)nh);
    sfr_wipe(secret, sizeof secret);
}

static void extract_unsalted(int nh, const uint8_t *base_key, size_t size, sfr_hmac_key *prk)
{
    extract(nh == 32 ? &empty_salt256 : &empty_salt512, nh, base_key, size, prk);
}

/* HKDF-Expand: T(i) = HMAC(prk, T(i-1) || info || i). */
static void expand(const sfr_hmac_key *prk, int nh, sfr_span info, uint8_t *out, size_t size)
{
    uint8_t t[SFR_MAX_DIGEST], i = 1;
    sfr_span parts[] = {{t, 0}, info, {&i, 1}};
    for (; size; i++) {
        size_t part = size < (size_t)nh ? size : (size_t)nh;
        sfr_hmac(prk, nh, parts, 3, t);
        sfr_copy_secret(out, t, part);
        parts[0].size = (size_t)nh;
        out += part;
        size -= part;
    }
    sfr_wipe(t, sizeof t);
}

#define LABEL(text) ((sfr_span){(const uint8_t *)(text), sizeof(text) - 1})

/* ---- secrets ---- */

static sfr_secret *secret_alloc(const sfr_suite *suite)
{
    sfr_secret *secret = sfr_arena_alloc(sizeof *secret);
    if (secret) secret->suite = suite;
    return secret;
}

sfr_secret *sfr_secret_new(const sfr_suite *suite, const uint8_t *base_key, size_t size)
{
    sfr_secret *secret = size < SFR_MIN_BASE_KEY ? NULL : secret_alloc(suite);
    if (!secret) return NULL;
    extract_unsalted(suite->nh, base_key, size, &secret->prk);
    sfr_burn_stack(true);
    return secret;
}

/* draft-ietf-avtcore-rtp-sframe: ssrc_key = Expand(Extract(salt = SSRC, base_key), label, Nh) */
sfr_secret *sfr_secret_new_for_ssrc(const sfr_suite *suite, const uint8_t *base_key, size_t size,
                                    uint32_t ssrc)
{
    sfr_secret *secret = size < SFR_MIN_BASE_KEY ? NULL : secret_alloc(suite);
    if (!secret) return NULL;
    uint8_t salt[4], ssrc_key[SFR_MAX_DIGEST];
    sfr_hmac_key salted, prk;
    sfr_store32(salt, sfr_be32(ssrc));
    sfr_hmac_init(&salted, suite->nh, salt, sizeof salt);
    extract(&salted, suite->nh, base_key, size, &prk);
    expand(&prk, suite->nh, LABEL("SFrame 1.0 RTP Stream"), ssrc_key, suite->nh);
    extract_unsalted(suite->nh, ssrc_key, suite->nh, &secret->prk);
    sfr_wipe(ssrc_key, sizeof ssrc_key);
    sfr_wipe(&prk, sizeof prk);
    sfr_burn_stack(true);
    return secret;
}

/* RFC 9605 5.1: base_key[i+1] = Expand(Extract("", base_key[i]), "SFrame 1.0 Ratchet", Nh) */
sfr_secret *sfr_secret_ratchet(const sfr_secret *from, unsigned steps)
{
    const sfr_suite *suite = from->suite;
    sfr_secret *secret = secret_alloc(suite);
    if (!secret) return NULL;
    uint8_t base_key[SFR_MAX_DIGEST];
    secret->prk = from->prk;
    while (steps--) {
        expand(&secret->prk, suite->nh, LABEL("SFrame 1.0 Ratchet"), base_key, suite->nh);
        extract_unsalted(suite->nh, base_key, suite->nh, &secret->prk);
    }
    sfr_wipe(base_key, sizeof base_key);
    sfr_burn_stack(true);
    return secret;
}

void sfr_secret_free(sfr_secret *secret)
{
    if (secret) sfr_arena_free(secret, sizeof *secret);
}

/* ---- keys ---- */

/* RFC 9605 4.4.2: label || KID (8 bytes) || cipher suite (2 bytes). The salt's label is one byte
 * longer than the key's. */
#define KEY_LABEL "SFrame 1.0 Secret key "
#define SALT_LABEL "SFrame 1.0 Secret salt "

typedef struct info {
    uint8_t bytes[sizeof SALT_LABEL - 1 + 10];
    size_t size;
} info;

static sfr_span labelled(info *out, sfr_span label, uint64_t kid, uint16_t suite)
{
    uint8_t *p = out->bytes;
    memcpy(p, label.data, label.size);
    sfr_store64(p + label.size, sfr_be64(kid));
    p[label.size + 8] = (uint8_t)(suite >> 8);
    p[label.size + 9] = (uint8_t)suite;
    return (sfr_span){p, label.size + 10};
}

static void derive(const sfr_secret *secret, uint64_t kid, uint8_t *sframe_key,
                   uint8_t *sframe_salt)
{
    const sfr_suite *suite = secret->suite;
    info buffer;
    expand(&secret->prk, suite->nh, labelled(&buffer, LABEL(KEY_LABEL), kid, suite->id), sframe_key,
           suite->nk);
    expand(&secret->prk, suite->nh, labelled(&buffer, LABEL(SALT_LABEL), kid, suite->id),
           sframe_salt, suite->nn);
}

void sfr_derive(const sfr_secret *secret, uint64_t kid, uint8_t sframe_key[SFR_MAX_NK],
                uint8_t sframe_salt[SFR_NN])
{
    derive(secret, kid, sframe_key, sframe_salt);
    sfr_burn_stack(true);
}

/* The HMAC key of all fingerprints, made once and never changed. */
static _Atomic(sfr_hmac_key *) naming;

/* If two threads race, one key is kept. NULL without memory. */
static const sfr_hmac_key *name_with(const uint8_t secret[32])
{
    sfr_hmac_key *made = sfr_arena_alloc(sizeof *made), *other = NULL;
    if (!made) return NULL;
    sfr_hmac_init(made, 32, secret, 32);
    if (atomic_compare_exchange_strong(&naming, &other, made)) return made;
    sfr_arena_free(made, sizeof *made);
    return other;
}

/* NULL without memory or randomness. */
static const sfr_hmac_key *fingerprint_key(void)
{
    const sfr_hmac_key *key = atomic_load_explicit(&naming, memory_order_acquire);
    if (SFR_LIKELY(key != NULL)) return key;
    uint8_t random[32];
    if (sfr_random(random, sizeof random)) return NULL;
    key = name_with(random);
    sfr_wipe(random, sizeof random);
    return key;
}

int sfr_registry_secret(const uint8_t secret[32])
{
    sfr_hmac_key wanted;
    memset(&wanted, 0, sizeof wanted);
    sfr_hmac_init(&wanted, 32, secret, 32);
    const sfr_hmac_key *used = name_with(secret);
    return used && sfr_equal((const uint8_t *)used, (const uint8_t *)&wanted, sizeof wanted);
}

static bool name_key(const sfr_suite *suite, const uint8_t *sframe_key, const uint8_t *sframe_salt,
                     uint8_t fingerprint[16])
{
    const sfr_hmac_key *key = fingerprint_key();
    uint8_t digest[SFR_MAX_DIGEST];
    if (!key) return false;
    sfr_hmac(key, 32, (sfr_span[]){{sframe_key, suite->nk}, {sframe_salt, suite->nn}}, 2, digest);
    memcpy(fingerprint, digest, 16);
    return true;
}

size_t sfr_key_size(const sfr_suite *suite, const sfr_kernel *kernel)
{
    return sizeof(sfr_key) + kernel->ops[sfr_suite_family(suite)]->state_size;
}

static void key_fill(sfr_key *key, const sfr_suite *suite, const sfr_kernel *kernel,
                     const uint8_t *sframe_key, const uint8_t *sframe_salt)
{
    key->ops = kernel->ops[sfr_suite_family(suite)];
    key->salt_head = sfr_load32(sframe_salt);
    key->salt_tail = sfr_load64(sframe_salt + 4);
    key->tag_size = suite->nt;
    key->ops_id = (uint8_t)((kernel - sfr_kernel_at(0)) * SFR_FAMILIES + sfr_suite_family(suite));
    key->ops->key_init(key->state, sframe_key);
}

bool sfr_key_init(sfr_key *key, const sfr_secret *secret, const sfr_kernel *kernel, uint64_t kid,
                  uint8_t fingerprint[16])
{
    const sfr_suite *suite = secret->suite;
    uint8_t sframe_key[SFR_MAX_NK], sframe_salt[SFR_NN];
    derive(secret, kid, sframe_key, sframe_salt);
    bool named = name_key(suite, sframe_key, sframe_salt, fingerprint);
    if (named) key_fill(key, suite, kernel, sframe_key, sframe_salt);
    sfr_wipe(sframe_key, sizeof sframe_key);
    sfr_wipe(sframe_salt, sizeof sframe_salt);
    sfr_burn_stack(true);
    return named;
}
