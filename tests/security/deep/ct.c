/* Key set-up, sealing and opening with secrets that a tool follows, or that a tracer compares.
 *
 * Rule 1: secret are base_key (so all that is derived from it) and plaintext.
 * Rule 2: public are sizes, AAD, ciphertext, tag, and the verdict: nothing else is declassified.
 *
 * As a program, `ct KERNEL SUITE FAULT`, it does everything with every length and names what it
 * has done; FAULT is a seeded fault to do as well, or "none".
 */
#include "ct.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(CT_MSAN)
#include <sanitizer/msan_interface.h>
#define SECRET(p, n) __msan_allocated_memory(p, n)
#define PUBLIC(p, n) __msan_unpoison(p, n)
#elif defined(CT_VALGRIND)
#include <valgrind/memcheck.h>
#define SECRET(p, n) (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n)
#define PUBLIC(p, n) (void)VALGRIND_MAKE_MEM_DEFINED(p, n)
#else
#define SECRET(p, n) ((void)(p), (void)(n))
#define PUBLIC(p, n) ((void)(p), (void)(n))
#endif

#ifdef CT_IMPORTED
ct_imports ct_imported;
#endif

static ct_work work;
static uint8_t base_key[32], fingerprint[16], aad[64];
static _Alignas(64) uint8_t plain[CT_ROWS][CT_ROOM], sealed[CT_ROWS][CT_ROOM];
static _Alignas(64) uint8_t opened[CT_ROWS][CT_ROOM];
static uint8_t tags[CT_ROWS][SFR_MAX_TAG];
static sfr_row rows[CT_ROWS], *order[CT_ROWS];
static sfr_secret *secret;
static _Alignas(64) uint8_t key_room[8192];
static sfr_key *const key = (sfr_key *)(void *)key_room;
volatile int ct_result; /* so that nothing is left out */

void ct_public(const void *p, size_t size)
{
    PUBLIC((void *)(uintptr_t)p, size);
}

static bool is(const char *operation)
{
    return strcmp(work.operation, operation) == 0;
}

/* ---- before ---- */

static void fill(uint8_t *out, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        out[i] = (uint8_t)(seed >> 24);
    }
}

static void set_up(void)
{
    secret = sfr_secret_new(sfr_suite_find(work.suite), base_key, sizeof base_key);
    (void)sfr_key_init(key, secret, sfr_kernel_find(work.kernel), 0x1234, fingerprint);
}

static void lay_out(void)
{
    for (size_t i = 0; i < work.count; i++) {
        sfr_row *row = order[i] = &rows[i];
        memset(row, 0, sizeof *row);
        row->key = key;
        row->block[0] = key->salt_head | (key->salt_tail ^ i) << 32;
        row->block[1] = (key->salt_tail ^ i) >> 32;
        memcpy(row->aad_head, aad, work.aad_size < 16 ? work.aad_size : 16);
        row->aad[0] =
            (sfr_span){(const uint8_t *)row->aad_head, work.aad_size < 16 ? work.aad_size : 16};
        row->aad[1] = (sfr_span){aad + row->aad[0].size, work.aad_size - row->aad[0].size};
        row->aad_size = work.aad_size;
        row->size = work.sizes[i];
        row->in = plain[i], row->out = sealed[i], row->tag.write = tags[i];
    }
}

static void turn_round(void)
{
    for (size_t i = 0; i < work.count; i++) {
        PUBLIC(sealed[i], work.sizes[i]);
        PUBLIC(tags[i], sizeof tags[i]);
        rows[i].in = sealed[i], rows[i].out = opened[i];
        rows[i].status = 99;
        memset(rows[i].aad_head, 0, 16);
        memcpy(rows[i].aad_head, aad, work.aad_size < 16 ? work.aad_size : 16);
        if (!is("open_good")) tags[i][work.seed % key->tag_size] ^= 0x40;
    }
}

/* Names always lie at one place: strcmp takes other steps near the end of a page. */
static void keep_names(void)
{
    static char kernel[16], operation[16];
    work.kernel = strncpy(kernel, work.kernel, sizeof kernel - 1);
    work.operation = strncpy(operation, work.operation, sizeof operation - 1);
}

int ct_prepare(const ct_work *asked)
{
    work = *asked;
    keep_names();
    if (!sfr_kernel_find(work.kernel)) return 0;
    fill(base_key, sizeof base_key, work.seed);
    fill(plain[0], sizeof plain, work.seed + 1);
    for (unsigned i = 0; i < sizeof aad; i++) aad[i] = (uint8_t)i;
    SECRET(base_key, sizeof base_key);
    SECRET(plain, sizeof plain);
    if (is("key_setup")) return 1;
    set_up();
    lay_out();
    if (is("seal")) return 1;
    key->ops->seal(order, work.count);
    turn_round();
    return 1;
}

/* ---- what is watched ---- */

/* The seeded faults: a comparison that ends at the first difference, and a table in memory. */
static int leaky_compare(void)
{
    uint8_t right[SFR_MAX_TAG];
    size_t i = 0;
    lay_out();
    rows[0].tag.write = right;
    key->ops->seal(order, 1);
    while (i < key->tag_size && right[i] == tags[0][i]) i++;
    return i == key->tag_size;
}

static int secret_index(void)
{
    static const volatile uint8_t table[256] = {1, 2, 3};
    return table[key->state[0]];
}

void ct_run(void)
{
    if (is("key_setup"))
        set_up();
    else if (is("seal"))
        key->ops->seal(order, work.count);
    else if (is("leaky_compare"))
        ct_result = leaky_compare();
    else if (is("secret_index"))
        ct_result = secret_index();
    else
        key->ops->open(order, work.count);
}

void ct_finish(void)
{
    sfr_secret_free(secret);
    secret = NULL;
}

/* ---- all of it ---- */

#ifndef CT_IMPORTED
static bool verdicts_are(int status)
{
    for (size_t i = 0; i < work.count; i++)
        if (rows[i].status != status) return false;
    return true;
}

static void check(ct_work asked)
{
    if (!ct_prepare(&asked)) exit(2);
    ct_run();
    if (is("open_good") && !verdicts_are(SFR_OK)) exit(3);
    if (is("open_bad") && !verdicts_are(SFR_AUTH_FAILED)) exit(4);
    ct_finish();
}

static void check_all_sizes(ct_work asked)
{
    static const size_t sizes[] = {0,   1,   16,  40,  111,  160,  161,
                                   300, 368, 369, 700, 1300, 2100, 5000};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (asked.aad_size = 9; asked.aad_size < 60; asked.aad_size += 31) {
        for (size_t i = 0; i < SIZES; i++) {
            for (asked.count = 1; asked.count <= CT_ROWS; asked.count += CT_ROWS - 1) {
                for (size_t row = 0; row < CT_ROWS; row++) asked.sizes[row] = sizes[i];
                check(asked);
            }
            for (size_t row = 0; row < CT_ROWS; row++) asked.sizes[row] = sizes[(i + row) % SIZES];
            asked.count = CT_ROWS;
            check(asked);
        }
    }
    printf("%s %d %s\n", asked.kernel, asked.suite, asked.operation);
}

int main(int argc, char **argv)
{
    static const char *const operations[] = {"key_setup", "seal", "open_good", "open_bad"};
    if (argc != 4) return 2;
    setbuf(stdout, NULL); /* what is written before an abort counts */
    sfr_init(NULL);
    ct_work asked = {.kernel = argv[1], .suite = atoi(argv[2]), .seed = 1};
    for (size_t i = 0; i < 4; i++) {
        asked.operation = operations[i];
        check_all_sizes(asked);
    }
    asked.operation = argv[3], asked.count = 1, asked.sizes[0] = 160, asked.aad_size = 9;
    if (strcmp(argv[3], "none")) check(asked);
    return 0;
}
#endif
