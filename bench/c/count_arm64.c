/* Seals or opens frames on ARM, for who counts instructions (bench/arm64_count.py): what a run of twice
 * as many frames takes more is the frames' own.
 *
 *     count_arm64 PEER seal|open SIZE BATCHES
 *
 * PEER is a kernel of csrc/, or the path of a libcrypto, OpenSSL's or AWS-LC's. A batch is 64 frames under one key, each with
 * another nonce and 9 bytes of AAD, as a batch of SFrame has them. Every result is checked.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#define FRAMES SFR_CHUNK
#define ROOM 4096
#define AAD 9

static uint8_t key_bytes[SFR_MAX_NK], nonces[FRAMES][16], aad[AAD];
static uint8_t plain[FRAMES][ROOM], sealed[FRAMES][ROOM], opened[FRAMES][ROOM], tags[FRAMES][16];
static size_t size;

static void need(bool right, const char *what)
{
    if (right) return;
    fprintf(stderr, "count_arm64: %s\n", what);
    exit(1);
}

/* ---- ours ---- */

static sfr_key *key;

static void make_key(const char *name)
{
    sfr_init(NULL);
    const sfr_kernel *kernel = sfr_kernel_find(name);
    need(kernel, "no such kernel");
    const sfr_ops *ops = kernel->ops[SFR_GCM_128];
    key = sfr_arena_alloc(sizeof *key + ops->state_size);
    key->ops = ops, key->tag_size = 16;
    ops->key_init(key->state, key_bytes);
}

static void ours(bool sealing)
{
    sfr_row rows[FRAMES];
    for (size_t i = 0; i < FRAMES; i++) {
        sfr_row *row = &rows[i];
        row->key = key, row->ops_id = 0;
        memcpy(row->block, nonces[i], sizeof row->block);
        row->aad_head[0] = row->aad_head[1] = 0;
        memcpy(row->aad_head, aad, AAD);
        row->aad_size = AAD;
        row->in = sealing ? plain[i] : sealed[i];
        row->out = sealing ? sealed[i] : opened[i];
        row->size = size;
        row->tag.write = tags[i];
    }
    sfr_run(rows, FRAMES, sealing);
    for (size_t i = 0; !sealing && i < FRAMES; i++) need(rows[i].status == SFR_OK, "refused");
}

/* ---- a libcrypto, without its headers: these functions have been the same since 1.1 ---- */

static int (*init)(void *, const void *, void *, const uint8_t *, const uint8_t *, int);
static int (*update)(void *, uint8_t *, int *, const uint8_t *, int);
static int (*final)(void *, uint8_t *, int *);
static int (*control)(void *, int, int, void *);
static void *contexts[2]; /* opens, seals */
enum { GET_TAG = 0x10, SET_TAG = 0x11 };

static void *function(void *library, const char *name)
{
    void *found = dlsym(library, name);
    need(found, name);
    return found;
}

static void open_evp(void *library)
{
    *(void **)&init = function(library, "EVP_CipherInit_ex");
    *(void **)&update = function(library, "EVP_CipherUpdate");
    *(void **)&final = function(library, "EVP_CipherFinal_ex");
    *(void **)&control = function(library, "EVP_CIPHER_CTX_ctrl");
    void *(*new)(void), *(*cipher)(void);
    *(void **)&new = function(library, "EVP_CIPHER_CTX_new");
    *(void **)&cipher = function(library, "EVP_aes_128_gcm");
    for (int sealing = 0; sealing < 2; sealing++) {
        contexts[sealing] = new ();
        need(init(contexts[sealing], cipher(), NULL, key_bytes, nonces[0], sealing) == 1, "init");
    }
}

/* A context and key that are kept, and a nonce for each frame: the quickest that the API allows. */
static void evp(bool sealing)
{
    void *context = contexts[sealing];
    int some;
    for (size_t i = 0; i < FRAMES; i++) {
        bool right = init(context, NULL, NULL, NULL, nonces[i], -1) == 1;
        if (!sealing) right = right && control(context, SET_TAG, 16, tags[i]) == 1;
        right = right && update(context, NULL, &some, aad, AAD) == 1;
        right = right && update(context, sealing ? sealed[i] : opened[i], &some,
                                sealing ? plain[i] : sealed[i], (int)size) == 1;
        right = right && final(context, opened[i] + size, &some) == 1;
        if (sealing) right = right && control(context, GET_TAG, 16, tags[i]) == 1;
        need(right, "EVP");
    }
}

/* ---- AWS-LC's own interface, which the crate aws-lc-rs calls; it keeps the key, and no nonce ---- */

static int (*aead_seal)(const void *, uint8_t *, uint8_t *, size_t *, size_t, const uint8_t *,
                        size_t, const uint8_t *, size_t, const uint8_t *, size_t, const uint8_t *,
                        size_t);
static int (*aead_open)(const void *, uint8_t *, const uint8_t *, size_t, const uint8_t *, size_t,
                        const uint8_t *, size_t, const uint8_t *, size_t);
static void *aead_key;

static void open_aead(void *library)
{
    void *(*new)(const void *, const uint8_t *, size_t, size_t), *(*algorithm)(void);
    *(void **)&new = function(library, "EVP_AEAD_CTX_new");
    *(void **)&algorithm = function(library, "EVP_aead_aes_128_gcm");
    *(void **)&aead_seal = function(library, "EVP_AEAD_CTX_seal_scatter");
    *(void **)&aead_open = function(library, "EVP_AEAD_CTX_open_gather");
    need(aead_key = new (algorithm(), key_bytes, 16, 16), "EVP_AEAD_CTX_new");
}

static void aead(bool sealing)
{
    size_t made;
    for (size_t i = 0; i < FRAMES; i++)
        need(sealing ? aead_seal(aead_key, sealed[i], tags[i], &made, 16, nonces[i], 12, plain[i],
                                 size, NULL, 0, aad, AAD)
                     : aead_open(aead_key, opened[i], nonces[i], 12, sealed[i], size, tags[i], 16,
                                 aad, AAD),
             "EVP_AEAD");
}

typedef void batch(bool sealing);

static batch *open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    need(library, library ? path : dlerror());
    bool has_aead = dlsym(library, "EVP_AEAD_CTX_new");
    has_aead ? open_aead(library) : open_evp(library);
    return has_aead ? aead : evp;
}

int main(int argc, char **argv)
{
    need(argc == 5, "usage: count_arm64 PEER seal|open SIZE BATCHES");
    bool is_ours = !strchr(argv[1], '/'), sealing = !strcmp(argv[2], "seal");
    size = (size_t)atoi(argv[3]);
    for (size_t i = 0; i < FRAMES; i++) {
        nonces[i][0] = (uint8_t)i;
        memset(plain[i], (int)(i * 7 + 1), size);
    }
    if (is_ours) make_key(argv[1]);
    batch *run = is_ours ? ours : open_library(argv[1]);
    run(true);
    for (int i = 0; i < atoi(argv[4]); i++) run(sealing);
    run(false);
    for (size_t i = 0; i < FRAMES; i++) need(!memcmp(opened[i], plain[i], size), "wrong");
    return 0;
}
