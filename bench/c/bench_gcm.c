/* Nanoseconds per frame of the GCM kernels and of intel-ipsec-mb's direct calls, in one process.
 *
 *   bench_gcm [--sizes 40,160] [--keys 1,64] [--suite 128|256] [--seal | --open] [--in-place]
 *             [--rows 64] [--frames 64] [--aad 12] [--reps 41] [--openssl libcrypto.so.3] [--json]
 *             [engine...]
 *
 * Engines: each kernel that can run here, by its name (one call per --rows frames), ipsec-sse
 * ipsec-avx2 ipsec-avx512 (one call per frame, on the path of that width whatever the CPU could do; opening
 * includes the comparison of the tag) and openssl (EVP of any libcrypto.so, a context kept for each
 * key). Without names, all but openssl; without --suite, --seal or --open, both of each. Every
 * frame has a nonce and contents of its own; with 64 keys frame i uses key i. Before timing each
 * engine's output is compared with ipsec-sse, which seals the reference. Engines take turns within
 * each repetition.
 *
 * Prints Markdown tables of medians; ours are followed by how many times quicker they are than
 * ipsec-mb on the same width, if that is measured, too. --json has minima as well. */
#define _GNU_SOURCE
#include <getopt.h>
#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PROGRAM "bench_gcm"
#include "openssl.h"
#include "program.h"
#include "internal.h"

enum { MAX_ENGINES = 32, MAX_AAD = 128, TAG = 16, MISALIGNED = 9 };

typedef struct frame {
    sfr_row row;
    void *ipsec_key;
    uint8_t nonce[16], aad[MAX_AAD], tag[TAG], *in, *out;
    const uint8_t *plain, *sealed; /* the reference: sealed is followed by the tag */
} frame;

typedef struct engine {
    const char *name, *peer; /* peer: ipsec-mb on the same width */
    const sfr_ops *ops[2];   /* ours: AES-128, AES-256 */
    void (*init_mb_mgr)(IMB_MGR *);
    IMB_MGR *manager;
} engine;

/* Behind these come ours. */
static engine engines[MAX_ENGINES] = {
    {"openssl", NULL, {0}, NULL, NULL}, /* by name only */
    {"ipsec-avx512", NULL, {0}, init_mb_mgr_avx512, NULL},
    {"ipsec-avx2", NULL, {0}, init_mb_mgr_avx2, NULL},
    {"ipsec-sse", NULL, {0}, init_mb_mgr_sse, NULL},
};
static size_t engine_count = 4;

static struct {
    size_t sizes[MAX_LIST], keys[MAX_LIST], rows, frames, aad, reps;
    int suite, direction; /* 128 or 256; 'l' for seal or 'o' for open; 0: both */
    int wide, opening;    /* of them, what is measured now; wide: AES-256 */
    int in_place, json;
    const char *openssl;
} opt = {.sizes = {40, 80, 120, 160, 320, 640, 1200, 4096, 16384},
         .keys = {1, 64},
         .rows = 64,
         .frames = 64,
         .aad = 12,
         .reps = 41,
         .openssl = "libcrypto.so.3"};

/* ---- engines ---- */

/* ipsec-mb on the widest registers that a kernel, or one below it, needs. */
static const char *peer_of(size_t kernel)
{
    uint32_t needs = 0;
    for (; kernel < sfr_kernel_count(); kernel++) needs |= sfr_kernel_at(kernel)->needs;
    return needs & SFR_CPU_VAES512 ? "ipsec-avx512"
           : needs & SFR_CPU_AVX2  ? "ipsec-avx2"
                                   : "ipsec-sse";
}

static void add_ours(void)
{
    for (size_t i = next_ready(0); i < sfr_kernel_count() && engine_count < MAX_ENGINES;
         i = next_ready(i + 1)) {
        const sfr_kernel *kernel = sfr_kernel_at(i);
        engines[engine_count++] =
            (engine){.name = kernel->name,
                     .peer = peer_of(i),
                     .ops = {kernel->ops[SFR_GCM_128], kernel->ops[SFR_GCM_256]}};
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
    if (!strcmp(e->name, "openssl")) {
        openssl_load(opt.openssl);
    } else if (e->init_mb_mgr && !e->manager) {
        e->manager = alloc_mb_mgr(0);
        if (!e->manager) die("no manager for", e->name);
        e->init_mb_mgr(e->manager);
    }
}

static void *openssl_key(const uint8_t *raw)
{
    EVP_CIPHER_CTX *context = ssl.EVP_CIPHER_CTX_new();
    EVP_CIPHER *cipher = ssl.EVP_CIPHER_fetch(NULL, opt.wide ? "AES-256-GCM" : "AES-128-GCM", NULL);
    int done = opt.opening ? ssl.EVP_DecryptInit_ex2(context, cipher, raw, NULL, NULL)
                           : ssl.EVP_EncryptInit_ex2(context, cipher, raw, NULL, NULL);
    if (!done) die("key of", "openssl");
    return context;
}

/* The key of one frame on one engine; keys live until the process ends. */
static void *key_new(engine *e, const uint8_t *raw)
{
    if (e->manager) {
        void *key = aligned_alloc(64, (sizeof(struct gcm_key_data) + 63) / 64 * 64);
        if (opt.wide)
            IMB_AES256_GCM_PRE(e->manager, raw, key);
        else
            IMB_AES128_GCM_PRE(e->manager, raw, key);
        return key;
    }
    if (!e->ops[0]) return openssl_key(raw);
    const sfr_ops *ops = e->ops[opt.wide];
    sfr_key *key = aligned_alloc(64, (sizeof(sfr_key) + ops->state_size + 63) / 64 * 64);
    memset(key, 0, sizeof *key);
    key->ops = ops;
    key->tag_size = TAG;
    ops->key_init(key->state, raw);
    return key;
}

static int run_ipsec(const engine *e, frame *f)
{
    struct gcm_context_data context;
    const sfr_row *row = &f->row;
    uint8_t tag[TAG];
    if (!opt.opening) {
        if (opt.wide)
            IMB_AES256_GCM_ENC(e->manager, f->ipsec_key, &context, row->out, row->in, row->size,
                               f->nonce, f->aad, opt.aad, f->tag, TAG);
        else
            IMB_AES128_GCM_ENC(e->manager, f->ipsec_key, &context, row->out, row->in, row->size,
                               f->nonce, f->aad, opt.aad, f->tag, TAG);
        return SFR_OK;
    }
    if (opt.wide)
        IMB_AES256_GCM_DEC(e->manager, f->ipsec_key, &context, row->out, row->in, row->size,
                           f->nonce, f->aad, opt.aad, tag, TAG);
    else
        IMB_AES128_GCM_DEC(e->manager, f->ipsec_key, &context, row->out, row->in, row->size,
                           f->nonce, f->aad, opt.aad, tag, TAG);
    uint64_t differing =
        (sfr_load64(tag) ^ sfr_load64(f->tag)) | (sfr_load64(tag + 8) ^ sfr_load64(f->tag + 8));
    return differing ? SFR_AUTH_FAILED : SFR_OK;
}

static int run_openssl(frame *f)
{
    EVP_CIPHER_CTX *context = f->ipsec_key;
    const sfr_row *row = &f->row;
    int n, size = (int)row->size;
    if (!opt.opening) {
        ssl.EVP_EncryptInit_ex2(context, NULL, NULL, f->nonce, NULL);
        ssl.EVP_EncryptUpdate(context, NULL, &n, f->aad, (int)opt.aad);
        ssl.EVP_EncryptUpdate(context, row->out, &n, row->in, size);
        ssl.EVP_EncryptFinal_ex(context, row->out + size, &n);
        ssl.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, f->tag);
        return SFR_OK;
    }
    ssl.EVP_DecryptInit_ex2(context, NULL, NULL, f->nonce, NULL);
    ssl.EVP_DecryptUpdate(context, NULL, &n, f->aad, (int)opt.aad);
    ssl.EVP_DecryptUpdate(context, row->out, &n, row->in, size);
    ssl.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, f->tag);
    return ssl.EVP_DecryptFinal_ex(context, row->out + size, &n) ? SFR_OK : SFR_AUTH_FAILED;
}

static void run_engine(const engine *e, frame *frames, sfr_row **rows)
{
    if (e->manager) {
        for (size_t i = 0; i < opt.frames; i++) frames[i].row.status = run_ipsec(e, &frames[i]);
        return;
    }
    const sfr_ops *ops = e->ops[opt.wide];
    for (size_t i = 0; !ops && i < opt.frames; i++) frames[i].row.status = run_openssl(&frames[i]);
    for (size_t i = 0; ops && i < opt.frames; i += opt.rows) {
        size_t n = opt.frames - i < opt.rows ? opt.frames - i : opt.rows;
        if (opt.opening)
            ops->open(rows + i, n);
        else
            ops->seal(rows + i, n);
    }
}

/* ---- one cell: an engine, a size, a number of keys ---- */

typedef struct cell {
    engine *e;
    frame *frames;
    sfr_row **rows;
    double *times; /* ns per frame, one per repetition */
} cell;

static void *room(size_t size)
{
    void *p = aligned_alloc(4096, (size + 8191) / 4096 * 4096);
    if (!p) die("no memory", "");
    return p;
}

/* Frame i's contents are the same on every engine; buffers are the engine's own. Slots are not
 * multiples of a page apart and begin unaligned, as frames behind a header do. */
static void cell_prepare(cell *c, const frame *model, size_t size, uint8_t (*raw_keys)[32],
                         size_t keys)
{
    size_t slot = (size + TAG + MISALIGNED + 63) / 64 * 64 + 64;
    uint8_t *in = room(slot * opt.frames);
    uint8_t *out = (uint8_t *)room(slot * opt.frames + 1088) + 1088;
    void *made[MAX_AAD] = {0};
    c->frames = room(sizeof(frame) * opt.frames);
    c->rows = room(sizeof(sfr_row *) * opt.frames);
    c->times = room(sizeof(double) * opt.reps);
    for (size_t i = 0; i < opt.frames; i++) {
        frame *f = &c->frames[i];
        *f = model[i];
        if (!made[i % keys]) made[i % keys] = key_new(c->e, raw_keys[i % keys]);
        f->ipsec_key = made[i % keys];
        f->in = in + slot * i + MISALIGNED;
        f->out = opt.in_place ? f->in : out + slot * i + MISALIGNED;
        f->row = (sfr_row){.key = made[i % keys],
                           .aad_size = opt.aad,
                           .in = f->in,
                           .out = f->out,
                           .size = size,
                           .status = -1};
        f->row.aad[0] = (sfr_span){f->aad, opt.aad};
        memcpy(f->row.block, f->nonce, 12);
        memcpy(f->row.aad_head, f->aad, opt.aad < 16 ? opt.aad : 16);
        f->row.tag.write = f->tag;
        memcpy(f->in, opt.opening ? f->sealed : f->plain, size);
        memcpy(f->tag, f->sealed + size, TAG);
        c->rows[i] = &f->row;
    }
}

static void cell_check(const cell *c, size_t size)
{
    for (size_t i = 0; i < opt.frames; i++) {
        const frame *f = &c->frames[i];
        const uint8_t *want = opt.opening ? f->plain : f->sealed;
        if (opt.opening && f->row.status != SFR_OK) die("tag refused by", c->e->name);
        if (memcmp(f->out, want, size) || memcmp(f->tag, f->sealed + size, TAG))
            die("wrong output of", c->e->name);
    }
}

/* In place each pass works on the last one's output: times hold, contents are not checked. */
static void cell_time(cell *c, size_t rep)
{
    size_t passes = 0;
    double begin = now_ns(), end = begin;
    for (; end - begin < 30000; passes++, end = now_ns())
        for (int i = 0; i < 4; i++) run_engine(c->e, c->frames, c->rows);
    c->times[rep] = (end - begin) / (double)(4 * passes * opt.frames);
}

static frame *models_new(size_t size, uint8_t (*raw_keys)[32], size_t keys)
{
    engine *reference = engine_find("ipsec-sse");
    frame *models = room(sizeof(frame) * opt.frames);
    int opening = opt.opening;
    engine_prepare(reference);
    opt.opening = 0;
    for (size_t i = 0; i < opt.frames; i++) {
        frame *f = &models[i];
        uint8_t *plain = room(size), *sealed = room(size + TAG);
        fill_random(f->nonce, 12);
        fill_random(f->aad, MAX_AAD);
        fill_random(plain, size);
        f->ipsec_key = key_new(reference, raw_keys[i % keys]);
        f->row = (sfr_row){.in = plain, .out = sealed, .size = size};
        run_ipsec(reference, f);
        memcpy(sealed + size, f->tag, TAG);
        f->plain = plain, f->sealed = sealed;
    }
    opt.opening = opening;
    return models;
}

static double median(const cell *c)
{
    return c->times[opt.reps / 2];
}

static void report_json(const cell *c, size_t size, size_t keys)
{
    static int rows;
    printf("%s\n  {\"engine\": \"%s\", \"suite\": %d, \"open\": %s, \"keys\": %zu, "
           "\"size\": %zu, \"rows\": %zu, \"min_ns\": %.2f, \"median_ns\": %.2f}",
           rows++ ? "," : "[", c->e->name, opt.wide ? 256 : 128, opt.opening ? "true" : "false",
           keys, size, opt.rows, c->times[0], median(c));
}

static void report(const cell *cells, size_t count, size_t size, size_t keys)
{
    if (!opt.json) printf("| %zu | %zu |", size, keys);
    for (const cell *c = cells; c < cells + count; c++) {
        if (opt.json) {
            report_json(c, size, keys);
            continue;
        }
        printf(" %.1f", median(c));
        for (const cell *peer = cells; c->e->peer && peer < cells + count; peer++)
            if (!strcmp(peer->e->name, c->e->peer)) printf(" (%.2fx)", median(peer) / median(c));
        printf(" |");
    }
    if (!opt.json) printf("\n");
}

static void report_head(engine **chosen, size_t count)
{
    if (opt.json) return;
    printf("\nAES-%d-GCM %s: %zu frames, %zu per call, AAD of %zu bytes, ipsec-mb %s; ns per "
           "frame\n\n",
           opt.wide ? 256 : 128, opt.opening ? "open" : "seal", opt.frames, opt.rows, opt.aad,
           imb_get_version_str());
    printf("| bytes | keys |");
    for (size_t i = 0; i < count; i++) printf(" %s |", chosen[i]->name);
    printf("\n|--:|--:|");
    for (size_t i = 0; i < count; i++) printf("--:|");
    printf("\n");
}

static void run_size(engine **chosen, size_t count, size_t size, size_t keys)
{
    static uint8_t raw_keys[MAX_AAD][32];
    cell cells[MAX_ENGINES];
    fill_random(raw_keys[0], sizeof raw_keys);
    frame *models = models_new(size, raw_keys, keys);
    for (size_t i = 0; i < count; i++) {
        cells[i].e = chosen[i];
        cell_prepare(&cells[i], models, size, raw_keys, keys);
        run_engine(cells[i].e, cells[i].frames, cells[i].rows);
        cell_check(&cells[i], size);
    }
    for (size_t rep = 0; rep < opt.reps; rep++)
        for (size_t i = 0; i < count; i++) cell_time(&cells[i], rep);
    if (!opt.in_place)
        for (size_t i = 0; i < count; i++) cell_check(&cells[i], size);
    for (size_t i = 0; i < count; i++) qsort(cells[i].times, opt.reps, sizeof(double), by_value);
    report(cells, count, size, keys);
    fflush(stdout);
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {{"sizes", 1, 0, 's'},  {"keys", 1, 0, 'k'},
                                          {"suite", 1, 0, 'u'},  {"open", 0, 0, 'o'},
                                          {"seal", 0, 0, 'l'},   {"rows", 1, 0, 'r'},
                                          {"frames", 1, 0, 'f'}, {"aad", 1, 0, 'a'},
                                          {"reps", 1, 0, 'n'},   {"in-place", 0, 0, 'i'},
                                          {"json", 0, 0, 'j'},   {"openssl", 1, 0, 'S'},
                                          {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 's')
            read_list(opt.sizes, optarg);
        else if (c == 'k')
            read_list(opt.keys, optarg);
        else if (c == 'u')
            opt.suite = !strcmp(optarg, "256") ? 256 : 128;
        else if (c == 'o' || c == 'l')
            opt.direction = c;
        else if (c == 'r')
            opt.rows = strtoul(optarg, NULL, 10);
        else if (c == 'f')
            opt.frames = strtoul(optarg, NULL, 10);
        else if (c == 'a')
            opt.aad = strtoul(optarg, NULL, 10);
        else if (c == 'n')
            opt.reps = strtoul(optarg, NULL, 10);
        else if (c == 'i')
            opt.in_place = 1;
        else if (c == 'S')
            opt.openssl = optarg;
        else if (c == 'j')
            opt.json = 1;
        else
            exit(2);
    }
    if (opt.aad > MAX_AAD || !opt.rows || !opt.frames || !opt.reps) die("out of range", "option");
}

static void run_all(engine **chosen, size_t count)
{
    report_head(chosen, count);
    for (size_t *keys = opt.keys; *keys; keys++)
        for (size_t *size = opt.sizes; *size; size++)
            run_size(chosen, count, *size, *keys < MAX_AAD ? *keys : MAX_AAD - 1);
}

int main(int argc, char **argv)
{
    engine *chosen[MAX_ENGINES];
    size_t count = 0;
    add_ours();
    read_options(argc, argv);
    for (int i = optind; i < argc && count < MAX_ENGINES; i++)
        chosen[count++] = engine_find(argv[i]);
    for (size_t i = 1; optind == argc && i < engine_count; i++) chosen[count++] = &engines[i];
    for (size_t i = 0; i < count; i++) engine_prepare(chosen[i]);
    for (opt.wide = opt.suite == 256; opt.wide <= (opt.suite != 128); opt.wide++)
        for (opt.opening = opt.direction == 'o'; opt.opening <= (opt.direction != 'l');
             opt.opening++)
            run_all(chosen, count);
    if (opt.json) printf("\n]\n");
    return 0;
}
