/* Which kernels there are, and whether they give known answers: for CPUs on which Python is slow to
 * start, and for builds in which something is wrong.
 *
 *     answers FILE [max_isa]
 *
 * FILE has records of what an independent library made (see known_answers.py). They are sealed and
 * opened one by one and 64 at a time, in place and not, and with a spoiled tag. Prints a line for
 * each kernel: its name, "ready" or why not; and then how many frames it sealed and opened rightly.
 */
#include <stdio.h>
#include <stdlib.h>

#include "saboteur.h"

#define BATCH SFR_CHUNK

typedef struct record {
    uint32_t suite, key_size, aad_size, size, tag_size;
    const uint8_t *sframe_key, *nonce, *aad, *plaintext, *sealed;
    sfr_key *key;
    uint8_t *out, *tag;
} record;

static record *records;
static size_t count;

/* ---- the file ---- */

static uint32_t number(const uint8_t **at)
{
    uint32_t value = sfr_load32(*at);
    *at += 4;
    return value;
}

static const uint8_t *bytes(const uint8_t **at, size_t size)
{
    const uint8_t *here = *at;
    *at += size;
    return here;
}

static void read_record(record *r, const uint8_t **at)
{
    r->suite = number(at), r->key_size = number(at), r->aad_size = number(at);
    r->size = number(at), r->tag_size = number(at);
    r->sframe_key = bytes(at, r->key_size);
    r->nonce = bytes(at, SFR_NN);
    r->aad = bytes(at, r->aad_size);
    r->plaintext = bytes(at, r->size);
    r->sealed = bytes(at, r->size + r->tag_size);
    r->out = malloc(r->size + SFR_MAX_TAG);
    r->tag = malloc(SFR_MAX_TAG);
}

static void read_all(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(2);
    size_t size = (size_t)ftell(file);
    uint8_t *content = malloc(size);
    rewind(file);
    if (fread(content, 1, size, file) != size) exit(2);
    fclose(file);
    const uint8_t *at = content;
    count = number(&at);
    records = calloc(count, sizeof *records);
    for (size_t i = 0; i < count; i++) read_record(&records[i], &at);
    if (at != content + size) exit(2);
}

/* ---- rows ---- */

static void make_keys(const sfr_kernel *kernel)
{
    for (size_t i = 0; i < count; i++) {
        record *r = &records[i];
        sfr_family family = sfr_suite_family(sfr_suite_find((int)r->suite));
        const sfr_ops *ops = kernel->ops[family];
        r->key = sfr_arena_alloc(sizeof(sfr_key) + ops->state_size);
        r->key->ops = ops;
        r->key->ops_id = (uint8_t)family; /* there is one kernel */
        r->key->tag_size = (uint8_t)r->tag_size;
        ops->key_init(r->key->state, r->sframe_key);
    }
}

static void free_keys(void)
{
    for (size_t i = 0; i < count; i++)
        sfr_arena_free(records[i].key, sizeof(sfr_key) + records[i].key->ops->state_size);
}

static void set_row(sfr_row *row, record *r, bool sealing, bool in_place)
{
    size_t head = r->aad_size < 16 ? r->aad_size : 16;
    memset(row, 0, sizeof *row);
    row->key = r->key;
    row->ops_id = r->key->ops_id;
    memcpy(row->block, r->nonce, SFR_NN);
    memcpy(row->aad_head, r->aad, head);
    row->aad_size = r->aad_size;
    row->aad[0] = (sfr_span){r->aad, head};
    row->aad[1] = (sfr_span){r->aad + head, r->aad_size - head};
    row->in = sealing ? r->plaintext : r->sealed;
    row->out = r->out;
    row->size = r->size;
    row->tag.write = r->tag;
    row->status = 99;
    if (in_place) row->in = memcpy(r->out, row->in, r->size);
    if (!sealing) memcpy(r->tag, r->sealed + r->size, r->tag_size);
}

static bool is_sealed(const record *r)
{
    return !memcmp(r->out, r->sealed, r->size) && !memcmp(r->tag, r->sealed + r->size, r->tag_size);
}

static bool is_zero(const uint8_t *data, size_t size)
{
    while (size--)
        if (*data++) return false;
    return true;
}

/* ---- one pass over all records ---- */

typedef struct pass {
    bool sealing, in_place, spoiled;
    size_t batch;
} pass;

static size_t run_some(const pass *p, size_t from, size_t some)
{
    sfr_row rows[BATCH];
    size_t right = 0;
    for (size_t i = 0; i < some; i++) {
        set_row(&rows[i], &records[from + i], p->sealing, p->in_place);
        if (p->spoiled) records[from + i].tag[i % records[from + i].tag_size] ^= 8;
    }
    sfr_run(rows, some, p->sealing);
    for (size_t i = 0; i < some; i++) {
        const record *r = &records[from + i];
        if (p->sealing)
            right += is_sealed(r);
        else if (p->spoiled)
            right += rows[i].status == SFR_AUTH_FAILED && is_zero(r->out, r->size);
        else
            right += rows[i].status == SFR_OK && !memcmp(r->out, r->plaintext, r->size);
    }
    return right;
}

static size_t run_pass(const pass *p)
{
    size_t right = 0;
    for (size_t at = 0; at < count; at += p->batch)
        right += run_some(p, at, count - at < p->batch ? count - at : p->batch);
    return right;
}

static void check(const sfr_kernel *kernel)
{
    static const size_t batches[] = {1, 7, BATCH};
    size_t sealed = 0, opened = 0, refused = 0;
    make_keys(kernel);
    for (int in_place = 0; in_place < 2; in_place++)
        for (size_t i = 0; i < 3; i++) {
            sealed += run_pass(&(pass){true, in_place, false, batches[i]});
            opened += run_pass(&(pass){false, in_place, false, batches[i]});
            refused += run_pass(&(pass){false, in_place, true, batches[i]});
        }
    free_keys();
    printf("%s: %zu sealed, %zu opened, %zu refused\n", sfr_kernel_name(kernel), sealed, opened,
           refused);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    read_all(argv[1]);
    sfr_init(argc > 2 ? argv[2] : NULL);
    const sfr_kernel *best = sfr_kernel_find(NULL);
    printf("best: %s\n", best ? sfr_kernel_name(best) : "none");
    for (size_t i = 0; i < sfr_kernel_count(); i++) {
        const sfr_kernel *kernel = sfr_kernel_at(i);
        const char *why = sfr_kernel_reason(kernel);
        printf("%s: %s\n", sfr_kernel_name(kernel), *why ? why : "ready");
        if (!*why) check(kernel);
    }
    return 0;
}
