/* Finds any of many patterns at any place of a memory, and takes a copy of what a call leaves behind
 * in registers and below the stack pointer. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "scanner.h"

/* found[i] counts the places of pattern i. All patterns have SCANNED bytes. */
void scan(const uint8_t *memory, size_t size, const uint8_t *patterns, size_t count,
          uint32_t *found)
{
    static uint8_t first_two[1 << 16];
    memset(first_two, 0, sizeof first_two);
    for (size_t i = 0; i < count; i++)
        first_two[patterns[SCANNED * i] | patterns[SCANNED * i + 1] << 8] = 1;
    for (size_t at = 0; at + SCANNED <= size; at++) {
        if (!first_two[memory[at] | memory[at + 1] << 8]) continue;
        for (size_t i = 0; i < count; i++)
            if (!memcmp(memory + at, patterns + SCANNED * i, SCANNED)) found[i]++;
    }
}

/* ---- what a call leaves behind ---- */

#define ROWS 9

typedef void operation(sfr_row *const *rows, size_t count);

static sfr_row rows[ROWS], *order[ROWS];
_Static_assert(sizeof rows <= ROWS_ROOM, "rows fit");
static uint8_t aad[AAD]; /* more than a block: it is hashed apart */

/* Vector registers first: what copies the stack may use them. */
static __attribute__((noinline, target("avx512f"))) void take_zmm(uint8_t *to)
{
#define Z(n) __asm__ volatile("vmovdqu64 %%zmm" #n ", %0" : "=m"(*(__m512i *)(to + 64 * n)));
    Z(0)
    Z(1)
    Z(2)
    Z(3)
    Z(4)
    Z(5) Z(6) Z(7) Z(8) Z(9) Z(10) Z(11) Z(12) Z(13) Z(14) Z(15) Z(16) Z(17) Z(18) Z(19) Z(20) Z(21)
        Z(22) Z(23) Z(24) Z(25) Z(26) Z(27) Z(28) Z(29) Z(30) Z(31)
}

static __attribute__((noinline)) void take_xmm(uint8_t *to)
{
#define X(n) __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(*(__m128i *)(to + 64 * n)));
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
}

static __attribute__((noinline)) void take_stack(uint8_t *to)
{
    const uint8_t *here = __builtin_frame_address(0);
    for (size_t i = 0; i < STACK; i++) to[i] = ((volatile const uint8_t *)here)[i - STACK];
}

static void take(uint8_t *residue, bool wide)
{
    if (wide)
        take_zmm(residue);
    else
        take_xmm(residue);
    take_stack(residue + REGISTERS);
}

/* The seeded fault: round keys stay in registers and on the stack. */
static __attribute__((noinline)) void careless(sfr_row *const *some, size_t count)
{
    volatile uint8_t copy[1024];
    for (size_t i = 0; i < sizeof copy; i++) copy[i] = some[0]->key->state[i];
    __asm__ volatile("movdqu %0, %%xmm9" : : "m"(*(const __m128i *)some[count - 1]->key->state));
}

static void lay_out(void *key, uint8_t *in, uint8_t *out, uint8_t *tags, const size_t *sizes,
                    size_t count)
{
    for (unsigned i = 0; i < AAD; i++) aad[i] = (uint8_t)(i + 1);
    for (size_t i = 0; i < count; i++) {
        order[i] = &rows[i];
        rows[i] = (sfr_row){.key = key, .in = in, .out = out, .size = sizes[i], .aad_size = AAD};
        rows[i].aad[0] = (sfr_span){aad, AAD};
        memcpy(rows[i].aad_head, aad, 16);
        rows[i].block[0] = i;
        rows[i].tag.write = tags + SFR_MAX_TAG * i;
        in += sizes[i], out += sizes[i];
    }
}

/* Runs one operation on up to nine rows, then copies what it left to `residue`; and the rows, which
 * lie in its callers' stack. */
void run_and_look(const char *name, void *key, uint8_t *in, uint8_t *out, uint8_t *tags,
                  const size_t *sizes, size_t count, int *statuses, uint8_t *residue)
{
    const sfr_ops *ops = ((const sfr_key *)key)->ops;
    bool wide = __builtin_cpu_supports("avx512f");
    operation *run = !strcmp(name, "seal") ? ops->seal : ops->open;
    if (!strcmp(name, "careless")) run = careless;
    lay_out(key, in, out, tags, sizes, count);
    memset(residue, 0, REGISTERS + STACK);
    run(order, count);
    take(residue, wide);
    memcpy(residue + REGISTERS + STACK, rows, sizeof rows);
    for (size_t i = 0; i < count; i++) statuses[i] = rows[i].status;
}

/* The whole of key set-up, as a Sender's: from base_key on. */
void set_up_and_look(const char *kernel, int suite, uint64_t kid, const uint8_t *base_key,
                     size_t size, uint8_t *residue)
{
    bool wide = __builtin_cpu_supports("avx512f");
    uint8_t fingerprint[16];
    memset(residue, 0, REGISTERS + STACK);
    sfr_secret *secret = sfr_secret_new(sfr_suite_find(suite), base_key, size);
    size_t key_size = sfr_key_size(secret->suite, sfr_kernel_find(kernel));
    sfr_key *key = sfr_arena_alloc(key_size);
    (void)sfr_key_init(key, secret, sfr_kernel_find(kernel), kid, fingerprint);
    take(residue, wide);
    sfr_arena_free(key, key_size);
    sfr_secret_free(secret);
}

/* ---- what the library keeps ---- */

const uint8_t *state_of_key(void *key, size_t *size)
{
    *size = ((const sfr_key *)key)->ops->state_size;
    return ((const sfr_key *)key)->state;
}

const uint8_t *midstates_of(const sfr_secret *secret, size_t *size)
{
    *size = 2 * (size_t)secret->suite->nh;
    return (const uint8_t *)&secret->prk;
}
