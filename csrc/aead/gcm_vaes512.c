/* AES-GCM (SP 800-38D) for many short frames at once, on VAES and VPCLMULQDQ in 512-bit registers.
 * Needs AVX-512 F, BW, DQ and VL as well.
 *
 * A frame is a row of quads, registers of four 16-byte lanes. Lane 0 of its first quad carries no
 * data:
 *
 *     encrypted:   J0       block 2   block 3   block 4  |  block 5 ...      counter blocks
 *     carried:     -        data 0    data 1    data 2   |  data 3  ...      bytes of the frame
 *     hashed:      AAD      cipher 0  cipher 1  cipher 2 |  cipher 3 ...     terms of GHASH
 *
 * So E(K, J0), which masks the tag, costs nothing, and the AAD needs no hashing of its own: an AAD
 * of more than 16 bytes is folded to one block first. Three ideas make it fast:
 *
 *   1. Powers of H lie in descending order. The n lanes of a frame meet H^(n+1) .. H^2 and the
 *      length block meets H^1: the powers of any quad are one unaligned load, and a frame needs
 *      one reduction (a long one needs one for every 80 blocks).
 *   2. AES and carry-less multiplication are different execution units. While the rounds of one
 *      unit of work are in flight, the quads of another, whose ciphertext is known, are hashed.
 *   3. Four frames compute their tags together, one in each lane.
 *
 * All other vector operations compete with AES and multiplication for the same few execution ports.
 * Their number is what counts, and the code is written to minimize it.
 *
 * If the data of short frames fill their quads, lane 0 would cost each of them one more quad. Four
 * such frames with one key then share a quad for their J0s and one for their AADs: they are "full".
 * The others are "led" by lane 0.
 *
 * The number of quads, the number of rounds and the direction are constants of each variant. Forced
 * inlining generates the variants from a few functions:
 *
 *     gcm_vaes512_words.h   registers, the key, the ends of buffers
 *     gcm_vaes512_ghash.h   GHASH and tags
 *     gcm_vaes512_short.h   AES; one frame, or four together
 *     gcm_vaes512_long.h    streams of long frames
 *     this file             the variants, and which rows run on which
 *
 * Rules: no access touches an address outside a row's buffers, nor does a masked access name one
 * that might lie in an unmapped page (see load_end). In opening each byte is read once. Branches
 * and addresses depend on sizes and on the verdict, never on keys or contents.
 */
#include "aead/kernels.h"

#ifdef SFR_X86
#include "aead/gcm_vaes512_long.h"

/* ---- the variants ---- */

typedef void runner(sfr_row *const *rows, size_t count);

#define RUNNER VAES512 static __attribute__((noinline)) void
#define ONE_OF(width, rounds)                                                \
    RUNNER seal_one_##rounds##_##width(sfr_row *const *rows, size_t count)   \
    {                                                                        \
        for (size_t i = 0; i < count; i++) seal_one(rows[i], width, rounds); \
    }                                                                        \
    RUNNER open_one_##rounds##_##width(sfr_row *const *rows, size_t count)   \
    {                                                                        \
        for (size_t i = 0; i < count; i++) open_one(rows[i], width, rounds); \
    }
#define FOURS_OF(name, frames, width, lead, rounds)                                 \
    _Static_assert((frames) * (width) < (rounds), "hashed while the rounds go by"); \
    RUNNER seal_##name##_##rounds##_##width(sfr_row *const *rows, size_t count)     \
    {                                                                               \
        seal_short(rows, count, frames, width, lead, rounds);                       \
    }                                                                               \
    RUNNER open_##name##_##rounds##_##width(sfr_row *const *rows, size_t count)     \
    {                                                                               \
        open_short(rows, count, frames, width, lead, rounds);                       \
    }
#define SHORT_OF(frames, width, rounds) \
    ONE_OF(width, rounds) FOURS_OF(led, frames, width, 1, rounds)
#define FULL_OF(frames, width, rounds) FOURS_OF(full, frames, width, 0, rounds)
#define STREAM_OF(name, width, way, rounds)                                     \
    RUNNER seal_##name##_##rounds##_##width(sfr_row *const *rows, size_t count) \
    {                                                                           \
        seal_stream(rows, count, width, rounds, way);                           \
    }                                                                           \
    RUNNER open_##name##_##rounds##_##width(sfr_row *const *rows, size_t count) \
    {                                                                           \
        open_stream(rows, count, width, rounds, way);                           \
    }
#define STREAMS_OF(width, rounds) \
    STREAM_OF(stream, width, ADDED, rounds) STREAM_OF(thrifty, width, THRIFTY, rounds)
#define ALL_OF(rounds)     \
    SHORT_OF(4, 1, rounds) \
    SHORT_OF(4, 2, rounds) \
    SHORT_OF(1, 3, rounds) \
    SHORT_OF(1, 4, rounds) \
    SHORT_OF(1, 5, rounds) \
    SHORT_OF(1, 6, rounds) \
    SHORT_OF(1, 7, rounds) \
    FULL_OF(4, 1, rounds)  \
    FULL_OF(4, 2, rounds)  \
    STREAMS_OF(4, rounds)  \
    STREAMS_OF(5, rounds)  \
    STREAMS_OF(6, rounds)  \
    STREAMS_OF(7, rounds)
ALL_OF(10)
ALL_OF(14)

typedef struct runners {
    runner *one[MAX_WIDTH + 1], *led[MAX_WIDTH + 1], *full[MAX_FULL + 1];
    runner *stream[2][MAX_WIDTH + 1]; /* [1]: thrifty */
} runners;

#define EACH_WIDTH(name)                                                           \
    {                                                                              \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7 \
    }
#define FULL_WIDTHS(name)        \
    {                            \
        NULL, name##_1, name##_2 \
    }
#define LONG_WIDTHS(name)                                              \
    {                                                                  \
        NULL, NULL, NULL, NULL, name##_4, name##_5, name##_6, name##_7 \
    }
#define RUNNERS(verb, rounds)                                                         \
    {                                                                                 \
        EACH_WIDTH(verb##_one_##rounds), EACH_WIDTH(verb##_led_##rounds),             \
            FULL_WIDTHS(verb##_full_##rounds),                                        \
        {                                                                             \
            LONG_WIDTHS(verb##_stream_##rounds), LONG_WIDTHS(verb##_thrifty_##rounds) \
        }                                                                             \
    }

static const runners seal_128 = RUNNERS(seal, 10), seal_256 = RUNNERS(seal, 14);
static const runners open_128 = RUNNERS(open, 10), open_256 = RUNNERS(open, 14);

/* Folds an AAD of two to four blocks that lies in one piece. Each block but the last meets its
 * power; the sum over the frame multiplies the last. What is loaded beyond the table is masked. */
WORD __m128i fold_gathered(const sfr_row *row)
{
    const size_t before = (row->aad_size - 1) / 16;
    quad x = reflect(_mm512_maskz_loadu_epi8(first_bytes(row->aad_size), row->gathered));
    quad h = load(state_of(row)->power + POWERS - before);
    sums sum = product_of(_mm512_maskz_mov_epi64((__mmask8)((1u << 2 * before) - 1), x), h);
    quad last = _mm512_maskz_mov_epi64((__mmask8)(3u << 2 * before), x);
    return add_lanes(xor2(reduce(sum), last));
}

static VAES512 __attribute__((noinline)) __m128i fold_pieces(const sfr_row *row)
{
    return sfr_ghash_long_aad(row, state_of(row)->power + POWERS);
}

static VAES512 __attribute__((noinline)) void fold_aad(sfr_row *row)
{
    const bool gathered =
        row->aad[0].data == (const uint8_t *)row->gathered && row->aad[0].size == row->aad_size;
    __m128i folded = SFR_LIKELY(gathered) ? fold_gathered(row) : fold_pieces(row);
    _mm_storeu_si128((void *)row->aad_head, sfr_block_reflect(folded));
}

/* A folded AAD depends on H, and the row lies in its producer's stack. */
WORD void wipe_folded_aad(sfr_row *row)
{
    if (SFR_UNLIKELY(row->aad_size > 16)) row->aad_head[0] = row->aad_head[1] = 0;
}

/* The number of rows, from the first on, with as many quads as the first. */
WORD size_t alike(sfr_row *const *rows, size_t count)
{
    const size_t most = 64 * quads_of(rows[0]) - 16;
    size_t i = 1;
    while (i < count && most - rows[i]->size < 64) i++;
    return i;
}

/* Whether the rows share one key and each fits its data into `data` quads. */
WORD bool are_full(sfr_row *const *rows, size_t count, size_t data)
{
    bool full = data && data <= MAX_FULL;
    for (size_t i = 0; full && i < count; i++)
        full = rows[i]->key == rows[0]->key && rows[i]->size <= 64 * data;
    return full;
}

/* Runners leave sums and masks of a group's frames on the stack, and what did not fit the
 * registers. One frame of up to four quads fits and leaves nothing, except with clang, which keeps
 * arrays of vectors in memory. wipe_stack is called from the same depth as the runners. */
#ifdef __clang__
enum { STACK_OF_RUNNERS = 12288, LEAVES_NOTHING = 0 };
#else
enum { STACK_OF_RUNNERS = 2048, LEAVES_NOTHING = 4 };
#endif

RUNNER wipe_stack(void)
{
    _Alignas(64) uint8_t room[STACK_OF_RUNNERS];
    for (size_t i = 0; i < sizeof room; i += 64) store(room + i, zero());
    __asm__ __volatile__("" : : "r"(room) : "memory");
}

/* Returns the number of rows it ran: those with as many quads as the first. */
WORD size_t run_short(sfr_row *const *rows, size_t count, const runners *r)
{
    const size_t quads = quads_of(rows[0]), n = alike(rows, count), fours = n & ~(size_t)3;
    const size_t data = quads - 1; /* quads of the frames without a lane for J0 */
    if (fours) (are_full(rows, fours, data) ? r->full[data] : r->led[quads])(rows, fours);
    if (fours < n) r->one[quads](rows + fours, n - fours);
    return n;
}

static inline size_t end_of(const sfr_row *row)
{
    return sfr_vectors(row->size) % UNIT;
}

/* Runs the long rows, up to a chunk. Frames whose last units are equally long form one stream. */
WORD size_t run_long(sfr_row *const *rows, size_t count, const runners *r)
{
    const bool thrifty = sfr_cpu() & SFR_CPU_SLOW_CLMUL;
    sfr_row *waiting[SFR_CHUNK], *taken[SFR_CHUNK];
    size_t n = 0;
    for (; n < count && n < SFR_CHUNK && quads_of(rows[n]) > MAX_WIDTH; n++) waiting[n] = rows[n];
    for (size_t left = n, some; left; left -= some) {
        const size_t end = end_of(waiting[0]);
        some = sfr_take_like(waiting, left, taken, end_of);
        r->stream[thrifty][UNIT + end](taken, some);
    }
    return n;
}

/* For rows whose AADs are folded. */
WORD void run_all(sfr_row *const *rows, size_t count, const runners *r)
{
    for (size_t at = 0; at < count;) {
        if (quads_of(rows[at]) > MAX_WIDTH)
            at += run_long(rows + at, count - at, r);
        else
            at += run_short(rows + at, count - at, r);
    }
}

static VAES512 __attribute__((noinline)) void run_many(sfr_row *const *rows, size_t count,
                                                       const runners *r)
{
    bool folded = false;
    for (size_t i = 0; i < count; i++)
        if (SFR_UNLIKELY(rows[i]->aad_size > 16)) fold_aad(rows[i]), folded = true;
    run_all(rows, count, r);
    for (size_t i = 0; folded && i < count; i++) wipe_folded_aad(rows[i]);
    wipe_stack();
    sfr_clear_zmm();
}

WORD void run(sfr_row *const *rows, size_t count, const runners *r)
{
    if (count != 1 || quads_of(rows[0]) > LEAVES_NOTHING) {
        run_many(rows, count, r);
        return;
    }
    if (SFR_UNLIKELY(rows[0]->aad_size > 16)) fold_aad(rows[0]);
    r->one[quads_of(rows[0])](rows, 1);
    wipe_folded_aad(rows[0]);
    sfr_clear_zmm();
}

static VAES512 void seal128(sfr_row *const *rows, size_t count)
{
    run(rows, count, &seal_128);
}
static VAES512 void open128(sfr_row *const *rows, size_t count)
{
    run(rows, count, &open_128);
}
static VAES512 void seal256(sfr_row *const *rows, size_t count)
{
    run(rows, count, &seal_256);
}
static VAES512 void open256(sfr_row *const *rows, size_t count)
{
    run(rows, count, &open_256);
}

/* ---- key set-up ---- */

/* Four powers at a time, each the product of H^8 and the power eight before it: two chains. */
WORD void key_powers(key_state *state, const int rounds)
{
    __m128i h = state->round_key[0];
    for (int r = 1; r < rounds; r++) h = _mm_aesenc_si128(h, state->round_key[r]);
    h = sfr_ghash_key(_mm_aesenclast_si128(h, state->round_key[rounds]));
    __m128i *end = state->power + POWERS;
    sfr_ghash_powers(end - 8, 8, h);
    quad h8 = four(end - 8);
    for (int i = 12; i <= POWERS; i += 4) {
        store(end - i, reduce(product_of(load(end - i + 8), h8)));
    }
}

static VAES512 void key128(void *state, const uint8_t *sframe_key)
{
    sfr_aes128_expand(((key_state *)state)->round_key, sframe_key);
    key_powers(state, SFR_AES128_ROUNDS);
    sfr_clear_zmm();
}

static VAES512 void key256(void *state, const uint8_t *sframe_key)
{
    sfr_aes256_expand(((key_state *)state)->round_key, sframe_key);
    key_powers(state, SFR_AES256_ROUNDS);
    sfr_clear_zmm();
}

#define END(rounds) offsetof(key_state, round_key[(rounds) + 1])
#define OPS(bits)                                                                           \
    const sfr_ops sfr_gcm##bits##_vaes512 = {.state_size = END(SFR_AES##bits##_ROUNDS),     \
                                             .hot_offset = HOT,                             \
                                             .hot_size = END(SFR_AES##bits##_ROUNDS) - HOT, \
                                             .key_init = key##bits,                         \
                                             .seal = seal##bits,                            \
                                             .open = open##bits};
OPS(128)
OPS(256)

#endif
