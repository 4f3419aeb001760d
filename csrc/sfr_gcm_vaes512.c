/* AES-GCM (SP 800-38D) for many short frames at once: VAES and VPCLMULQDQ on 512-bit registers.
 *
 * A frame is a row of quads, registers of four 16-byte lanes. Lane 0 of its first quad is no data:
 *
 *     encrypted:   J0       block 2   block 3   block 4  |  block 5 ...      counter blocks
 *     carried:     -        data 0    data 1    data 2   |  data 3  ...      bytes of the frame
 *     hashed:      AAD      cipher 0  cipher 1  cipher 2 |  cipher 3 ...     terms of GHASH
 *
 * so E(K, J0), which masks the tag, costs nothing, and the AAD needs no hashing of its own: an AAD
 * of more than 16 bytes is folded to one block first. Three ideas make it quick:
 *
 *   1. Powers of H lie in descending order. The n lanes of a frame meet H^(n+1) .. H^2, the length
 *      block meets H^1: the powers of any quad are one unaligned load, and the frame needs one
 *      reduction (one for every 72 or 80 blocks if it is long).
 *   2. AES and carry-less multiplication are different units of the CPU. While the rounds of one
 *      unit of work go by, the quads of another, whose ciphertext is known, are hashed.
 *   3. Four frames reach their tags together, one in each lane.
 *
 * Which quads a frame has, which rounds and which direction are constants of each variant below;
 * forced inlining makes the variants from two texts.
 *
 * Rules: addresses outside a row's buffers are never touched, nor named to a masked access that
 * might lie in an unmapped page (see load_end). In opening each byte is read once. Branches and
 * addresses depend on sizes and on the verdict, never on keys or contents.
 */
#include "sfr_internal.h"

#ifdef SFR_X86
#include "sfr_aes.h"
#include "sfr_ghash.h"

#define VAES512 \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,aes,pclmul,bmi2")))
#define WORD VAES512 SFR_INLINE
#define UNROLL _Pragma("GCC unroll 16")

/* ---- vocabulary ---- */

typedef __m512i quad;

WORD quad load(const void *p)
{
    return _mm512_loadu_si512(p);
}
WORD void store(void *p, quad x)
{
    _mm512_storeu_si512(p, x);
}
WORD quad four(const __m128i *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128(p));
}
WORD quad lane0(__m128i x)
{
    return _mm512_zextsi128_si512(x);
}
WORD quad zero(void)
{
    return _mm512_setzero_si512();
}
WORD quad xor (quad a, quad b) { return _mm512_xor_si512(a, b); } WORD quad
    xor3(quad a, quad b, quad c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
WORD quad swap_halves(quad x)
{
    return _mm512_shuffle_epi32(x, _MM_PERM_BADC);
}
#define product(a, b, halves) _mm512_clmulepi64_epi128(a, b, halves)

WORD quad reflect(quad x)
{
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                                                      10, 11, 12, 13, 14, 15)));
}

enum {
    DATA_LANES = 0xfc /* all but lane 0, as 64-bit words */
};

/* ---- the key ---- */

#define POWERS 80

/* A frame reads the powers from its length down to H^1, then the round keys: from HOT on, all that
 * one of 224 bytes needs lies in eight cache lines. */
typedef struct key_state {
    __m128i power[POWERS]; /* H^80, ..., H^2, H^1 */
    __m128i round_key[SFR_AES256_ROUNDS + 1];
} key_state;

#define HOT offsetof(key_state, power[POWERS - 16])

WORD const key_state *state_of(const sfr_row *row)
{
    return (const key_state *)(const void *)row->key->state;
}

/* ---- the ends of buffers ----
 * A masked access that reaches into a page that is not there does not fault, but the CPU takes
 * 100 to 400 ns to find that out. So where a buffer's last quad would cross into the next page,
 * the access ends at the buffer's last byte, and the bytes are rotated into place. */

WORD __mmask64 first_bytes(size_t n)
{
    return _bzhi_u64(~0ull, (unsigned)n);
}

WORD bool at_page_end(const uint8_t *p)
{
    return ((uintptr_t)p & 4095) > 4096 - 64;
}

/* Byte i of the result is byte (i + n) % 64. */
WORD quad rotate(quad x, size_t n)
{
    const quad index = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    quad at = _mm512_add_epi64(index, _mm512_set1_epi64((long long)(n / 8)));
    quad low = _mm512_permutexvar_epi64(at, x);
    quad high = _mm512_permutexvar_epi64(_mm512_add_epi64(at, _mm512_set1_epi64(1)), x);
    __m128i down = _mm_cvtsi32_si128((int)(n % 8 * 8));
    __m128i up = _mm_cvtsi32_si128((int)(64 - n % 8 * 8));
    return _mm512_or_si512(_mm512_srl_epi64(low, down), _mm512_sll_epi64(high, up));
}

/* The last n bytes of a buffer, which begin at p; 0 <= n <= 64. */
WORD quad load_end(const uint8_t *p, size_t n)
{
    if (SFR_LIKELY(!at_page_end(p))) return _mm512_maskz_loadu_epi8(first_bytes(n), p);
    return rotate(_mm512_maskz_loadu_epi8(~first_bytes(64 - n), p + n - 64), 64 - n);
}

WORD void store_end(uint8_t *p, quad x, size_t n)
{
    if (SFR_LIKELY(!at_page_end(p)))
        _mm512_mask_storeu_epi8(p, first_bytes(n), x);
    else
        _mm512_mask_storeu_epi8(p + n - 64, ~first_bytes(64 - n), rotate(x, n));
}

/* The frame's first quad if there is more of it: 48 bytes in lanes 1 to 3. */
WORD quad load_first(quad aad, const uint8_t *in)
{
    quad x = _mm512_inserti32x4(aad, _mm_loadu_si128((const void *)in), 1);
    return _mm512_inserti64x4(x, _mm256_loadu_si256((const void *)(in + 16)), 1);
}

WORD void store_first(uint8_t *out, quad x)
{
    _mm_storeu_si128((void *)out, _mm512_extracti32x4_epi32(x, 1));
    _mm256_storeu_si256((void *)(out + 16), _mm512_extracti64x4_epi64(x, 1));
}

/* And if there is not: n <= 48 bytes. */
WORD quad load_only(quad aad, const uint8_t *in, size_t n)
{
    return _mm512_alignr_epi64(load_end(in, n), _mm512_shuffle_i32x4(aad, aad, 0), 6);
}

WORD void store_only(uint8_t *out, quad x, size_t n)
{
    store_end(out, _mm512_alignr_epi64(x, x, 2), n);
}

/* ---- GHASH ---- */

/* Products of a frame's lanes, lane by lane and not reduced. */
typedef struct sums {
    quad low, middle, high;
} sums;

WORD void add_products(sums *sum, quad x, quad h)
{
    sum->low = xor(sum->low, product(x, h, 0x00));
    sum->high = xor(sum->high, product(x, h, 0x11));
    sum->middle = xor3(sum->middle, product(x, h, 0x01), product(x, h, 0x10));
}

WORD quad reduce(sums sum)
{
    const quad poly = _mm512_broadcast_i32x4(sfr_ghash_poly());
    quad middle = xor3(sum.middle, product(poly, sum.low, 0x01), swap_halves(sum.low));
    return xor3(sum.high, product(poly, middle, 0x01), swap_halves(middle));
}

WORD __m128i add_lanes(quad x)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Lane j of the result is the sum of the lanes of frame j. */
WORD quad add_lanes_of(quad a, quad b, quad c, quad d)
{
    quad ab = xor(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xee));
    quad cd = xor(_mm512_shuffle_i32x4(c, d, 0x44), _mm512_shuffle_i32x4(c, d, 0xee));
    return xor(_mm512_shuffle_i32x4(ab, cd, 0x88), _mm512_shuffle_i32x4(ab, cd, 0xdd));
}

/* ---- tags ---- */

#define LIKE_LANES(a, b, c, d) \
    _mm512_inserti64x4(_mm512_castsi256_si512(pair_of(a, b)), pair_of(c, d), 1)

WORD __m256i pair_of(const void *a, const void *b)
{
    __m256i first = _mm256_castsi128_si256(_mm_loadu_si128(a));
    return _mm256_inserti128_si256(first, _mm_loadu_si128(b), 1);
}

WORD __m256i lengths_of(const sfr_row *a, const sfr_row *b)
{
    return _mm256_set_epi64x((long long)b->aad_size, (long long)b->size, (long long)a->aad_size,
                             (long long)a->size);
}

WORD void refuse(sfr_row *row)
{
    row->status = SFR_AUTH_FAILED;
    memset(row->out, 0, row->size);
}

/* The four tags, each still without its frame's E(K, J0) unless that is in the sums already. */
WORD quad tags_of_four(sfr_row *const *rows, const sums *s)
{
    const __m128i *h[4];
    UNROLL
    for (int j = 0; j < 4; j++) h[j] = &state_of(rows[j])->power[POWERS - 1];
    sums sum;
    sum.low = add_lanes_of(s[0].low, s[1].low, s[2].low, s[3].low);
    sum.middle = add_lanes_of(s[0].middle, s[1].middle, s[2].middle, s[3].middle);
    sum.high = add_lanes_of(s[0].high, s[1].high, s[2].high, s[3].high);
    quad lengths = _mm512_inserti64x4(_mm512_castsi256_si512(lengths_of(rows[0], rows[1])),
                                      lengths_of(rows[2], rows[3]), 1);
    add_products(&sum, _mm512_slli_epi64(lengths, 3), LIKE_LANES(h[0], h[1], h[2], h[3]));
    return reflect(reduce(sum));
}

WORD void finish_four(sfr_row *const *rows, const sums *s, const bool sealing)
{
    quad tags = tags_of_four(rows, s);
    if (sealing) {
        _mm_storeu_si128((void *)rows[0]->tag.write, _mm512_castsi512_si128(tags));
        _mm_storeu_si128((void *)rows[1]->tag.write, _mm512_extracti32x4_epi32(tags, 1));
        _mm_storeu_si128((void *)rows[2]->tag.write, _mm512_extracti32x4_epi32(tags, 2));
        _mm_storeu_si128((void *)rows[3]->tag.write, _mm512_extracti32x4_epi32(tags, 3));
        return;
    }
    quad claimed =
        LIKE_LANES(rows[0]->tag.read, rows[1]->tag.read, rows[2]->tag.read, rows[3]->tag.read);
    unsigned wrong = _mm512_cmpneq_epi64_mask(tags, claimed);
    UNROLL
    for (int j = 0; j < 4; j++) rows[j]->status = SFR_OK;
    if (SFR_UNLIKELY(wrong))
        for (int j = 0; j < 4; j++)
            if (wrong >> (2 * j) & 3) refuse(rows[j]);
}

WORD void finish_one(sfr_row *row, sums sum, const bool sealing)
{
    __m128i lengths = _mm_set_epi64x((long long)row->aad_size * 8, (long long)row->size * 8);
    add_products(&sum, lane0(lengths), lane0(state_of(row)->power[POWERS - 1]));
    __m128i tag = sfr_block_reflect(add_lanes(reduce(sum)));
    if (sealing) {
        _mm_storeu_si128((void *)row->tag.write, tag);
        return;
    }
    __m128i wrong = _mm_xor_si128(tag, _mm_loadu_si128((const void *)row->tag.read));
    row->status = SFR_OK;
    if (SFR_UNLIKELY(!_mm_testz_si128(wrong, wrong))) refuse(row);
}

/* ---- short frames: `width` quads each, 1 to 6, and `frames` of them side by side ---- */

#define MAX_WIDTH 6

typedef struct frame {
    const key_state *key;
    const __m128i *powers; /* of its first quad */
    quad aad;              /* in lane 0 */
    quad state[MAX_WIDTH]; /* from counter blocks to keystream */
    quad text[MAX_WIDTH];  /* lane 0: the AAD; the others: what comes in, then what is hashed */
    size_t end;            /* bytes in the last quad */
} frame;

/* The counter is the last word of its block, most significant byte first; below 256 an addition
 * to its last byte is enough. */
WORD quad counters(int first)
{
    return _mm512_set_epi32((first + 3) << 24, 0, 0, 0, (first + 2) << 24, 0, 0, 0,
                            (first + 1) << 24, 0, 0, 0, first << 24, 0, 0, 0);
}

WORD void load_text(frame *f, const sfr_row *row, const int width)
{
    if (width == 1) {
        f->text[0] = load_only(f->aad, row->in, f->end - 16);
        return;
    }
    const uint8_t *in = row->in - 16;
    f->text[0] = load_first(f->aad, row->in);
    UNROLL
    for (int i = 1; i < width - 1; i++) f->text[i] = load(in + 64 * i);
    f->text[width - 1] = load_end(in + 64 * (width - 1), f->end);
}

WORD void begin(frame *f, const sfr_row *row, const int width)
{
    f->key = state_of(row);
    f->powers = f->key->power + POWERS - 2 - (row->size + 15) / 16;
    f->aad = lane0(sfr_block_words(row->aad_head));
    f->end = row->size + 16 - 64 * (size_t)(width - 1);
    quad nonce = _mm512_broadcast_i32x4(sfr_block_words(row->block));
    UNROLL
    for (int i = 0; i < width; i++)
        f->state[i] = xor(_mm512_add_epi32(nonce, counters(4 * i + 1)), four(f->key->round_key));
}

WORD void round_of(frame *f, const int width, const int r)
{
    quad key = four(f->key->round_key + r);
    UNROLL
    for (int i = 0; i < width; i++) f->state[i] = _mm512_aesenc_epi128(f->state[i], key);
}

/* Afterwards lane 0 of state[0] is E(K, J0), the rest of it is what goes out. */
WORD void last_round(frame *f, const int width, const int rounds)
{
    quad key = four(f->key->round_key + rounds);
    UNROLL
    for (int i = 0; i < width; i++) {
        quad mixed =
            i ? xor(key, f->text[i]) : _mm512_mask_xor_epi64(key, DATA_LANES, key, f->text[i]);
        f->state[i] = _mm512_aesenclast_epi128(f->state[i], mixed);
    }
}

WORD void store_text(const frame *f, const sfr_row *row, const int width)
{
    if (width == 1) {
        store_only(row->out, f->state[0], f->end - 16);
        return;
    }
    uint8_t *out = row->out - 16;
    store_first(row->out, f->state[0]);
    UNROLL
    for (int i = 1; i < width - 1; i++) store(out + 64 * i, f->state[i]);
    store_end(out + 64 * (width - 1), f->state[width - 1], f->end);
}

/* What is sealed becomes what is hashed: the AAD comes in, bytes after the frame's end go. */
WORD void take_ciphertext(frame *f, const int width)
{
    __mmask64 data = first_bytes(f->end);
    UNROLL
    for (int i = 0; i < width; i++) f->text[i] = f->state[i];
    f->text[width - 1] = _mm512_maskz_mov_epi8(data, f->text[width - 1]);
    f->text[0] = _mm512_mask_blend_epi64(DATA_LANES, f->aad, f->text[0]);
}

WORD void hash_quad(sums *sum, const frame *f, const int i)
{
    add_products(sum, reflect(f->text[i]), load(f->powers + 4 * i));
}

WORD sums no_sums(void)
{
    return (sums){zero(), zero(), zero()};
}

WORD void mask_tag(sums *sum, const frame *f)
{
    sum->high = xor(sum->high, lane0(sfr_block_reflect(_mm512_castsi512_si128(f->state[0]))));
}

/* The AES rounds of some frames, and between them the hashing of others. */
WORD void rounds_and_hash(frame *now, const frame *known, sums *sum, const int frames,
                          const int width, const int rounds)
{
    UNROLL
    for (int r = 1; r < rounds; r++) {
        UNROLL
        for (int j = 0; j < frames; j++) round_of(&now[j], width, r);
        int turn = r - 1;
        if (turn < frames * width)
            hash_quad(&sum[turn / width], &known[turn / width], turn % width);
    }
}

WORD void seal_one(sfr_row *row, const int width, const int rounds)
{
    frame f;
    sums sum = no_sums();
    begin(&f, row, width);
    load_text(&f, row, width);
    UNROLL
    for (int r = 1; r < rounds; r++) round_of(&f, width, r);
    last_round(&f, width, rounds);
    store_text(&f, row, width);
    take_ciphertext(&f, width);
    UNROLL
    for (int i = 0; i < width; i++) hash_quad(&sum, &f, i);
    mask_tag(&sum, &f);
    finish_one(row, sum, true);
}

WORD void open_one(sfr_row *row, const int width, const int rounds)
{
    frame f;
    sums sum = no_sums();
    begin(&f, row, width);
    load_text(&f, row, width);
    rounds_and_hash(&f, &f, &sum, 1, width, rounds);
    last_round(&f, width, rounds);
    store_text(&f, row, width);
    mask_tag(&sum, &f);
    finish_one(row, sum, false);
}

/* count is a multiple of four. A unit's ciphertext is hashed during the rounds of the next. */
WORD void seal_short(sfr_row *const *rows, size_t count, const int frames, const int width,
                     const int rounds)
{
    frame now[4], known[4];
    sums group[4], sum[4];
    UNROLL
    for (int j = 0; j < frames; j++) {
        known[j].powers = state_of(rows[j])->power;
        UNROLL
        for (int i = 0; i < width; i++) known[j].text[i] = known[j].state[i] = zero();
    }
    for (size_t at = 0;; at += (size_t)frames) {
        bool more = at < count;
        UNROLL
        for (int j = 0; j < frames; j++) sum[j] = no_sums();
        if (more) {
            UNROLL
            for (int j = 0; j < frames; j++) begin(&now[j], rows[at + (size_t)j], width);
            rounds_and_hash(now, known, sum, frames, width, rounds);
        } else {
            UNROLL
            for (int j = 0; j < frames; j++) UNROLL
            for (int i = 0; i < width; i++) hash_quad(&sum[j], &known[j], i);
        }
        UNROLL
        for (int j = 0; j < frames; j++) {
            mask_tag(&sum[j], &known[j]);
            group[((int)at - frames + j) & 3] = sum[j];
        }
        if (at && at % 4 == 0) finish_four(rows + at - 4, group, true);
        if (!more) break;
        UNROLL
        for (int j = 0; j < frames; j++) {
            load_text(&now[j], rows[at + (size_t)j], width);
            last_round(&now[j], width, rounds);
            store_text(&now[j], rows[at + (size_t)j], width);
            take_ciphertext(&now[j], width);
            known[j] = now[j];
        }
    }
}

WORD void open_short(sfr_row *const *rows, size_t count, const int frames, const int width,
                     const int rounds)
{
    frame now[4];
    sums group[4], sum[4];
    for (size_t at = 0; at < count; at += (size_t)frames) {
        UNROLL
        for (int j = 0; j < frames; j++) {
            sum[j] = no_sums();
            begin(&now[j], rows[at + (size_t)j], width);
            load_text(&now[j], rows[at + (size_t)j], width);
        }
        rounds_and_hash(now, now, sum, frames, width, rounds);
        UNROLL
        for (int j = 0; j < frames; j++) {
            last_round(&now[j], width, rounds);
            store_text(&now[j], rows[at + (size_t)j], width);
            mask_tag(&sum[j], &now[j]);
            group[((int)at + j) & 3] = sum[j];
        }
        if ((at + (size_t)frames) % 4 == 0)
            finish_four(rows + at + (size_t)frames - 4, group, false);
    }
}

/* ---- longer frames: a stream of units of `width` quads, 4 to 6, one frame after the other ---- */

/* The side that hashes: in sealing it is one unit, maybe one frame, behind the side that encrypts. */
typedef struct hashing {
    sfr_row *row;
    const key_state *key;
    size_t lanes;          /* of the frame, not yet hashed */
    size_t units;          /* of the segment, not yet hashed */
    const __m128i *powers; /* of the unit in `text` */
    quad text[MAX_WIDTH];
    quad carry; /* lane 0: what comes before the unit: AAD, or the segments so far */
    quad tag_mask;
    sums sum;
} hashing;

/* A segment is as long as there are powers for. The frame's last one leaves H^1 to the length
 * block; lanes beyond its end are zero, so it does not matter that round keys lie in the place of
 * their powers. */
WORD void begin_segment(hashing *h, const int width)
{
    const size_t unit = 4 * (size_t)width, longest = (POWERS - 1) / unit * unit;
    const bool last = h->lanes < POWERS;
    size_t lanes = last ? h->lanes : longest;
    h->units = (lanes + unit - 1) / unit;
    h->powers = h->key->power + POWERS - last - lanes;
    h->sum = no_sums();
}

WORD void begin_hashing(hashing *h, sfr_row *row, const int width)
{
    h->row = row;
    h->key = state_of(row);
    h->lanes = 1 + (row->size + 15) / 16;
    h->carry = lane0(sfr_block_reflect(sfr_block_words(row->aad_head)));
    begin_segment(h, width);
}

WORD void hash_unit_quad(hashing *h, const int i)
{
    quad x = reflect(h->text[i]);
    add_products(&h->sum, i ? x : xor(x, h->carry), load(h->powers + 4 * i));
}

WORD void end_hashed_unit(hashing *h, const int width, const bool sealing)
{
    const size_t unit = 4 * (size_t)width;
    h->carry = zero();
    h->powers += unit;
    h->lanes -= h->lanes < unit ? h->lanes : unit;
    if (--h->units) return;
    if (h->lanes) {
        h->carry = lane0(add_lanes(reduce(h->sum)));
        begin_segment(h, width);
    } else {
        h->sum.high = xor(h->sum.high, h->tag_mask);
        finish_one(h->row, h->sum, sealing);
    }
}

/* Counter blocks from number `first` on. If the last byte stays below 256, adding to it will do. */
WORD void count_blocks(quad *state, const sfr_row *row, uint32_t first, quad key, const int width)
{
    quad nonce = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)row->block));
    const quad lane = counters(0), swap = _mm512_broadcast_i32x4(_mm_set_epi8(
                                       12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    if (SFR_LIKELY((first & 255) + 4 * (uint32_t)width <= 256)) {
        quad base = _mm512_mask_set1_epi32(nonce, 0x8888, (int)sfr_be32(first));
        UNROLL
        for (int i = 0; i < width; i++)
            state[i] = xor(_mm512_add_epi32(base, counters(4 * i)), key);
        return;
    }
    UNROLL
    for (int i = 0; i < width; i++) {
        quad n = _mm512_mask_set1_epi32(nonce, 0x8888, (int)(first + 4 * (uint32_t)i));
        n = _mm512_add_epi32(n, _mm512_srli_epi32(lane, 24));
        state[i] = xor(_mm512_shuffle_epi8(n, swap), key);
    }
}

/* A unit begins `at` lanes' bytes into a frame whose lanes have `end` bytes; `p` is 16 bytes
 * before the frame's data, where lane 0 would lie. */
WORD size_t bytes_of(size_t at, size_t end, const int i)
{
    size_t begin = at + 64 * (size_t)i;
    return end <= begin ? 0 : end - begin < 64 ? end - begin : 64;
}

WORD void load_unit(quad *text, const uint8_t *p, size_t at, size_t end, const int width)
{
    if (end - at < 64 * (size_t)width) {
        UNROLL
        for (int i = 0; i < width; i++) {
            size_t n = bytes_of(at, end, i);
            text[i] = n ? load_end(p + at + 64 * i, n) : zero();
        }
        return;
    }
    text[0] = at ? load(p + at) : load_first(zero(), p + 16);
    UNROLL
    for (int i = 1; i < width; i++) text[i] = load(p + at + 64 * i);
}

/* Stores x and leaves in `text` what of it is to be hashed. */
WORD void store_unit(quad *text, const quad *x, uint8_t *p, size_t at, size_t end, const int width)
{
    UNROLL
    for (int i = 0; i < width; i++) text[i] = x[i];
    if (end - at < 64 * (size_t)width) {
        UNROLL
        for (int i = 0; i < width; i++) {
            size_t n = bytes_of(at, end, i);
            if (n) store_end(p + at + 64 * i, x[i], n);
            text[i] = _mm512_maskz_mov_epi8(first_bytes(n), x[i]);
        }
        return;
    }
    if (at) {
        store(p + at, x[0]);
    } else {
        store_first(p + 16, x[0]);
        text[0] = _mm512_maskz_mov_epi64(DATA_LANES, x[0]);
    }
    UNROLL
    for (int i = 1; i < width; i++) store(p + at + 64 * i, x[i]);
}

WORD void run_stream(sfr_row *const *rows, size_t count, const int width, const int rounds,
                     const bool sealing)
{
    hashing h = {.powers = state_of(rows[0])->power};
    quad state[MAX_WIDTH], text[MAX_WIDTH], ignored[MAX_WIDTH];
    bool behind = false;
    for (size_t frame = 0; frame < count; frame++) {
        sfr_row *row = rows[frame];
        const __m128i *key = state_of(row)->round_key;
        const size_t end = row->size + 16;
        for (size_t at = 0; at < end; at += 64 * (size_t)width) {
            if (!sealing) {
                if (at == 0) begin_hashing(&h, row, width);
                load_unit(h.text, row->in - 16, at, end, width);
                UNROLL
                for (int i = 0; i < width; i++) text[i] = h.text[i];
            }
            count_blocks(state, row, (uint32_t)(at / 16 + 1), four(key), width);
            UNROLL
            for (int r = 1; r < rounds; r++) {
                quad round_key = four(key + r);
                UNROLL
                for (int i = 0; i < width; i++)
                    state[i] = _mm512_aesenc_epi128(state[i], round_key);
                if (r <= width) hash_unit_quad(&h, r - 1);
            }
            if (sealing) {
                if (behind) end_hashed_unit(&h, width, true);
                if (at == 0) begin_hashing(&h, row, width);
                behind = true;
                load_unit(text, row->in - 16, at, end, width);
            }
            quad round_key = four(key + rounds);
            UNROLL
            for (int i = 0; i < width; i++)
                state[i] = _mm512_aesenclast_epi128(state[i], xor(round_key, text[i]));
            if (at == 0) h.tag_mask = lane0(sfr_block_reflect(_mm512_castsi512_si128(state[0])));
            store_unit(sealing ? h.text : ignored, state, row->out - 16, at, end, width);
            if (!sealing) end_hashed_unit(&h, width, false);
        }
    }
    if (sealing) {
        UNROLL
        for (int i = 0; i < width; i++) hash_unit_quad(&h, i);
        end_hashed_unit(&h, width, true);
    }
}

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
#define SHORT_OF(frames, width, rounds)                                      \
    ONE_OF(width, rounds)                                                    \
    RUNNER seal_short_##rounds##_##width(sfr_row *const *rows, size_t count) \
    {                                                                        \
        seal_short(rows, count, frames, width, rounds);                      \
    }                                                                        \
    RUNNER open_short_##rounds##_##width(sfr_row *const *rows, size_t count) \
    {                                                                        \
        open_short(rows, count, frames, width, rounds);                      \
    }
#define STREAM_OF(width, rounds)                                              \
    RUNNER seal_stream_##rounds##_##width(sfr_row *const *rows, size_t count) \
    {                                                                         \
        run_stream(rows, count, width, rounds, true);                         \
    }                                                                         \
    RUNNER open_stream_##rounds##_##width(sfr_row *const *rows, size_t count) \
    {                                                                         \
        run_stream(rows, count, width, rounds, false);                        \
    }
#define ALL_OF(rounds)     \
    SHORT_OF(4, 1, rounds) \
    SHORT_OF(2, 2, rounds) \
    SHORT_OF(1, 3, rounds) \
    SHORT_OF(1, 4, rounds) \
    SHORT_OF(1, 5, rounds) \
    SHORT_OF(1, 6, rounds) \
    STREAM_OF(4, rounds)   \
    STREAM_OF(5, rounds)   \
    STREAM_OF(6, rounds)
ALL_OF(10)
ALL_OF(14)

typedef struct runners {
    runner *one[MAX_WIDTH + 1], *fours[MAX_WIDTH + 1], *stream[MAX_WIDTH + 1];
} runners;

#define EACH_WIDTH(name)                                                 \
    {                                                                    \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6 \
    }
#define LONG_WIDTHS(name)                                    \
    {                                                        \
        NULL, NULL, NULL, NULL, name##_4, name##_5, name##_6 \
    }
#define RUNNERS(verb, rounds)                                               \
    {                                                                       \
        EACH_WIDTH(verb##_one_##rounds), EACH_WIDTH(verb##_short_##rounds), \
            LONG_WIDTHS(verb##_stream_##rounds)                             \
    }

static const runners seal_128 = RUNNERS(seal, 10), seal_256 = RUNNERS(seal, 14);
static const runners open_128 = RUNNERS(open, 10), open_256 = RUNNERS(open, 14);

SFR_INLINE size_t quads_of(const sfr_row *row)
{
    return (row->size + 16 + 63) / 64;
}

/* The width of unit that leaves the fewest quads of the last one empty. */
static int stream_width(size_t quads)
{
    int best = 6;
    size_t least = 6;
    for (int width = 6; width >= 4; width--) {
        size_t empty = (quads + (size_t)width - 1) / (size_t)width * (size_t)width - quads;
        if (empty < least) {
            least = empty;
            best = width;
        }
    }
    return best;
}

static VAES512 void fold_long_aads(sfr_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i]->aad_size > 16)
            _mm_storeu_si128(
                (void *)rows[i]->aad_head,
                sfr_block_reflect(sfr_ghash_long_aad(rows[i], state_of(rows[i])->power + POWERS)));
}

/* A folded AAD has H in it. */
WORD void wipe_folded_aads(sfr_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i]->aad_size > 16) rows[i]->aad_head[0] = rows[i]->aad_head[1] = 0;
}

/* What the runners that work on much at a time leave in the stack: what 32 registers did not hold.
 * They are called from the same depth as this one. */
#define STACK_OF_RUNNERS 1152
static VAES512 __attribute__((noinline)) void wipe_stack(void)
{
    uint8_t room[STACK_OF_RUNNERS];
    UNROLL
    for (size_t i = 0; i < sizeof room; i += 64) store(room + i, zero());
    __asm__ __volatile__("" : : "r"(room) : "memory");
}

WORD void run(sfr_row *const *rows, size_t count, const runners *r)
{
    bool much = false;
    fold_long_aads(rows, count);
    for (size_t i = 0; i < count;) {
        size_t quads = quads_of(rows[i]), same = i + 1;
        if (quads > MAX_WIDTH) {
            r->stream[stream_width(quads)](rows + i, 1);
            much = true;
            i++;
            continue;
        }
        while (same < count && quads_of(rows[same]) == quads) same++;
        size_t fours = (same - i) & ~(size_t)3;
        if (fours) r->fours[quads](rows + i, fours), much = true;
        if (i + fours < same) r->one[quads](rows + i + fours, same - i - fours);
        i = same;
    }
    wipe_folded_aads(rows, count);
    if (much) wipe_stack();
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

/* Four powers at a time, each four H^8 apart from those before the last: two chains. */
WORD void key_powers(key_state *state, const int rounds)
{
    __m128i h = state->round_key[0];
    for (int r = 1; r < rounds; r++) h = _mm_aesenc_si128(h, state->round_key[r]);
    h = sfr_ghash_key(_mm_aesenclast_si128(h, state->round_key[rounds]));
    __m128i *end = state->power + POWERS;
    sfr_ghash_powers(end - 8, 8, h);
    quad h8 = four(end - 8);
    for (int i = 12; i <= POWERS; i += 4) {
        sums sum = no_sums();
        add_products(&sum, load(end - i + 8), h8);
        store(end - i, reduce(sum));
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
