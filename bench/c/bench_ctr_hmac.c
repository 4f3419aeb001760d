/* Nanoseconds per frame of AES-CTR + HMAC (suites 1 and 6) here, in intel-ipsec-mb and in OpenSSL.
 *
 *   bench_ctr_hmac [--sizes 40,160] [--keys 1,64] [--suite 1|6] [--open] [--rows 64]
 *                  [--frames 64] [--reps 41] [--openssl libcrypto.so.3] [--json] engine...
 *
 * Engines: each kernel that can run here, by its name (one call per --rows frames), ipsec-sse
 * ipsec-avx2 ipsec-avx512 (a burst of --rows jobs that cipher and hash), the same with -split (a burst of
 * ciphers, then a burst of hashes) and openssl (EVP with contexts kept; any libcrypto.so).
 * The MAC covers 48 bytes and the ciphertext: the peers find these bytes ready in front of it, we
 * gather them. Every frame has a nonce and contents of its own; with 64 keys frame i uses key i.
 * All outputs are compared with OpenSSL's before and after timing. Engines take turns within each
 * repetition; minimum and median over the repetitions are printed. */
#define _GNU_SOURCE
#include <getopt.h>
#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PROGRAM "bench_ctr_hmac"
#include "openssl.h"
#include "program.h"
#include "internal.h"

enum { MAX_ENGINES = 32, MAX_KEYS = 64, AAD = 12, HEAD = 48, NT = 10, SPARE = 64 };

/* What every engine may need of one key. */
typedef struct key {
    uint8_t raw[SFR_MAX_NK];
    sfr_key *ours;
    _Alignas(64) uint32_t round_keys[15 * 4], unused[15 * 4];
    _Alignas(64) uint8_t inner[64], outer[64];
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
} key;

/* in and out are HEAD bytes, the payload, and room for a tag. */
typedef struct frame {
    sfr_row row;
    key *key;
    uint8_t nonce[16], tag[SPARE], *in, *out;
} frame;

typedef struct engine {
    const char *name;
    const sfr_ops *ops[2]; /* ours: suites 1 and 6 */
    void (*init_mb_mgr)(IMB_MGR *);
    int split;
    IMB_MGR *manager;
} engine;

/* Behind these come ours. */
static engine engines[MAX_ENGINES] = {
    {"openssl", {0}, NULL, 0, NULL},
    {"ipsec-sse", {0}, init_mb_mgr_sse, 0, NULL},
    {"ipsec-avx2", {0}, init_mb_mgr_avx2, 0, NULL},
    {"ipsec-avx512", {0}, init_mb_mgr_avx512, 0, NULL},
    {"ipsec-sse-split", {0}, init_mb_mgr_sse, 1, NULL},
    {"ipsec-avx2-split", {0}, init_mb_mgr_avx2, 1, NULL},
    {"ipsec-avx512-split", {0}, init_mb_mgr_avx512, 1, NULL},
};
static size_t engine_count = 7;

static struct {
    size_t sizes[MAX_LIST], keys[MAX_LIST], rows, frames, reps;
    int wide, opening, json; /* wide: suite 6 */
    const char *openssl;
} opt = {{40, 80, 120, 160, 320, 640, 1200, 4096}, {1, 64}, 64, 64, 41, 0, 0, 0, "libcrypto.so.3"};

static void *room(size_t size)
{
    void *p = aligned_alloc(4096, (size + 8191) / 4096 * 4096);
    if (!p) die("no memory", "");
    return memset(p, 0, size);
}

static size_t aes_size(void)
{
    return opt.wide ? 32 : 16;
}

static size_t mac_size(void)
{
    return opt.wide ? 64 : 32;
}

/* ---- OpenSSL, whichever library --openssl names ---- */

static void openssl_key(key *k)
{
    OSSL_PARAM params[] = {{"digest", OSSL_PARAM_UTF8_STRING, (char *)"SHA256", 6, 0},
                           {NULL, 0, NULL, 0, 0}};
    if (opt.wide) params[0].data = (char *)"SHA512";
    k->cipher = ssl.EVP_CIPHER_CTX_new();
    ssl.EVP_EncryptInit_ex2(
        k->cipher, ssl.EVP_CIPHER_fetch(NULL, opt.wide ? "AES-256-CTR" : "AES-128-CTR", NULL),
        k->raw, NULL, NULL);
    k->mac = ssl.EVP_MAC_CTX_new(ssl.EVP_MAC_fetch(NULL, "HMAC", NULL));
    if (!ssl.EVP_MAC_init(k->mac, k->raw + aes_size(), mac_size(), params))
        die("key of", "openssl");
}

static void openssl_crypt(const frame *f)
{
    int written;
    ssl.EVP_EncryptInit_ex2(f->key->cipher, NULL, NULL, f->nonce, NULL);
    ssl.EVP_EncryptUpdate(f->key->cipher, f->out + HEAD, &written, f->in + HEAD, (int)f->row.size);
}

static void openssl_mac(const frame *f, const uint8_t *message, uint8_t *tag)
{
    size_t written;
    ssl.EVP_MAC_init(f->key->mac, NULL, 0, NULL);
    ssl.EVP_MAC_update(f->key->mac, message, HEAD + f->row.size);
    ssl.EVP_MAC_final(f->key->mac, tag, &written, SPARE);
}

static int openssl_run(frame *f)
{
    uint8_t tag[SPARE];
    if (!opt.opening) {
        openssl_crypt(f);
        openssl_mac(f, f->out, f->tag);
        return SFR_OK;
    }
    openssl_mac(f, f->in, tag);
    if (memcmp(tag, f->tag, NT)) return SFR_AUTH_FAILED;
    openssl_crypt(f);
    return SFR_OK;
}

/* ---- intel-ipsec-mb ---- */

static void ipsec_key(IMB_MGR *manager, key *k)
{
    uint8_t padded[128];
    size_t block = opt.wide ? 128 : 64;
    if (opt.wide)
        IMB_AES_KEYEXP_256(manager, k->raw, k->round_keys, k->unused);
    else
        IMB_AES_KEYEXP_128(manager, k->raw, k->round_keys, k->unused);
    for (int outer = 0; outer < 2; outer++) {
        memset(padded, outer ? 0x5c : 0x36, block);
        for (size_t i = 0; i < mac_size(); i++) padded[i] ^= k->raw[aes_size() + i];
        if (opt.wide)
            IMB_SHA512_ONE_BLOCK(manager, padded, outer ? k->outer : k->inner);
        else
            IMB_SHA256_ONE_BLOCK(manager, padded, outer ? k->outer : k->inner);
    }
}

/* A job that does both works in place: its hash reads what its cipher read. */
static void ipsec_job(IMB_JOB *job, const engine *e, frame *f, uint8_t *tag)
{
    job->cipher_mode = IMB_CIPHER_CNTR;
    job->cipher_direction = opt.opening ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
    job->chain_order = opt.opening ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
    job->enc_keys = job->dec_keys = f->key->round_keys;
    job->key_len_in_bytes = aes_size();
    job->iv = f->nonce;
    job->iv_len_in_bytes = 16;
    job->src = e->split && opt.opening ? f->in : f->out;
    if (e->split) job->src = f->in;
    job->dst = f->out + HEAD;
    job->cipher_start_src_offset_in_bytes = HEAD;
    job->msg_len_to_cipher_in_bytes = f->row.size;
    job->hash_alg = opt.wide ? IMB_AUTH_HMAC_SHA_512 : IMB_AUTH_HMAC_SHA_256;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = HEAD + f->row.size;
    job->u.HMAC._hashed_auth_key_xor_ipad = f->key->inner;
    job->u.HMAC._hashed_auth_key_xor_opad = f->key->outer;
    job->auth_tag_output = tag;
    job->auth_tag_output_len_in_bytes = mac_size() / 2;
}

static void ipsec_check(frame *frames, size_t n, uint8_t (*tags)[SPARE])
{
    for (size_t i = 0; i < n; i++)
        if (!opt.opening)
            memcpy(frames[i].tag, tags[i], NT);
        else
            frames[i].row.status = memcmp(frames[i].tag, tags[i], NT) ? SFR_AUTH_FAILED : SFR_OK;
}

static void ipsec_chained(const engine *e, frame *frames, size_t n)
{
    static uint8_t tags[IMB_MAX_BURST_SIZE][SPARE];
    IMB_JOB *jobs[IMB_MAX_BURST_SIZE];
    while (IMB_GET_NEXT_BURST(e->manager, (uint32_t)n, jobs) < n)
        IMB_FLUSH_BURST(e->manager, IMB_MAX_BURST_SIZE, jobs);
    for (size_t i = 0; i < n; i++) {
        memcpy(frames[i].out + HEAD, frames[i].in + HEAD, frames[i].row.size);
        ipsec_job(jobs[i], e, &frames[i], tags[i]);
    }
    size_t done = IMB_SUBMIT_BURST(e->manager, (uint32_t)n, jobs);
    while (done < n) {
        size_t more = IMB_FLUSH_BURST(e->manager, (uint32_t)(n - done), jobs);
        if (!more) die("burst refused", e->name);
        done += more;
    }
    ipsec_check(frames, n, tags);
}

static void ipsec_split(const engine *e, frame *frames, size_t n)
{
    static uint8_t tags[IMB_MAX_BURST_SIZE][SPARE];
    static IMB_JOB jobs[IMB_MAX_BURST_SIZE];
    for (size_t i = 0; i < n; i++) ipsec_job(&jobs[i], e, &frames[i], tags[i]);
    IMB_HASH_ALG hash = jobs[0].hash_alg;
    if (opt.opening) IMB_SUBMIT_HASH_BURST(e->manager, jobs, (uint32_t)n, hash);
    IMB_SUBMIT_CIPHER_BURST(e->manager, jobs, (uint32_t)n, IMB_CIPHER_CNTR,
                            jobs[0].cipher_direction, (IMB_KEY_SIZE_BYTES)aes_size());
    if (!opt.opening) {
        for (size_t i = 0; i < n; i++) jobs[i].src = frames[i].out;
        IMB_SUBMIT_HASH_BURST(e->manager, jobs, (uint32_t)n, hash);
    }
    ipsec_check(frames, n, tags);
}

/* ---- engines ---- */

static void add_ours(void)
{
    for (size_t i = next_ready(0); i < sfr_kernel_count() && engine_count < MAX_ENGINES;
         i = next_ready(i + 1)) {
        const sfr_kernel *kernel = sfr_kernel_at(i);
        engines[engine_count++] =
            (engine){.name = kernel->name,
                     .ops = {kernel->ops[SFR_CTR_HMAC_128], kernel->ops[SFR_CTR_HMAC_256]}};
    }
}

static engine *engine_find(const char *name)
{
    for (size_t i = 0; i < engine_count; i++)
        if (!strcmp(engines[i].name, name)) return &engines[i];
    die("no such engine", name);
    return NULL;
}

static void engine_prepare(engine *e)
{
    if (!e->init_mb_mgr) return;
    e->manager = alloc_mb_mgr(0);
    if (!e->manager) die("no manager for", e->name);
    e->init_mb_mgr(e->manager);
}

static void ours_key(const sfr_ops *ops, key *k)
{
    k->ours = aligned_alloc(64, (sizeof(sfr_key) + ops->state_size + 63) / 64 * 64);
    memset(k->ours, 0, sizeof *k->ours);
    k->ours->ops = ops;
    k->ours->tag_size = NT;
    ops->key_init(k->ours->state, k->raw);
}

static key *key_new(const engine *e, const uint8_t *raw)
{
    key *k = room(sizeof *k);
    memcpy(k->raw, raw, sizeof k->raw);
    if (e->manager)
        ipsec_key(e->manager, k);
    else if (e->ops[0])
        ours_key(e->ops[opt.wide], k);
    else
        openssl_key(k);
    return k;
}

static void run_engine(const engine *e, frame *frames, sfr_row **rows)
{
    const sfr_ops *ops = e->ops[opt.wide];
    for (size_t i = 0; i < opt.frames; i += opt.rows) {
        size_t n = opt.frames - i < opt.rows ? opt.frames - i : opt.rows;
        if (ops)
            (opt.opening ? ops->open : ops->seal)(rows + i, n);
        else if (e->manager)
            (e->split ? ipsec_split : ipsec_chained)(e, frames + i, n);
        else
            for (size_t j = i; j < i + n; j++) frames[j].row.status = openssl_run(&frames[j]);
    }
}

/* ---- one cell: an engine, a size, a number of keys ---- */

typedef struct model {
    uint8_t nonce[16], *plain, *sealed, tag[SPARE]; /* both begin with the MAC's 48 bytes */
} model;

typedef struct cell {
    engine *e;
    frame *frames;
    sfr_row **rows;
    double *times; /* ns per frame, one per repetition */
} cell;

/* Slots are not multiples of a page apart. */
static void cell_prepare(cell *c, const model *models, size_t size, uint8_t (*raw)[SFR_MAX_NK],
                         size_t keys)
{
    size_t slot = (HEAD + size + SPARE + 63) / 64 * 64 + 64;
    uint8_t *in = room(slot * opt.frames), *out = (uint8_t *)room(slot * opt.frames + 1088) + 1088;
    key *made[MAX_KEYS] = {0};
    c->frames = room(sizeof(frame) * opt.frames);
    c->rows = room(sizeof(sfr_row *) * opt.frames);
    c->times = room(sizeof(double) * opt.reps);
    for (size_t i = 0; i < opt.frames; i++) {
        frame *f = &c->frames[i];
        const model *m = &models[i];
        if (!made[i % keys]) made[i % keys] = key_new(c->e, raw[i % keys]);
        f->key = made[i % keys];
        f->in = in + slot * i, f->out = out + slot * i;
        memcpy(f->nonce, m->nonce, 16);
        memcpy(f->in, opt.opening ? m->sealed : m->plain, HEAD + size);
        memcpy(f->out, m->plain, HEAD);
        if (opt.opening) memcpy(f->tag, m->tag, NT);
        f->row = (sfr_row){.key = f->key->ours, .aad_size = AAD, .size = size, .status = -1};
        f->row.in = f->in + HEAD, f->row.out = f->out + HEAD, f->row.tag.write = f->tag;
        f->row.aad[0] = (sfr_span){f->in + HEAD - AAD, AAD};
        memcpy(f->row.block, f->nonce, 16);
        memcpy(f->row.aad_head, f->in + HEAD - AAD, AAD);
        c->rows[i] = &f->row;
    }
}

static void cell_check(const cell *c, const model *models, size_t size)
{
    for (size_t i = 0; i < opt.frames; i++) {
        const frame *f = &c->frames[i];
        const uint8_t *want = opt.opening ? models[i].plain : models[i].sealed;
        if (opt.opening && f->row.status != SFR_OK) die("tag refused by", c->e->name);
        if (memcmp(f->out + HEAD, want + HEAD, size) || memcmp(f->tag, models[i].tag, NT))
            die("wrong output of", c->e->name);
    }
}

static void cell_time(cell *c, size_t rep)
{
    size_t passes = 0;
    double begin = now_ns(), end = begin;
    for (; end - begin < 50000; passes++, end = now_ns())
        for (int i = 0; i < 2; i++) run_engine(c->e, c->frames, c->rows);
    c->times[rep] = (end - begin) / (double)(2 * passes * opt.frames);
}

/* RFC 9605 4.5.1: three lengths of 8 bytes, nonce, AAD. OpenSSL seals the reference. */
static model *models_new(size_t size, uint8_t (*raw)[SFR_MAX_NK], size_t keys)
{
    model *models = room(sizeof(model) * opt.frames);
    int opening = opt.opening;
    opt.opening = 0;
    for (size_t i = 0; i < opt.frames; i++) {
        model *m = &models[i];
        m->plain = room(HEAD + size), m->sealed = room(HEAD + size);
        fill_random(m->plain, HEAD + size);
        sfr_store64(m->plain, sfr_be64(AAD));
        sfr_store64(m->plain + 8, sfr_be64(size));
        sfr_store64(m->plain + 16, sfr_be64(NT));
        memcpy(m->nonce, m->plain + 24, SFR_NN);
        memcpy(m->sealed, m->plain, HEAD);
        frame f = {.in = m->plain, .out = m->sealed, .key = key_new(engines, raw[i % keys])};
        memcpy(f.nonce, m->nonce, 16);
        f.row.size = size;
        openssl_run(&f);
        memcpy(m->tag, f.tag, NT);
    }
    opt.opening = opening;
    return models;
}

static void report(const cell *c, size_t size, size_t keys, int first)
{
    qsort(c->times, opt.reps, sizeof(double), by_value);
    double least = c->times[0], median = c->times[opt.reps / 2];
    if (opt.json)
        printf("%s\n  {\"engine\": \"%s\", \"suite\": %d, \"open\": %s, \"keys\": %zu, "
               "\"size\": %zu, \"rows\": %zu, \"min_ns\": %.2f, \"median_ns\": %.2f}",
               first ? "[" : ",", c->e->name, opt.wide ? 6 : 1, opt.opening ? "true" : "false",
               keys, size, opt.rows, least, median);
    else
        printf(" %8.1f (%7.1f)", least, median);
}

static void run_size(engine **chosen, size_t count, size_t size, size_t keys, int first)
{
    static uint8_t raw[MAX_KEYS][SFR_MAX_NK];
    cell cells[MAX_ENGINES];
    fill_random(raw[0], sizeof raw);
    model *models = models_new(size, raw, keys);
    for (size_t i = 0; i < count; i++) {
        cells[i].e = chosen[i];
        cell_prepare(&cells[i], models, size, raw, keys);
        run_engine(cells[i].e, cells[i].frames, cells[i].rows);
        cell_check(&cells[i], models, size);
    }
    for (size_t rep = 0; rep < opt.reps; rep++)
        for (size_t i = 0; i < count; i++) cell_time(&cells[i], rep);
    for (size_t i = 0; i < count; i++) cell_check(&cells[i], models, size);
    if (!opt.json) printf("%6zu %4zu", size, keys);
    for (size_t i = 0; i < count; i++) report(&cells[i], size, keys, first && i == 0);
    if (!opt.json) printf("\n");
    fflush(stdout);
}

/* ---- options ---- */

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"sizes", 1, 0, 's'}, {"keys", 1, 0, 'k'},   {"suite", 1, 0, 'u'}, {"open", 0, 0, 'o'},
        {"rows", 1, 0, 'r'},  {"frames", 1, 0, 'f'}, {"reps", 1, 0, 'n'},  {"openssl", 1, 0, 'l'},
        {"json", 0, 0, 'j'},  {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 's')
            read_list(opt.sizes, optarg);
        else if (c == 'k')
            read_list(opt.keys, optarg);
        else if (c == 'u')
            opt.wide = !strcmp(optarg, "6");
        else if (c == 'o')
            opt.opening = 1;
        else if (c == 'r')
            opt.rows = strtoul(optarg, NULL, 10);
        else if (c == 'f')
            opt.frames = strtoul(optarg, NULL, 10);
        else if (c == 'n')
            opt.reps = strtoul(optarg, NULL, 10);
        else if (c == 'l')
            opt.openssl = optarg;
        else if (c == 'j')
            opt.json = 1;
        else
            exit(2);
    }
    if (!opt.rows || opt.rows > IMB_MAX_BURST_SIZE || !opt.frames || !opt.reps)
        die("out of range", "option");
}

int main(int argc, char **argv)
{
    engine *chosen[MAX_ENGINES];
    size_t count = 0;
    add_ours();
    read_options(argc, argv);
    openssl_load(opt.openssl);
    for (int i = optind; i < argc && count < MAX_ENGINES; i++) {
        chosen[count] = engine_find(argv[i]);
        engine_prepare(chosen[count++]);
    }
    if (!count) die("usage", "bench_ctr_hmac [options] engine...");
    if (!opt.json) {
        printf("suite %d %s, %zu frames, %zu per call; %s, intel-ipsec-mb %s\n", opt.wide ? 6 : 1,
               opt.opening ? "open" : "seal", opt.frames, opt.rows, ssl.OpenSSL_version(0),
               IMB_VERSION_STR);
        printf("ns per frame: min (median)\n%6s %4s", "size", "keys");
        for (size_t i = 0; i < count; i++) printf(" %18s", chosen[i]->name);
        printf("\n");
    }
    int first = 1;
    for (size_t *keys = opt.keys; *keys; keys++)
        for (size_t *size = opt.sizes; *size; size++, first = 0)
            run_size(chosen, count, *size, *keys < MAX_KEYS ? *keys : MAX_KEYS, first);
    if (opt.json) printf("\n]\n");
    return 0;
}
