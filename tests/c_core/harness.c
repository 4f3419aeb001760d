#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/mman.h>

#include "hash/sha2.h"
#include "internal.h"

#include "harness.h"

#define PAGE ((size_t)4096)

/* ---- rows ---- */

static int tag_size_of(sfr_family family, int suite)
{
    return family == SFR_GCM_128 || family == SFR_GCM_256 ? 16 : sfr_suite_find(suite)->nt;
}

void *raw_key(const char *kernel_name, int suite, const uint8_t *sframe_key)
{
    const sfr_kernel *kernel = sfr_kernel_find(kernel_name);
    sfr_family family = sfr_suite_family(sfr_suite_find(suite));
    const sfr_ops *ops = kernel->ops[family];
    sfr_key *key = sfr_arena_alloc(sizeof(sfr_key) + ops->state_size);
    key->ops = ops;
    key->ops_id = (uint8_t)((kernel - sfr_kernel_at(0)) * SFR_FAMILIES + family);
    key->tag_size = (uint8_t)tag_size_of(family, suite);
    ops->key_init(key->state, sframe_key);
    return key;
}

void raw_key_free(void *key)
{
    sfr_key *k = key;
    if (k) sfr_arena_free(k, sizeof(sfr_key) + k->ops->state_size);
}

/* The head of the AAD lies in the row itself, as every producer has it. */
static void set_aad(sfr_row *row, const spec *s)
{
    uint8_t head[16] = {0};
    memcpy(row->gathered, s->aad, s->clear_at);
    memcpy(head, s->aad, s->aad_size < 16 ? s->aad_size : 16);
    memcpy(row->aad_head, head, 16);
    row->aad_size = s->aad_size;
    row->aad[0] = (sfr_span){(const uint8_t *)row->gathered, s->clear_at};
    row->aad[1] = (sfr_span){s->aad + s->clear_at, s->metadata_at - s->clear_at};
    row->aad[2] = (sfr_span){s->aad + s->metadata_at, s->aad_size - s->metadata_at};
}

static void set_row(sfr_row *row, const spec *s, int sealing)
{
    memset(row, 0, sizeof *row);
    row->key = s->key;
    row->ops_id = row->key->ops_id;
    memcpy(row->block, s->nonce, 12);
    set_aad(row, s);
    row->in = s->source;
    row->out = s->out;
    row->size = s->size;
    if (sealing)
        row->tag.write = s->tag;
    else
        row->tag.read = s->tag;
    row->status = sealing ? SFR_OK : 99;
}

void run_rows(spec *specs, size_t count, int sealing)
{
    sfr_row rows[SFR_CHUNK];
    for (size_t at = 0; at < count; at += SFR_CHUNK) {
        size_t some = count - at < SFR_CHUNK ? count - at : SFR_CHUNK;
        for (size_t i = 0; i < some; i++) set_row(&rows[i], &specs[at + i], sealing);
        sfr_run(rows, some, sealing != 0);
        for (size_t i = 0; i < some; i++) specs[at + i].status = rows[i].status;
    }
}

void run_alone(spec *specs, size_t count, int sealing)
{
    sfr_row row, *one[1] = {&row};
    for (size_t i = 0; i < count; i++) {
        set_row(&row, &specs[i], sealing);
        (sealing ? row.key->ops->seal : row.key->ops->open)(one, 1);
        specs[i].status = row.status;
    }
}

uint64_t interleaved_calls(void)
{
    return sfr_interleaved_calls;
}

/* ---- hashes, key schedule ---- */

static const struct {
    const char *name;
    const sfr_hash *hash;
    uint32_t needs;
} hashes[] = {
    {"sha256 portable", &sfr_hash256_portable, 0},
#ifdef SFR_X86
    {"sha256 ssse3", &sfr_hash256_ssse3, SFR_CPU_AESNI},
    {"sha256 ni", &sfr_hash256_ni, SFR_CPU_SHANI},
    {"sha256 avx512", &sfr_hash256_avx512, SFR_CPU_VAES512},
#else
    {"sha256 armv8", &sfr_hash256_armv8, SFR_CPU_ARMV8},
#endif
    {"sha512 portable", &sfr_hash512_portable, 0},
#ifdef SFR_X86
    {"sha512 ssse3", &sfr_hash512_ssse3, SFR_CPU_AESNI},
    {"sha512 bmi2", &sfr_hash512_bmi2, SFR_CPU_AVX2},
    {"sha512 avx2", &sfr_hash512_avx2, SFR_CPU_AVX2},
    {"sha512 avx512", &sfr_hash512_avx512, SFR_CPU_VAES512},
#else
    {"sha512 armv8", &sfr_hash512_armv8, SFR_CPU_ARMV8_SHA3},
#endif
};

const char *hash_name(size_t number)
{
    return number < sizeof hashes / sizeof *hashes ? hashes[number].name : NULL;
}

int hash_size(size_t number)
{
    return (int)hashes[number].hash->size;
}

int hash_missing(size_t number)
{
    return (sfr_cpu() & hashes[number].needs) != hashes[number].needs;
}

const char *hash_chosen(int nh)
{
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (hashes[i].hash == sfr_hash_of(nh)) return hashes[i].name;
    return "";
}

void hash_compress(size_t number, uint8_t *states, const uint8_t *data, size_t blocks, size_t count)
{
    const sfr_hash *hash = hashes[number].hash;
    sfr_sha_state aligned[SFR_STREAMS], *state_of[SFR_STREAMS];
    const uint8_t *data_of[SFR_STREAMS];
    for (size_t i = 0; i < count; i++) {
        memcpy(&aligned[i], states + 64 * i, 64);
        state_of[i] = &aligned[i];
        data_of[i] = data + i * blocks * hash->block;
    }
    hash->compress(state_of, data_of, blocks, count);
    for (size_t i = 0; i < count; i++) memcpy(states + 64 * i, &aligned[i], 64);
}

void hmac_cut(int nh, const uint8_t *key, size_t key_size, const uint8_t *message, size_t size,
              size_t cut, uint8_t *out)
{
    sfr_hmac_key hmac_key;
    sfr_span parts[3] = {{message, cut}, {message, 0}, {message + cut, size - cut}};
    sfr_hmac_init(&hmac_key, nh, key, key_size);
    sfr_hmac(&hmac_key, nh, parts, 3, out);
}

void derive(const sfr_secret *secret, uint64_t kid, uint8_t *sframe_key, uint8_t *sframe_salt)
{
    sfr_derive(secret, kid, sframe_key, sframe_salt);
}

int equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    return sfr_equal(a, b, size);
}

/* ---- fences ---- */

uint8_t *fenced(size_t pages)
{
    uint8_t *p = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    return fenced_protect(p + PAGE, pages, PROT_READ | PROT_WRITE) ? NULL : p + PAGE;
}

int fenced_protect(uint8_t *memory, size_t pages, int protection)
{
    return mprotect(memory, pages * PAGE, protection);
}

void fenced_free(uint8_t *memory, size_t pages)
{
    munmap(memory - PAGE, (pages + 2) * PAGE);
}

/* ---- faults ---- */

/* Does the row's work, then one thing that a kernel must not do. */
void run_faulty(spec *specs, size_t count, int sealing, int fault)
{
    volatile uint8_t *out;
    for (size_t i = 0; i < count; i++) {
        run_alone(&specs[i], 1, sealing);
        out = specs[i].out;
        if (fault == FAULT_STORE_16_PAST) out[specs[i].size + 15] = 0;
        if (fault == FAULT_READ_16_BEFORE) (void)*(volatile const uint8_t *)(specs[i].source - 16);
        if (fault == FAULT_WRONG_BYTE && specs[i].size > 2000) out[1999] ^= 1;
        if (fault == FAULT_KEEP_PLAINTEXT && specs[i].status && specs[i].size)
            out[specs[i].size - 1] = 0x50;
        if (fault == FAULT_LATE_BLOCK && specs[i].size >= 1824)
            for (size_t at = 1792; at < 1808; at++) out[at] = out[at + 16];
    }
}
