/* Real delays for trials of the gates: `bench/trial.py` copies this file into the csrc/ of a copy
 * of the library and links that with --wrap for every kernel's operations. Nothing of it is in the
 * library itself.
 *
 * PYSFRAME_TRIAL, or delay_set, holds what is slow: clauses of
 *
 *   KIND KERNEL FAMILY HALF SIZE STEPS;
 *
 * KERNEL vaes512, vaes256, aesni; FAMILY 0 and 1 GCM with AES-128 and AES-256, 2 and 3 HMAC with
 * them; HALF seal or open; SIZE in bytes of the frame; * stands for any. KIND says which frames
 * take STEPS steps longer: `frame` each, `late` one of LATE_FRAMES, `edge` those that end where
 * a page ends, `aad` those with a long AAD, `mixed` those in a call of different lengths, `keys`
 * those whose key was not used lately, `crowd` those while two threads work. `init`
 * delays the making of a key, and `bytes` makes one larger by STEPS bytes. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum { CLAUSES = 64, TABLE = 1024, LATE_FRAMES = 13 * 64, PAGE = 4096, FAMILIES_HERE = 4 };

typedef struct clause {
    char kind[8], kernel[12], family[4], half[6], size[8];
    double steps;
} clause;

static clause clauses[CLAUSES];
static size_t count;
static const sfr_key *used[TABLE];
static uint64_t frames;

/* ---- which frames ---- */

/* Whether more than one thread lives beside those that the first thread has seen at least, when it
 * used the library: NumPy has some, and one that was joined may take a while to go. They need not be
 * inside the library, where batches that keep the GIL never meet. Linux counts threads as links of the
 * folder. */
static int crowded(void)
{
    static _Atomic nlink_t least;
    struct stat task;
    if (stat("/proc/self/task", &task)) return 0;
    if (gettid() == getpid() && (!least || task.st_nlink < least)) least = task.st_nlink;
    return task.st_nlink > least + 1;
}

static int mixed(sfr_row *const *rows, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (rows[i]->size != rows[0]->size) return 1;
    return 0;
}

static int unused_lately(const sfr_key *key)
{
    const sfr_key **at = &used[((uintptr_t)key >> 6) * 0x9e3779b97f4a7c15 >> 54];
    int unused = *at != key;
    *at = key;
    return unused;
}

static int fits(const char *pattern, const char *value)
{
    return !strcmp(pattern, "*") || !strcmp(pattern, value);
}

static int is_for(const clause *c, const char *kernel, const char *family, const char *half)
{
    return fits(c->kernel, kernel) && fits(c->family, family) && fits(c->half, half);
}

static int is_slow(const clause *c, const sfr_row *row, int in_mixed, int in_crowd)
{
    if (strcmp(c->size, "*") && (size_t)atoi(c->size) != row->size) return 0;
    if (!strcmp(c->kind, "frame")) return 1;
    if (!strcmp(c->kind, "late")) return ++frames % LATE_FRAMES == 0;
    if (!strcmp(c->kind, "edge")) return ((uintptr_t)row->in + row->size) % PAGE == 0;
    if (!strcmp(c->kind, "aad")) return row->aad_size > 16;
    if (!strcmp(c->kind, "mixed")) return in_mixed;
    if (!strcmp(c->kind, "keys")) return unused_lately(row->key);
    if (!strcmp(c->kind, "crowd")) return in_crowd;
    return 0;
}

/* ---- the delay ---- */

/* Each step waits for the one before it, and so for the core, as code that is slow does: where the
 * core is slower, or shared, the delay is longer, too. */
static void spend(double steps)
{
    uint64_t value = 1;
    for (; steps >= 1; steps--) {
        value *= 0x9e3779b97f4a7c15;
        __asm__ volatile("" : "+r"(value));
    }
}

static void delay(const char *kernel, const char *family, const char *half, sfr_row *const *rows,
                  size_t n)
{
    double steps = 0;
    for (const clause *c = clauses; c < clauses + count; c++) {
        if (!is_for(c, kernel, family, half)) continue;
        int in_mixed = mixed(rows, n), in_crowd = !strcmp(c->kind, "crowd") && crowded();
        for (size_t i = 0; i < n; i++)
            if (is_slow(c, rows[i], in_mixed, in_crowd)) steps += c->steps;
    }
    spend(steps);
}

static double total(const char *kind, const char *kernel, const char *family)
{
    double steps = 0;
    for (const clause *c = clauses; c < clauses + count; c++)
        if (!strcmp(c->kind, kind) && is_for(c, kernel, family, "*")) steps += c->steps;
    return steps;
}

__attribute__((visibility("default"))) void delay_set(const char *text)
{
    count = 0;
    for (int used_up; count < CLAUSES; text += used_up, count++) {
        clause *c = &clauses[count];
        if (sscanf(text, " %7s %11s %3s %5s %7s %lf ;%n", c->kind, c->kernel, c->family, c->half,
                   c->size, &c->steps, &used_up) != 6)
            return;
    }
}

/* ---- between the library and each kernel ---- */

#define BETWEEN(family, kernel, symbol)                                         \
    extern const sfr_ops __real_##symbol;                                       \
    sfr_ops __wrap_##symbol;                                                    \
    static void symbol##_init(void *state, const uint8_t *key)                  \
    {                                                                           \
        spend(total("init", #kernel, #family));                                 \
        __real_##symbol.key_init(state, key);                                   \
    }                                                                           \
    static void symbol##_seal(sfr_row *const *rows, size_t n)                   \
    {                                                                           \
        delay(#kernel, #family, "seal", rows, n);                               \
        __real_##symbol.seal(rows, n);                                          \
    }                                                                           \
    static void symbol##_open(sfr_row *const *rows, size_t n)                   \
    {                                                                           \
        delay(#kernel, #family, "open", rows, n);                               \
        __real_##symbol.open(rows, n);                                          \
    }                                                                           \
    __attribute__((constructor)) static void symbol##_wrap(void)                \
    {                                                                           \
        const char *text = getenv("PYSFRAME_TRIAL");                            \
        if (text) delay_set(text);                                              \
        __wrap_##symbol = __real_##symbol;                                      \
        __wrap_##symbol.key_init = symbol##_init;                               \
        __wrap_##symbol.seal = symbol##_seal;                                   \
        __wrap_##symbol.open = symbol##_open;                                   \
        __wrap_##symbol.state_size += (size_t)total("bytes", #kernel, #family); \
    }

#define KERNEL(name)                         \
    BETWEEN(0, name, sfr_gcm128_##name)      \
    BETWEEN(1, name, sfr_gcm256_##name)      \
    BETWEEN(2, name, sfr_ctr_hmac128_##name) \
    BETWEEN(3, name, sfr_ctr_hmac256_##name)

KERNEL(vaes512)
KERNEL(vaes256)
KERNEL(aesni)
