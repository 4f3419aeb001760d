/* Real delays for trials of the gates: `bench/trial.py` copies this file into the csrc/ of a copy
 * of the library and links that with --wrap=sfr_init, after which every kernel of the library's table
 * has operations of this file, which call its own; and with --wrap for the functions below that lie
 * around a batch. Nothing of it is in the library itself.
 *
 * SFR_TRIAL, or delay_set, holds what is slow: clauses of
 *
 *   KIND KERNEL FAMILY HALF SIZE STEPS;
 *
 * KERNEL by its name in the table; FAMILY 0 and 1 GCM with AES-128 and AES-256, 2 and 3 HMAC with
 * them; HALF seal or open; SIZE in bytes of the frame; * stands for any. KIND says which frames
 * take STEPS steps longer: `frame` each, `late` one of LATE_FRAMES, `edge` those that end where
 * a page ends, `aad` those with a long AAD, `mixed` those in a call of different lengths, `keys`
 * those whose key was not used lately, `crowd` those while two threads work. `init`
 * delays the making of a key, and `bytes` makes one larger by STEPS bytes. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum { CLAUSES = 64, TABLE = 1024, LATE_FRAMES = 13 * 64, PAGE = 4096 };

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

/* Jumps, each to another cache line: where a core shares its front end with a thread that this
 * machine does not show, they take half as long again, as cryptography's call and ours do. A chain of
 * multiplications does not, and a delay that was made on one core would be too short on another. A step
 * of four jumps takes 1.4 to 2.1 ns. */
#ifdef __x86_64__
#define JUMP "jmp "
#else
#define JUMP "b "
#endif

static void spend(double steps)
{
    for (; steps >= 1; steps--)
        __asm__ volatile(JUMP "1f\n\t.p2align 6\n1:\t" JUMP "2f\n\t.p2align 6\n2:\t" JUMP
                              "3f\n\t.p2align 6\n3:\t" JUMP "4f\n\t.p2align 6\n4:");
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

/* ---- around a batch: between the library and what it calls ---- */

static double total_of(const char *kind)
{
    return count ? total(kind, "*", "*") : 0;
}

#define CALL(kind, type, name, parameters, arguments) \
    extern type __real_##name parameters;             \
    type __wrap_##name parameters;                    \
    type __wrap_##name parameters                     \
    {                                                 \
        spend(total_of(kind));                        \
        return __real_##name arguments;               \
    }

CALL("buffer", int, PyObject_GetBuffer, (void *of, void *view, int flags), (of, view, flags))
CALL("view", void *, PyMemoryView_FromObject, (void *of), (of))
CALL("block", void *, PyBytes_FromStringAndSize, (const char *text, ptrdiff_t size), (text, size))
CALL("header", int, sfr_header_parse, (const uint8_t *in, size_t size, int strict, sfr_header *out),
     (in, size, strict, out))

extern size_t __real_sfr_receiver_keys(sfr_receiver *, sfr_key_stats *, size_t);
size_t __wrap_sfr_receiver_keys(sfr_receiver *, sfr_key_stats *, size_t);
size_t __wrap_sfr_receiver_keys(sfr_receiver *receiver, sfr_key_stats *out, size_t room)
{
    size_t found = __real_sfr_receiver_keys(receiver, out, room);
    spend(total_of("report") * (double)found);
    return found;
}

__attribute__((constructor)) static void load(void)
{
    const char *text = getenv("SFR_TRIAL");
    if (text) delay_set(text);
    spend(total_of("load"));
}

/* ---- between the library and each kernel of its table ---- */

typedef struct slowed {
    sfr_ops ops; /* first: what a key points to */
    const sfr_ops *real;
    const char *kernel;
    char family[2];
} slowed;

static const slowed *slowed_of(const sfr_key *key)
{
    return (const slowed *)(const void *)key->ops;
}

static void slow_init(void *state, const uint8_t *sframe_key)
{
    const slowed *s = slowed_of((const void *)((uint8_t *)state - offsetof(sfr_key, state)));
    spend(total("init", s->kernel, s->family));
    s->real->key_init(state, sframe_key);
}

static void slow_seal(sfr_row *const *rows, size_t n)
{
    const slowed *s = slowed_of(rows[0]->key);
    delay(s->kernel, s->family, "seal", rows, n);
    s->real->seal(rows, n);
}

static void slow_open(sfr_row *const *rows, size_t n)
{
    const slowed *s = slowed_of(rows[0]->key);
    delay(s->kernel, s->family, "open", rows, n);
    s->real->open(rows, n);
}

static const sfr_ops *slowed_new(const sfr_ops *real, const char *kernel, int family)
{
    slowed *s = calloc(1, sizeof *s);
    if (!s) abort();
    *s = (slowed){.ops = *real, .real = real, .kernel = kernel, .family = {(char)('0' + family)}};
    s->ops.key_init = slow_init, s->ops.seal = slow_seal, s->ops.open = slow_open;
    s->ops.state_size += (size_t)total("bytes", kernel, s->family);
    return &s->ops;
}

/* The library has chosen and tested its kernels, and nobody has a key yet. */
int __real_sfr_init(const char *max_isa);
int __wrap_sfr_init(const char *max_isa)
{
    static int done;
    int ready = __real_sfr_init(max_isa);
    for (size_t i = 0; !done && i < sfr_kernel_count(); i++) {
        sfr_kernel *kernel = (sfr_kernel *)(uintptr_t)sfr_kernel_at(i);
        for (int family = 0; family < SFR_FAMILIES; family++)
            if (kernel->ops[family])
                kernel->ops[family] = slowed_new(kernel->ops[family], kernel->name, family);
    }
    done = 1;
    return ready;
}
