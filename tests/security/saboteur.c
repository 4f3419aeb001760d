/* A kernel's operations do their work, then one thing that they must not do. One fault at a time,
 * in static variables: the operations have no argument to find it in. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "saboteur.h"

/* clang-format off */
static const char *const faults[] = {
    "nothing", "key bit",
    "sealed last byte", "sealed byte 1500", "sealed tag", "tag of row 3", "tag of one alone",
    "long AAD cut",
    "opens forgeries", "opens a lone forgery", "keeps plaintext", "refuses all",
    "refuses one alone", "opened last byte", "opened byte 1500", "opened one alone",
};
/* clang-format on */

/* Right in a self-test; wrong when another thread changes what is opened. */
#define READS_TWICE "reads twice"

static sfr_ops right;
static const char *fault;

const char *fault_name(size_t number)
{
    return number < sizeof faults / sizeof *faults ? faults[number] : NULL;
}

static bool is(const char *name)
{
    return strcmp(fault, name) == 0;
}

static void wrong_key_init(void *state, const uint8_t *sframe_key)
{
    uint8_t key[SFR_MAX_NK];
    memcpy(key, sframe_key, sizeof key);
    if (is("key bit")) key[15] ^= 0x80;
    right.key_init(state, key);
}

static void spoil(uint8_t *bytes, size_t size, size_t at)
{
    if (at < size) bytes[at] ^= 4;
}

/* The row with the last byte of a long AAD left out. */
static void cut_aad(sfr_row *const *rows, size_t count, int by)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i]->aad_size > 32) rows[i]->aad_size += by, rows[i]->aad[2].size += by;
}

static void wrong_seal(sfr_row *const *rows, size_t count)
{
    int cut = is("long AAD cut");
    cut_aad(rows, count, -cut);
    right.seal(rows, count);
    cut_aad(rows, count, cut);
    for (size_t i = 0; i < count; i++) {
        sfr_row *row = rows[i];
        if (is("sealed last byte")) spoil(row->out, row->size, row->size - 1);
        if (is("sealed byte 1500")) spoil(row->out, row->size, 1500);
        if (is("sealed tag")) row->tag.write[0] ^= 1;
        if (is("tag of row 3") && i == 3) row->tag.write[2] ^= 1;
        if (is("tag of one alone") && count == 1) row->tag.write[2] ^= 1;
    }
}

/* Decrypts without asking the tag: both modes XOR the same stream in either direction. */
static void decrypt(const sfr_row *row)
{
    uint8_t tag[SFR_MAX_TAG];
    sfr_row copy = *row, *rows[1] = {&copy};
    copy.tag.write = tag;
    right.seal(rows, 1);
}

static void wrong_open(sfr_row *const *rows, size_t count)
{
    right.open(rows, count);
    for (size_t i = 0; i < count; i++) {
        sfr_row *row = rows[i];
        bool forged = row->status != SFR_OK;
        if (forged && (is("opens forgeries") || is("keeps plaintext"))) decrypt(row);
        if (!forged && is(READS_TWICE)) decrypt(row);
        if (is("opens forgeries")) row->status = SFR_OK;
        if (is("opens a lone forgery") && forged && count == 1) {
            decrypt(row);
            row->status = SFR_OK;
        }
        if (is("refuses all") || (is("refuses one alone") && count == 1))
            row->status = SFR_AUTH_FAILED;
        if (is("opened last byte")) spoil(row->out, row->size, row->size - 1);
        if (is("opened byte 1500")) spoil(row->out, row->size, 1500);
        if (is("opened one alone") && count == 1) spoil(row->out, row->size, 0);
    }
}

static const sfr_ops *wrong(const sfr_ops *ops, const char *name)
{
    static sfr_ops made;
    right = *ops;
    fault = name;
    made = *ops;
    made.key_init = wrong_key_init, made.seal = wrong_seal, made.open = wrong_open;
    return &made;
}

int self_test_of(const char *kernel, int family, const char *name)
{
    sfr_kernel copy = *sfr_kernel_find(kernel);
    copy.ops[family] = wrong(copy.ops[family], name);
    return sfr_self_test(&copy);
}

void sabotage(sfr_kernel *kernels, size_t count)
{
    static char name[32];
    char kernel[32];
    int family;
    const char *asked = getenv("SABOTAGE");
    if (!asked || sscanf(asked, "%31[^/]/%d/%31[^\n]", kernel, &family, name) != 3) return;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(kernels[i].name, kernel))
            kernels[i].ops[family] = wrong(kernels[i].ops[family], name);
}

void self_test_times(const char *kernel, double *nanoseconds, size_t runs)
{
    for (size_t i = 0; i < runs; i++) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        (void)sfr_self_test(sfr_kernel_find(kernel));
        clock_gettime(CLOCK_MONOTONIC, &after);
        nanoseconds[i] =
            (double)(after.tv_sec - before.tv_sec) * 1e9 + (double)(after.tv_nsec - before.tv_nsec);
    }
}
