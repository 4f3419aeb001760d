/* Known answers for each kernel, run before a kernel is trusted.
 *
 * A CPU, an emulator or a compiler that computes AES wrongly in one width has been seen in the
 * wild; a kernel that fails here is never used. Eight rows of awkward sizes and AADs go through
 * each family in one interleaved call; the folded tags, which cover every byte of ciphertext,
 * must be the ones an independent library gave.
 */
#include "sfr_internal.h"

#define ROWS 8
#define BUFFER 3072

static const uint16_t sizes[ROWS] = {0, 1, 16, 47, 160, 161, 700, 1700};
static const uint8_t aads[ROWS] = {1, 3, 16, 17, 9, 37, 12, 70};

typedef struct known {
    int suite; /* reported when the answer is wrong */
    uint8_t tag_size;
    uint8_t fold[16]; /* XOR of the tags, that of row i turned by i bytes */
} known;

/* clang-format off */
static const known answers[SFR_FAMILIES] = {
    [SFR_GCM_128] = {4, 16, {0xe3, 0xe8, 0x25, 0xb4, 0x96, 0xad, 0x9f, 0xd9,
                             0x25, 0x17, 0x48, 0x81, 0x08, 0xa2, 0x86, 0xbb}},
    [SFR_GCM_256] = {5, 16, {0x3e, 0x2a, 0x6e, 0x2f, 0x74, 0xd6, 0x8f, 0x34,
                             0xaf, 0x55, 0xfd, 0x85, 0xee, 0xcd, 0xe3, 0x69}},
    [SFR_CTR_HMAC_128] = {1, 10, {0xe7, 0xfe, 0x89, 0x73, 0xf1, 0x4b, 0xd4, 0x50,
                                  0x8c, 0x31, 0x6a, 0x72, 0x0f, 0xc8, 0x5b, 0x07}},
    [SFR_CTR_HMAC_256] = {6, 10, {0xdf, 0xd2, 0x4b, 0x9e, 0x3e, 0xfa, 0x3e, 0x69,
                                  0x91, 0xab, 0x53, 0x50, 0x14, 0x7b, 0x91, 0xeb}},
};
/* clang-format on */

typedef struct bench {
    sfr_row rows[ROWS];
    sfr_row *order[ROWS];
    uint8_t aad[ROWS][80], tags[ROWS][16];
    uint8_t plain[BUFFER], sealed[BUFFER], opened[BUFFER];
} bench;

static void fill(uint8_t *out, size_t size, unsigned step, unsigned from)
{
    for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(step * i + from);
}

static void lay_out(bench *b, const sfr_key *key)
{
    size_t at = 0;
    for (unsigned i = 0; i < ROWS; i++) {
        sfr_row *row = b->order[i] = &b->rows[i];
        fill(b->plain + at, sizes[i], 7, i);
        fill(b->aad[i], aads[i], 3, i);
        memcpy(row->aad_head, b->aad[i], 16);
        memset((uint8_t *)row->aad_head + (aads[i] < 16 ? aads[i] : 16), 0,
               aads[i] < 16 ? 16u - aads[i] : 0);
        row->key = key;
        row->block[0] = 0x0101010101010101u * (0x50 + i);
        row->block[1] = 0x01010101u * (0x50 + i);
        row->aad_size = aads[i];
        row->aad[0] = (sfr_span){b->aad[i], aads[i] / 2};
        row->aad[1] = (sfr_span){b->aad[i], 0};
        row->aad[2] = (sfr_span){b->aad[i] + aads[i] / 2, aads[i] - aads[i] / 2u};
        row->in = b->plain + at;
        row->out = b->sealed + at;
        row->size = sizes[i];
        row->tag.write = b->tags[i];
        at += sizes[i];
    }
}

static bool seals_right(bench *b, const known *answer)
{
    uint8_t fold[16] = {0};
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned j = 0; j < answer->tag_size; j++) fold[(i + j) % 16] ^= b->tags[i][j];
    return memcmp(fold, answer->fold, 16) == 0;
}

/* The row whose tag is spoiled before anything is opened. */
#define FORGED 4

static void turn_round(bench *b)
{
    for (unsigned i = 0; i < ROWS; i++) {
        b->rows[i].in = b->rows[i].out;
        b->rows[i].out = b->opened + (b->rows[i].in - b->sealed);
    }
    b->tags[FORGED][3] ^= 0x10;
}

static bool is_opened(const bench *b, unsigned i)
{
    static const uint8_t zeros[160];
    const sfr_row *row = &b->rows[i];
    const uint8_t *expect = i == FORGED ? zeros : b->plain + (row->in - b->sealed);
    return row->status == (i == FORGED ? SFR_AUTH_FAILED : SFR_OK) &&
           memcmp(row->out, expect, sizes[i]) == 0;
}

static bool opens_right(bench *b, const sfr_ops *ops)
{
    ops->open(b->order, ROWS);
    for (unsigned i = 0; i < ROWS; i++)
        if (!is_opened(b, i)) return false;
    return true;
}

/* One row alone takes another way through most kernels than eight. */
static bool seals_alone(bench *b, const sfr_ops *ops)
{
    uint8_t alone[16], among[16];
    memcpy(among, b->tags[5], 16);
    b->rows[5].tag.write = alone;
    memset(alone, 0, 16);
    ops->seal(&b->order[5], 1);
    b->rows[5].tag.write = b->tags[5];
    return memcmp(alone, among, 10) == 0;
}

static bool opens_alone(bench *b, const sfr_ops *ops)
{
    for (unsigned i = FORGED; i <= FORGED + 1; i++) {
        b->rows[i].status = -1;
        memset(b->rows[i].out, 0xa5, sizes[i]);
        ops->open(&b->order[i], 1);
        if (!is_opened(b, i)) return false;
    }
    return true;
}

static bool family_works(const sfr_ops *ops, const known *answer, bench *b)
{
    size_t size = sizeof(sfr_key) + ops->state_size;
    sfr_key *key = sfr_arena_alloc(size);
    if (!key) return false;
    uint8_t sframe_key[SFR_MAX_NK];
    fill(sframe_key, sizeof sframe_key, 1, 0);
    key->ops = ops, key->tag_size = answer->tag_size;
    ops->key_init(key->state, sframe_key);
    memset(b, 0, sizeof *b);
    lay_out(b, key);
    ops->seal(b->order, ROWS);
    bool works = seals_right(b, answer) && seals_alone(b, ops);
    if (works) turn_round(b);
    works = works && opens_right(b, ops) && opens_alone(b, ops);
    sfr_arena_free(key, size);
    return works;
}

int sfr_self_test(const sfr_kernel *kernel)
{
    bench b;
    for (int family = 0; family < SFR_FAMILIES; family++)
        if (!family_works(kernel->ops[family], &answers[family], &b)) return answers[family].suite;
    return 0;
}
