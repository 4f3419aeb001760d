/* Known answers for each kernel, run before a kernel is trusted.
 *
 * CPUs, emulators and compilers that compute AES wrongly in one width have been seen in the wild; a
 * kernel that fails here is never used. Eight rows of awkward sizes and AADs go through each family
 * in one interleaved call. Their folded tags, which cover every byte of ciphertext, must equal
 * those of an independent library. AES-GCM has separate code for many lengths, and for frames of
 * equal length, so five rows of each length go through it: some run together and one alone.
 */
#include "aead/kernels.h"
#include "hash/hash.h"
#include "platform/arena.h"

#define ROWS 8
#define BUFFER 3200

static const uint16_t sizes[ROWS] = {0, 1, 16, 47, 160, 161, 700, 1700};
static const uint8_t aads[ROWS] = {1, 3, 16, 17, 9, 37, 12, 70};

#define ALIKE 5
#define LENGTHS 23
static const uint16_t lengths[LENGTHS] = {13,  29,  45,  61,  77,  93,  109, 125,
                                          141, 157, 173, 189, 205, 221, 237, 253,
                                          290, 350, 420, 490, 550, 600, 640};

typedef struct known {
    int suite; /* reported when the answer is wrong */
    uint8_t tag_size;
    uint8_t fold[16];  /* XOR of the tags, with the tag of row i rotated by i bytes */
    uint8_t alike[16]; /* the same over all lengths, number n rotated by n more; GCM only */
} known;

/* clang-format off */
static const known answers[SFR_FAMILIES] = {
    [SFR_GCM_128] = {4, 16, {0xe3, 0xe8, 0x25, 0xb4, 0x96, 0xad, 0x9f, 0xd9,
                             0x25, 0x17, 0x48, 0x81, 0x08, 0xa2, 0x86, 0xbb},
                        {0x02, 0x45, 0x9f, 0x28, 0x10, 0x63, 0xba, 0x25,
                         0x7d, 0x20, 0x13, 0x4b, 0x30, 0x69, 0x78, 0x9f}},
    [SFR_GCM_256] = {5, 16, {0x3e, 0x2a, 0x6e, 0x2f, 0x74, 0xd6, 0x8f, 0x34,
                             0xaf, 0x55, 0xfd, 0x85, 0xee, 0xcd, 0xe3, 0x69},
                        {0x4a, 0x0f, 0x61, 0x8c, 0xa2, 0x3a, 0x52, 0xbe,
                         0xd3, 0xf4, 0xbd, 0xbd, 0xfc, 0x6b, 0xee, 0x82}},
    [SFR_CTR_HMAC_128] = {1, 10, {0xe7, 0xfe, 0x89, 0x73, 0xf1, 0x4b, 0xd4, 0x50,
                                  0x8c, 0x31, 0x6a, 0x72, 0x0f, 0xc8, 0x5b, 0x07}, {0}},
    [SFR_CTR_HMAC_256] = {6, 10, {0xdf, 0xd2, 0x4b, 0x9e, 0x3e, 0xfa, 0x3e, 0x69,
                                  0x91, 0xab, 0x53, 0x50, 0x14, 0x7b, 0x91, 0xeb}, {0}},
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

/* Row i is sizes[i * step] bytes long. */
static void lay_out(bench *b, const sfr_key *key, unsigned rows, const uint16_t *sizes,
                    unsigned step)
{
    size_t at = 0;
    for (unsigned i = 0; i < rows; i++, sizes += step) {
        sfr_row *row = b->order[i] = &b->rows[i];
        fill(b->plain + at, *sizes, 7, i);
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
        row->size = *sizes;
        row->tag.write = b->tags[i];
        at += *sizes;
    }
}

static void fold_tags(uint8_t fold[16], const bench *b, unsigned rows, unsigned turned,
                      unsigned size)
{
    for (unsigned i = 0; i < rows; i++)
        for (unsigned j = 0; j < size; j++) fold[(i + turned + j) % 16] ^= b->tags[i][j];
}

static bool seals_right(const bench *b, const known *answer)
{
    uint8_t fold[16] = {0};
    fold_tags(fold, b, ROWS, 0, answer->tag_size);
    return memcmp(fold, answer->fold, 16) == 0;
}

/* The row whose tag is corrupted before anything is opened. */
#define FORGED 4

static void turn_round(bench *b, unsigned rows)
{
    for (unsigned i = 0; i < rows; i++) {
        b->rows[i].in = b->rows[i].out;
        b->rows[i].out = b->opened + (b->rows[i].in - b->sealed);
    }
    b->tags[FORGED][3] ^= 0x10;
}

static bool is_opened(const bench *b, unsigned i)
{
    static const uint8_t zeros[640];
    const sfr_row *row = &b->rows[i];
    const uint8_t *expect = i == FORGED ? zeros : b->plain + (row->in - b->sealed);
    return row->status == (i == FORGED ? SFR_AUTH_FAILED : SFR_OK) &&
           memcmp(row->out, expect, row->size) == 0;
}

static bool opens_right(bench *b, const sfr_ops *ops, unsigned rows)
{
    ops->open(b->order, rows);
    for (unsigned i = 0; i < rows; i++)
        if (!is_opened(b, i)) return false;
    return true;
}

/* Most kernels run a single row on other code than eight rows. */
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
        memset(b->rows[i].out, 0xa5, b->rows[i].size);
        ops->open(&b->order[i], 1);
        if (!is_opened(b, i)) return false;
    }
    return true;
}

static bool works_alike(bench *b, const sfr_ops *ops, const sfr_key *key, const known *answer)
{
    uint8_t fold[16] = {0};
    for (unsigned n = 0; n < LENGTHS; n++) {
        lay_out(b, key, ALIKE, &lengths[n], 0);
        ops->seal(b->order, ALIKE);
        fold_tags(fold, b, ALIKE, n, answer->tag_size);
        turn_round(b, ALIKE);
        if (!opens_right(b, ops, ALIKE)) return false;
    }
    return memcmp(fold, answer->alike, 16) == 0;
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
    lay_out(b, key, ROWS, sizes, 1);
    ops->seal(b->order, ROWS);
    bool works = seals_right(b, answer) && seals_alone(b, ops);
    if (works) turn_round(b, ROWS);
    works = works && opens_right(b, ops, ROWS) && opens_alone(b, ops);
    if (answer->tag_size == 16) works = works && works_alike(b, ops, key, answer);
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
