#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

const sfr_kernel *fuzz_kernels[MAX_KERNELS];
size_t fuzz_kernel_count;
static unsigned long executions, opened_executions;

/* libFuzzer's hooks have no header */
int LLVMFuzzerInitialize(int *argc, char ***argv);

void fuzz_wrong(const char *claim, const char *file, int line)
{
    fprintf(stderr, "fuzz: %s:%d: not so: %s\n", file, line, claim);
    abort();
}

static void report(void)
{
    fprintf(stderr, "fuzz: %lu executions, %lu opened, %zu kernels\n", executions,
            opened_executions, fuzz_kernel_count);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    sfr_init(NULL);
    for (size_t i = 0; i < sfr_kernel_count(); i++)
        if (sfr_kernel_state(sfr_kernel_at(i)) == SFR_KERNEL_READY)
            fuzz_kernels[fuzz_kernel_count++] = sfr_kernel_at(i);
    MUST(fuzz_kernel_count);
    return atexit(report);
}

void fuzz_executed(int opened)
{
    executions++;
    opened_executions += opened != 0;
}

/* ---- choices ---- */

input fuzz_input(const uint8_t *data, size_t size)
{
    input in = {data, size, 0x9e3779b97f4a7c15u};
    for (size_t i = 0; i < size; i++) in.more = (in.more ^ data[i]) * 0x100000001b3u;
    return in;
}

static uint8_t one_byte(input *in)
{
    if (in->left) return in->left--, *in->data++;
    in->more ^= in->more << 13;
    in->more ^= in->more >> 7;
    in->more ^= in->more << 17;
    return (uint8_t)(in->more >> 32);
}

uint64_t fuzz_take(input *in, size_t bytes)
{
    uint64_t value = 0;
    while (bytes--) value = value << 8 | one_byte(in);
    return value;
}

uint64_t fuzz_below(input *in, uint64_t limit)
{
    return fuzz_take(in, limit > 256 ? 2 : 1) % limit;
}

uint64_t fuzz_field(input *in)
{
    unsigned shift = (unsigned)fuzz_below(in, 64);
    return fuzz_take(in, 8) >> shift;
}

uint8_t *fuzz_bytes(input *in, size_t size)
{
    uint8_t *bytes = fuzz_copy(NULL, size);
    for (size_t i = 0; i < size; i++) bytes[i] = one_byte(in);
    return bytes;
}

uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);
    MUST(copy);
    if (data && size) memcpy(copy, data, size);
    return copy;
}

int fuzz_all_zero(const uint8_t *data, size_t size)
{
    while (size)
        if (data[--size]) return 0;
    return 1;
}

/* ---- frames ---- */

/* RFC 9605 4.3, byte by byte; independent of csrc's own encoder. */
unsigned fuzz_least_bytes(uint64_t value)
{
    unsigned bytes = 0;
    if (value < 8) return 0;
    for (; value; value >>= 8) bytes++;
    return bytes;
}

static size_t put_field(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    return bytes;
}

size_t fuzz_put_header(uint8_t *out, const plain *p)
{
    size_t at = 1;
    unsigned k = p->kid_bytes ? 8 | (p->kid_bytes - 1) : (unsigned)p->kid;
    unsigned c = p->ctr_bytes ? 8 | (p->ctr_bytes - 1) : (unsigned)p->ctr;
    out[0] = (uint8_t)(k << 4 | c);
    at += put_field(out + at, p->kid, p->kid_bytes);
    return at + put_field(out + at, p->ctr, p->ctr_bytes);
}

sfr_key *fuzz_key(const sfr_secret *secret, const sfr_kernel *kernel, uint64_t kid)
{
    uint8_t fingerprint[16];
    sfr_key *key = sfr_arena_alloc(sfr_key_size(secret->suite, kernel));
    MUST(key && sfr_key_init(key, secret, kernel, kid, fingerprint));
    return key;
}

uint8_t *fuzz_seal(const plain *p, size_t *size)
{
    sfr_row row = {0}, *rows[1] = {&row};
    uint64_t words[3] = {0};
    size_t header_size = fuzz_put_header((uint8_t *)words, p);
    sfr_frame f = {.clear = p->clear, .metadata = p->metadata, .metadata_size = p->metadata_size};
    *size = p->size + header_size + p->key->tag_size;
    uint8_t *wire = fuzz_copy(NULL, *size);
    if (p->clear) memcpy(wire, p->frame, p->clear);
    memcpy(wire + p->clear, words, header_size);
    sfr_mark mark = {.size = header_size};
    memcpy(mark.words, words, sizeof words);
    row.key = p->key;
    row.ops_id = p->key->ops_id;
    sfr_format_nonce(&row, sfr_key_summary_of(p->key), &mark, p->ctr);
    sfr_format_aad(&row, &mark, wire, &f);
    row.in = p->frame + p->clear;
    row.out = wire + p->clear + header_size;
    row.size = p->size - p->clear;
    row.tag.write = row.out + row.size;
    p->key->ops->seal(rows, 1);
    return wire;
}
