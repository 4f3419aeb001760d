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
 *      reduction (one for every 80 blocks if it is long).
 *   2. AES and carry-less multiplication are different units of the CPU. While the rounds of one
 *      unit of work go by, the quads of another, whose ciphertext is known, are hashed.
 *   3. Four frames reach their tags together, one in each lane.
 *
 * AES goes one way, multiplication another, but all else shares these two ports, so the number of
 * operations on vectors is what counts: everything here is written for the least of them.
 *
 * Where the data of short frames fill their quads, lane 0 would cost them one more. If they have
 * one key four of them then share a quad for their J0s, and one for their AADs: they are "full",
 * the others are "led" by lane 0.
 *
 * How many quads a frame has, its rounds and its direction are constants of each variant below;
 * forced inlining makes the variants from a few texts.
 *
 * Rules: addresses outside a row's buffers are never touched, nor named to a masked access that
 * might lie in an unmapped page (see load_end). In opening each byte is read once. Branches and
 * addresses depend on sizes and on the verdict, never on keys or contents.
 */
#include "internal.h"

#ifdef SFR_X86
#include "aead/aes.h"
#include "aead/ghash.h"

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
WORD quad xor2(quad a, quad b)
{
    return _mm512_xor_si512(a, b);
}
/* Not two times xor2: of those a compiler makes trees, for which there are too few registers. */
WORD quad xor3(quad a, quad b, quad c)
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
 * A quad of a frame is one masked access, of bytes before the buffer or after it, too. If it
 * reaches into a page that is not there it does not fault, but the CPU takes 100 to 400 ns to find
 * that out. So where a quad would leave the page of the bytes it is for, it is put together from
 * accesses within the buffer. `easy`: the caller knows that it would not. */

WORD __mmask64 first_bytes(size_t n)
{
    return _bzhi_u64(~0ull, (unsigned)n);
}

WORD bool in_one_page(const uint8_t *p, size_t size)
{
    return ((uintptr_t)p & 4095) <= 4096 - size;
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
WORD quad load_end(const uint8_t *p, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(p, 64))) return _mm512_maskz_loadu_epi8(first_bytes(n), p);
    return rotate(_mm512_maskz_loadu_epi8(~first_bytes(64 - n), p + n - 64), 64 - n);
}

WORD void store_end(uint8_t *p, quad x, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(p, 64)))
        _mm512_mask_storeu_epi8(p, first_bytes(n), x);
    else
        _mm512_mask_storeu_epi8(p + n - 64, ~first_bytes(64 - n), rotate(x, n));
}

/* The frame's first quad: n <= 48 bytes in lanes 1 to 3, all 48 of them if there are more quads.
 * The other bytes are zero. */
WORD quad load_first(const uint8_t *in, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(in - 16, 64)))
        return _mm512_maskz_loadu_epi8(first_bytes(n) << 16, in - 16);
    return _mm512_maskz_expand_epi64(DATA_LANES, load_end(in, n, false));
}

WORD void store_first(uint8_t *out, quad x, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(out - 16, 64)))
        _mm512_mask_storeu_epi8(out - 16, first_bytes(n) << 16, x);
    else
        store_end(out, _mm512_maskz_compress_epi64(DATA_LANES, x), n, false);
}

/* ---- GHASH ---- */

/* Products of a frame's lanes, lane by lane and not reduced. */
typedef struct sums {
    quad low, middle, high;
} sums;

/* How a product comes into a sum. THRIFTY: with three multiplications instead of four, but more
 * operations in all; low and high are in the middle, too, until the sum is settled. */
typedef enum way { FIRST, ADDED, THRIFTY } way;

WORD sums no_sums(void)
{
    return (sums){zero(), zero(), zero()};
}

WORD sums product_of(quad x, quad h)
{
    quad middle = xor2(product(x, h, 0x01), product(x, h, 0x10));
    return (sums){product(x, h, 0x00), middle, product(x, h, 0x11)};
}

WORD sums products_of_two(quad x, quad h, quad y, quad k)
{
    quad middle = xor3(product(x, h, 0x01), product(x, h, 0x10), product(y, k, 0x01));
    return (sums){xor2(product(x, h, 0x00), product(y, k, 0x00)), xor2(middle, product(y, k, 0x10)),
                  xor2(product(x, h, 0x11), product(y, k, 0x11))};
}

WORD void add_products(sums *sum, quad x, quad h)
{
    sum->low = xor2(sum->low, product(x, h, 0x00));
    sum->high = xor2(sum->high, product(x, h, 0x11));
    sum->middle = xor3(sum->middle, product(x, h, 0x01), product(x, h, 0x10));
}

/* Of two quads at once: two additions fewer. */
WORD void add_products_of_two(sums *sum, quad x, quad h, quad y, quad k)
{
    sum->low = xor3(sum->low, product(x, h, 0x00), product(y, k, 0x00));
    sum->high = xor3(sum->high, product(x, h, 0x11), product(y, k, 0x11));
    sum->middle = xor3(sum->middle, product(x, h, 0x01), product(x, h, 0x10));
    sum->middle = xor3(sum->middle, product(y, k, 0x01), product(y, k, 0x10));
}

/* Karatsuba's: ad + bc = (a + b)(c + d) - ac - bd. */
WORD void add_thriftily(sums *sum, quad x, quad h)
{
    quad a = xor2(x, swap_halves(x)), b = xor2(h, swap_halves(h));
    sum->low = xor2(sum->low, product(x, h, 0x00));
    sum->high = xor2(sum->high, product(x, h, 0x11));
    sum->middle = xor2(sum->middle, product(a, b, 0x00));
}

WORD void add_two_thriftily(sums *sum, quad x, quad h, quad y, quad k)
{
    quad a = xor2(_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
    quad b = xor2(_mm512_unpacklo_epi64(h, k), _mm512_unpackhi_epi64(h, k));
    sum->low = xor3(sum->low, product(x, h, 0x00), product(y, k, 0x00));
    sum->high = xor3(sum->high, product(x, h, 0x11), product(y, k, 0x11));
    sum->middle = xor3(sum->middle, product(a, b, 0x00), product(a, b, 0x11));
}

WORD sums settled(sums sum, const way w)
{
    if (w == THRIFTY) sum.middle = xor3(sum.middle, sum.low, sum.high);
    return sum;
}

WORD void hash_one(sums *sum, quad x, quad h, const way w)
{
    if (w == FIRST)
        *sum = product_of(x, h);
    else if (w == ADDED)
        add_products(sum, x, h);
    else
        add_thriftily(sum, x, h);
}

WORD void hash_two(sums *sum, quad x, quad h, quad y, quad k, const way w)
{
    if (w == FIRST)
        *sum = products_of_two(x, h, y, k);
    else if (w == ADDED)
        add_products_of_two(sum, x, h, y, k);
    else
        add_two_thriftily(sum, x, h, y, k);
}

/* What the hashing of n quads does at one of n turns: every second time it takes two. */
WORD void hash_turn(sums *sum, const quad *text, const __m128i *powers, const int n, const int turn,
                    const way w)
{
    if (turn % 2) return;
    quad x = reflect(text[turn]), h = load(powers + 4 * turn);
    if (turn + 1 == n)
        hash_one(sum, x, h, w);
    else
        hash_two(sum, x, h, reflect(text[turn + 1]), load(powers + 4 * turn + 4), w);
}

WORD void hash_quads(sums *sum, const quad *text, const __m128i *powers, const int n, const way w)
{
    UNROLL
    for (int turn = 0; turn < n; turn++)
        hash_turn(sum, text, powers, n, turn, turn && w == FIRST ? ADDED : w);
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
    quad ab = xor2(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xee));
    quad cd = xor2(_mm512_shuffle_i32x4(c, d, 0x44), _mm512_shuffle_i32x4(c, d, 0xee));
    return xor2(_mm512_shuffle_i32x4(ab, cd, 0x88), _mm512_shuffle_i32x4(ab, cd, 0xdd));
}

/* Lane j of the result is lane 0 of frame j. */
WORD quad first_lanes_of(quad a, quad b, quad c, quad d)
{
    return _mm512_shuffle_i32x4(_mm512_shuffle_i32x4(a, b, 0x00), _mm512_shuffle_i32x4(c, d, 0x00),
                                0x88);
}

/* ---- tags ---- */

/* A frame whose lanes are all hashed. */
typedef struct hashed {
    sums sum;
    quad mask; /* lane 0: E(K, J0) */
} hashed;

#define LIKE_LANES(a, b, c, d) \
    _mm512_inserti64x4(_mm512_castsi256_si512(pair_of(a, b)), pair_of(c, d), 1)

WORD __m256i pair_of(const void *a, const void *b)
{
    __m256i first = _mm256_castsi128_si256(_mm_loadu_si128(a));
    return _mm256_inserti128_si256(first, _mm_loadu_si128(b), 1);
}

#define HASH_KEY(j) (state_of(rows[j])->power + POWERS - 1)

WORD quad quad_of(__m128i a, __m128i b, __m128i c, __m128i d)
{
    __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
    __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* From registers: two words put together in the stack would be waited for. */
WORD __m128i length_of(const sfr_row *row)
{
    uint64_t aad = row->aad_size;
    __asm__("" : "+r"(aad));
    return _mm_set_epi64x((long long)aad, (long long)row->size);
}

/* In bits. */
WORD quad lengths_of(sfr_row *const *rows)
{
    return _mm512_slli_epi64(
        quad_of(length_of(rows[0]), length_of(rows[1]), length_of(rows[2]), length_of(rows[3])), 3);
}

WORD quad aads_of(sfr_row *const *rows)
{
    return quad_of(sfr_block_words(rows[0]->aad_head), sfr_block_words(rows[1]->aad_head),
                   sfr_block_words(rows[2]->aad_head), sfr_block_words(rows[3]->aad_head));
}

WORD void refuse(sfr_row *row)
{
    row->status = SFR_AUTH_FAILED;
    memset(row->out, 0, row->size);
}

/* With `apart`, the frames have one key, `apart` lanes of data each and none for J0 and AAD: the
 * four AADs are hashed here, and the masks of the tags come by themselves. */
WORD quad tags_of_four(sfr_row *const *rows, const hashed *f, quad masks, const int apart)
{
    sums sum;
    sum.low = add_lanes_of(f[0].sum.low, f[1].sum.low, f[2].sum.low, f[3].sum.low);
    sum.middle = add_lanes_of(f[0].sum.middle, f[1].sum.middle, f[2].sum.middle, f[3].sum.middle);
    sum.high = add_lanes_of(f[0].sum.high, f[1].sum.high, f[2].sum.high, f[3].sum.high);
    quad lengths = lengths_of(rows), y;
    if (apart) {
        const __m128i *end = state_of(rows[0])->power + POWERS;
        add_products_of_two(&sum, lengths, four(end - 1), reflect(aads_of(rows)),
                            four(end - 2 - apart));
    } else {
        add_products(&sum, lengths, LIKE_LANES(HASH_KEY(0), HASH_KEY(1), HASH_KEY(2), HASH_KEY(3)));
        masks = first_lanes_of(f[0].mask, f[1].mask, f[2].mask, f[3].mask);
    }
    y = reduce(sum);
    return xor2(reflect(y), masks);
}

WORD void finish_four(sfr_row *const *rows, const hashed *f, quad masks, const int apart,
                      const bool sealing)
{
    quad tags = tags_of_four(rows, f, masks, apart);
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

/* The block of lengths, in bits, and the power that it meets. */
WORD void hash_lengths(sums *sum, const sfr_row *row, const way w)
{
    quad lengths = _mm512_slli_epi64(lane0(length_of(row)), 3);
    hash_one(sum, lengths, lane0(state_of(row)->power[POWERS - 1]), w);
}

WORD hashed with_lengths(const sfr_row *row, hashed f)
{
    hash_lengths(&f.sum, row, ADDED);
    return f;
}

/* Of a frame whose block of lengths is in its sum. */
WORD void finish_one(sfr_row *row, hashed f, const bool sealing)
{
    __m128i tag = sfr_block_reflect(add_lanes(reduce(f.sum)));
    tag = _mm_xor_si128(tag, _mm512_castsi512_si128(f.mask));
    if (sealing) {
        _mm_storeu_si128((void *)row->tag.write, tag);
        return;
    }
    __m128i wrong = _mm_xor_si128(tag, _mm_loadu_si128((const void *)row->tag.read));
    row->status = SFR_OK;
    if (SFR_UNLIKELY(!_mm_testz_si128(wrong, wrong))) refuse(row);
}

/* ---- AES ---- */

/* Words 3 of blocks that count from 1 to 256, most significant byte first, where only the last of
 * them needs more than one byte. */
#define C(n)                                          \
    {                                                 \
        0, 0, 0, (uint32_t)(n) << 24 | (n) >> 8 << 16 \
    }
#define C4(n) C(n), C((n) + 1), C((n) + 2), C((n) + 3)
#define C16(n) C4(n), C4((n) + 4), C4((n) + 8), C4((n) + 12)
#define C64(n) C16(n), C16((n) + 16), C16((n) + 32), C16((n) + 48)
static const _Alignas(64) uint32_t counters[256][4] = {C64(1), C64(65), C64(129), C64(193)};
#undef C
#undef C4
#undef C16
#undef C64

/* A row's nonce || 0 in every lane, from words: see sfr_block_words. */
WORD quad nonce_of(const sfr_row *row)
{
    quad low = _mm512_set1_epi64((long long)row->block[0]);
    return _mm512_mask_set1_epi64(low, 0xaa, (long long)row->block[1]);
}

/* The counter blocks of n quads, from lane `first` of a frame on, into the first of the rounds. */
WORD void begin_rounds(quad *state, quad nonce, const __m128i *round_key, size_t first, const int n)
{
    quad key = four(round_key);
    UNROLL
    for (int i = 0; i < n; i++) state[i] = xor3(nonce, key, load(counters + first + 4 * i));
}

WORD void round_of(quad *state, const __m128i *round_key, const int r, const int n)
{
    quad key = four(round_key + r);
    UNROLL
    for (int i = 0; i < n; i++) state[i] = _mm512_aesenc_epi128(state[i], key);
}

/* Afterwards lane 0 of a frame's first quad is E(K, J0), the rest of it is what goes out. */
WORD void last_round(quad *state, const quad *text, const __m128i *round_key, const int rounds,
                     const int n)
{
    quad key = four(round_key + rounds);
    UNROLL
    for (int i = 0; i < n; i++) state[i] = _mm512_aesenclast_epi128(state[i], xor2(key, text[i]));
}

/* ---- short frames: `width` quads each, 1 to 7, and `frames` of them side by side ---- */

#define MAX_WIDTH 7
#define MAX_FULL 2 /* without lanes for J0 and AAD */

typedef struct frame {
    const __m128i *round_key, *powers; /* powers: of its first quad */
    quad aad;                          /* in lane 0 */
    quad state[MAX_WIDTH];             /* from counter blocks to what goes out */
    quad text[MAX_WIDTH];              /* what comes in, and then what is hashed */
    quad mask;                         /* lane 0: E(K, J0) */
    size_t first, end;                 /* bytes of data in the first quad and in the last */
} frame;

/* `lead` is 1, or 0 for frames without lanes for J0 and AAD. */
WORD void begin(frame *f, const sfr_row *row, const int width, const int lead)
{
    const key_state *key = state_of(row);
    f->round_key = key->round_key;
    f->powers = key->power + POWERS - 1 - lead - (row->size + 15) / 16;
    if (lead) f->aad = lane0(sfr_block_words(row->aad_head));
    f->end = row->size + 16 * (size_t)lead - 64 * (size_t)(width - 1);
    f->first = width == 1 ? row->size : 48;
    begin_rounds(f->state, nonce_of(row), f->round_key, 1 - (size_t)lead, width);
}

/* A leading lane takes no part in the data: it is zero for the cipher. */
WORD void load_quads_of(frame *f, const uint8_t *in, const int width, const int lead,
                        const bool easy)
{
    if (lead) f->text[0] = load_first(in + 16, f->first, easy);
    UNROLL
    for (int i = lead; i < width - 1; i++) f->text[i] = load(in + 64 * i);
    if (width > lead) f->text[width - 1] = load_end(in + 64 * (width - 1), f->end, easy);
}

WORD void load_text(frame *f, const sfr_row *row, const int width, const int lead)
{
    const uint8_t *in = row->in - 16 * lead;
    if (SFR_LIKELY(in_one_page(in, 64 * (size_t)width)))
        load_quads_of(f, in, width, lead, true);
    else
        load_quads_of(f, in, width, lead, false);
}

WORD void store_quads_of(const frame *f, uint8_t *out, const int width, const int lead,
                         const bool easy)
{
    if (lead) store_first(out + 16, f->state[0], f->first, easy);
    UNROLL
    for (int i = lead; i < width - 1; i++) store(out + 64 * i, f->state[i]);
    if (width > lead) store_end(out + 64 * (width - 1), f->state[width - 1], f->end, easy);
}

WORD void store_text(const frame *f, const sfr_row *row, const int width, const int lead)
{
    uint8_t *out = row->out - 16 * lead;
    if (SFR_LIKELY(in_one_page(out, 64 * (size_t)width)))
        store_quads_of(f, out, width, lead, true);
    else
        store_quads_of(f, out, width, lead, false);
}

/* Before what was loaded is hashed and deciphered: both take these bytes. */
WORD void read_once(quad *text, const int n)
{
    UNROLL
    for (int i = 0; i < n; i++) SFR_READ_ONCE_VECTOR(text[i]);
}

/* What is sealed becomes what is hashed: the AAD comes in, bytes after the frame's end go. */
WORD void take_ciphertext(frame *f, const int width, const int lead)
{
    UNROLL
    for (int i = lead; i < width - 1; i++) f->text[i] = f->state[i];
    if (width == 1 && lead) {
        f->text[0] = _mm512_mask_mov_epi8(f->aad, first_bytes(f->first) << 16, f->state[0]);
        return;
    }
    if (lead) f->text[0] = _mm512_mask_mov_epi64(f->aad, DATA_LANES, f->state[0]);
    f->text[width - 1] = _mm512_maskz_mov_epi8(first_bytes(f->end), f->state[width - 1]);
}

/* E(K, J0) of four frames of one key. */
WORD quad masks_of(sfr_row *const *rows, const int rounds)
{
    const __m128i *key = state_of(rows[0])->round_key;
    quad state = quad_of(sfr_block_words(rows[0]->block), sfr_block_words(rows[1]->block),
                         sfr_block_words(rows[2]->block), sfr_block_words(rows[3]->block));
    state = xor3(state, four(key), four((const void *)counters));
    UNROLL
    for (int r = 1; r < rounds; r++) round_of(&state, key, r, 1);
    return _mm512_aesenclast_epi128(state, four(key + rounds));
}

/* The AES rounds of some frames, and between them the hashing of others. */
WORD void rounds_and_hash(frame *now, const frame *known, sums *sum, const int frames,
                          const int width, const int rounds)
{
    UNROLL
    for (int r = 1; r < rounds; r++) {
        UNROLL
        for (int j = 0; j < frames; j++) round_of(now[j].state, now[j].round_key, r, width);
        const int turn = r - 1, j = turn / width;
        if (j < frames)
            hash_turn(&sum[j], known[j].text, known[j].powers, width, turn % width,
                      turn % width ? ADDED : FIRST);
    }
}

WORD void seal_one(sfr_row *row, const int width, const int rounds)
{
    frame f;
    hashed h;
    hash_lengths(&h.sum, row, FIRST);
    begin(&f, row, width, 1);
    load_text(&f, row, width, 1);
    UNROLL
    for (int r = 1; r < rounds; r++) round_of(f.state, f.round_key, r, width);
    last_round(f.state, f.text, f.round_key, rounds, width);
    store_text(&f, row, width, 1);
    take_ciphertext(&f, width, 1);
    hash_quads(&h.sum, f.text, f.powers, width, ADDED);
    h.mask = f.state[0];
    finish_one(row, h, true);
}

WORD void open_one(sfr_row *row, const int width, const int rounds)
{
    frame f;
    hashed h;
    begin(&f, row, width, 1);
    load_text(&f, row, width, 1);
    read_once(f.text, width);
    quad first = f.text[0];
    f.text[0] = _mm512_or_si512(first, f.aad);
    rounds_and_hash(&f, &f, &h.sum, 1, width, rounds);
    f.text[0] = first;
    last_round(f.state, f.text, f.round_key, rounds, width);
    store_text(&f, row, width, 1);
    h.mask = f.state[0];
    finish_one(row, with_lengths(row, h), false);
}

/* count is a multiple of four. A unit's ciphertext is hashed during the rounds of the next. */
WORD void seal_short(sfr_row *const *rows, size_t count, const int frames, const int width,
                     const int lead, const int rounds)
{
    frame now[4], known[4];
    hashed group[4];
    sums sum[4];
    quad masks = zero();
    const int apart = lead ? 0 : 4 * width;
    UNROLL
    for (int j = 0; j < frames; j++) {
        known[j].powers = state_of(rows[j])->power;
        known[j].mask = zero();
        UNROLL
        for (int i = 0; i < width; i++) known[j].text[i] = zero();
    }
    for (size_t at = 0;; at += (size_t)frames) {
        bool more = at < count;
        if (more) {
            UNROLL
            for (int j = 0; j < frames; j++) begin(&now[j], rows[at + (size_t)j], width, lead);
            rounds_and_hash(now, known, sum, frames, width, rounds);
        } else {
            UNROLL
            for (int j = 0; j < frames; j++)
                hash_quads(&sum[j], known[j].text, known[j].powers, width, FIRST);
        }
        UNROLL
        for (int j = 0; j < frames; j++)
            group[((int)at - frames + j) & 3] = (hashed){sum[j], known[j].mask};
        if (at && at % 4 == 0) finish_four(rows + at - 4, group, masks, apart, true);
        if (!more) break;
        if (apart && at % 4 == 0) masks = masks_of(rows + at, rounds);
        UNROLL
        for (int j = 0; j < frames; j++) {
            load_text(&now[j], rows[at + (size_t)j], width, lead);
            last_round(now[j].state, now[j].text, now[j].round_key, rounds, width);
            store_text(&now[j], rows[at + (size_t)j], width, lead);
            take_ciphertext(&now[j], width, lead);
            now[j].mask = now[j].state[0];
            known[j] = now[j];
        }
    }
}

WORD void open_short(sfr_row *const *rows, size_t count, const int frames, const int width,
                     const int lead, const int rounds)
{
    frame now[4];
    hashed group[4];
    sums sum[4];
    quad masks = zero();
    const int apart = lead ? 0 : 4 * width;
    for (size_t at = 0; at < count; at += (size_t)frames) {
        quad first[4];
        if (apart && at % 4 == 0) masks = masks_of(rows + at, rounds);
        UNROLL
        for (int j = 0; j < frames; j++) {
            begin(&now[j], rows[at + (size_t)j], width, lead);
            load_text(&now[j], rows[at + (size_t)j], width, lead);
            read_once(now[j].text, width);
            first[j] = now[j].text[0];
            if (lead) now[j].text[0] = _mm512_or_si512(first[j], now[j].aad);
        }
        rounds_and_hash(now, now, sum, frames, width, rounds);
        UNROLL
        for (int j = 0; j < frames; j++) {
            if (lead) now[j].text[0] = first[j];
            last_round(now[j].state, now[j].text, now[j].round_key, rounds, width);
            store_text(&now[j], rows[at + (size_t)j], width, lead);
            group[((int)at + j) & 3] = (hashed){sum[j], now[j].state[0]};
        }
        if ((at + (size_t)frames) % 4 == 0)
            finish_four(rows + at + (size_t)frames - 4, group, masks, apart, false);
    }
}

/* ---- longer frames: a stream of units of UNIT quads, the last of a frame of `last`, 4 to 7 ----
 * Here multiplication has the most to do: thrifty, where it is slow (SFR_CPU_SLOW_CLMUL), frames of
 * 640 bytes and more take 7 to 12 % less. Where it is not AES has the most to do, and what else
 * shares its port is not to grow. */

enum { UNIT = 4, UNIT_LANES = 4 * UNIT, UNIT_BYTES = 64 * UNIT, SEGMENT = POWERS / UNIT_LANES };

/* The frame being hashed. A segment is as long as there are powers for. The frame's last one
 * leaves H^1 to the length block; lanes beyond its end are zero, so it does not matter that round
 * keys lie in the place of their powers. */
typedef struct hashing {
    const key_state *key;
    const __m128i *powers; /* of the next unit */
    size_t lanes, whole;   /* of the frame and not in a segment yet: lanes; units but the last */
    size_t units;          /* to the end of the segment; 0 in the frame's last one */
    sums sum;
} hashing;

WORD void begin_segment(hashing *h)
{
    if (h->lanes < POWERS) {
        h->units = 0;
        h->powers = h->key->power + POWERS - 1 - h->lanes;
        return;
    }
    h->units = h->whole < SEGMENT ? h->whole : SEGMENT;
    h->powers = h->key->power + POWERS - UNIT_LANES * h->units;
    h->lanes -= UNIT_LANES * h->units;
    h->whole -= h->units;
}

WORD void begin_hashing(hashing *h, const sfr_row *row, size_t whole)
{
    h->key = state_of(row);
    h->lanes = 1 + (row->size + 15) / 16;
    h->whole = whole;
    h->sum = no_sums();
    begin_segment(h);
}

/* What a segment comes to is added to the first lane of the next. */
WORD void end_unit(hashing *h, const way w)
{
    h->powers += UNIT_LANES;
    if (SFR_LIKELY(--h->units)) return;
    quad sum = lane0(add_lanes(reduce(settled(h->sum, w))));
    begin_segment(h);
    h->sum = no_sums();
    hash_one(&h->sum, sum, four(h->powers), w);
}

WORD void count_slowly(quad *state, quad nonce, const __m128i *round_key, size_t first, const int n)
{
    const quad swap =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    const quad lane = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
    quad key = four(round_key);
    UNROLL
    for (int i = 0; i < n; i++) {
        quad count = _mm512_mask_set1_epi32(nonce, 0x8888, (int)first + 4 * i);
        state[i] = xor2(_mm512_shuffle_epi8(_mm512_add_epi32(count, lane), swap), key);
    }
}

/* The nonce has in its last word what the count has above its last byte. */
WORD void count_unit(quad *state, quad *nonce, const __m128i *round_key, size_t first, const int n)
{
    if (SFR_LIKELY((first & 255) + 4 * (size_t)n < 256)) {
        begin_rounds(state, *nonce, round_key, first & 255, n);
        return;
    }
    count_slowly(state, *nonce, round_key, first, n);
    uint32_t above = sfr_be32((uint32_t)first + 256) & ~0xff000000u;
    *nonce = _mm512_mask_set1_epi32(*nonce, 0x8888, (int)above);
}

WORD void unit_rounds(quad *state, const __m128i *round_key, const int n, const int rounds,
                      sums *sum, const quad *text, const __m128i *powers, const int known,
                      const way w)
{
    UNROLL
    for (int r = 1; r < rounds; r++) {
        round_of(state, round_key, r, n);
        if (r <= known) hash_turn(sum, text, powers, known, r - 1, w);
    }
}

WORD size_t quads_of(const sfr_row *row)
{
    return sfr_vectors(row->size);
}

/* A unit to come, into the cache: the CPU itself stops at the ends of pages. */
enum { PREFETCH_UNITS = 4 };

WORD void fetch(const uint8_t *from, const uint8_t *to)
{
    UNROLL
    for (int i = 0; i < UNIT; i++) {
        __builtin_prefetch(from + 64 * i, 0);
        __builtin_prefetch(to + 64 * i, 1);
    }
}

/* Quads from number i of some up to the one before n, which are whole. */
WORD void load_quads(quad *to, const uint8_t *from, int i, const int n)
{
    UNROLL
    for (; i < n; i++) to[i] = load(from + 64 * i);
}

WORD void store_quads(uint8_t *to, const quad *from, int i, const int n)
{
    UNROLL
    for (; i < n; i++) store(to + 64 * i, from[i]);
}

WORD void copy_quads(quad *to, const quad *from, int i, const int n)
{
    UNROLL
    for (; i < n; i++) to[i] = from[i];
}

WORD void seal_stream(sfr_row *const *rows, size_t count, const int last, const int rounds,
                      const way w)
{
    quad state[MAX_WIDTH], text[MAX_WIDTH], in[MAX_WIDTH];
    hashed group[4];
    hashing h = {.key = state_of(rows[0]), .powers = state_of(rows[0])->power, .sum = no_sums()};
    UNROLL
    for (int i = 0; i < last; i++) text[i] = zero();
    for (size_t f = 0; f < count; f++) {
        const sfr_row *row = rows[f];
        const __m128i *key = state_of(row)->round_key;
        const size_t whole = (quads_of(row) - (size_t)last) / UNIT;
        const size_t end = row->size + 16 - UNIT_BYTES * whole - 64 * (size_t)(last - 1);
        const uint8_t *from = row->in - 16;
        uint8_t *to = row->out - 16;
        quad nonce = nonce_of(row);

        begin_rounds(state, nonce, key, 0, UNIT);
        unit_rounds(state, key, UNIT, rounds, &h.sum, text, h.powers, last, w);
        if (f) group[(f - 1) & 3].sum = settled(h.sum, w);
        if (f && f % 4 == 0) finish_four(rows + f - 4, group, zero(), 0, true);
        begin_hashing(&h, row, whole);
        in[0] = load_first(row->in, 48, false);
        load_quads(in, from, 1, UNIT);
        last_round(state, in, key, rounds, UNIT);
        store_first(row->out, state[0], 48, false);
        store_quads(to, state, 1, UNIT);
        group[f & 3].mask = state[0];
        text[0] =
            _mm512_mask_mov_epi64(lane0(sfr_block_words(row->aad_head)), DATA_LANES, state[0]);
        copy_quads(text, state, 1, UNIT);

        for (size_t unit = 1; unit < whole; unit++) {
            from += UNIT_BYTES, to += UNIT_BYTES;
            if (unit + PREFETCH_UNITS < whole)
                fetch(from + PREFETCH_UNITS * UNIT_BYTES, to + PREFETCH_UNITS * UNIT_BYTES);
            count_unit(state, &nonce, key, UNIT_LANES * unit, UNIT);
            unit_rounds(state, key, UNIT, rounds, &h.sum, text, h.powers, UNIT, w);
            end_unit(&h, w);
            load_quads(in, from, 0, UNIT);
            last_round(state, in, key, rounds, UNIT);
            store_quads(to, state, 0, UNIT);
            copy_quads(text, state, 0, UNIT);
        }

        from += UNIT_BYTES, to += UNIT_BYTES;
        count_unit(state, &nonce, key, UNIT_LANES * whole, last);
        unit_rounds(state, key, last, rounds, &h.sum, text, h.powers, UNIT, w);
        end_unit(&h, w);
        load_quads(in, from, 0, last - 1);
        in[last - 1] = load_end(from + 64 * (last - 1), end, false);
        last_round(state, in, key, rounds, last);
        store_quads(to, state, 0, last - 1);
        copy_quads(text, state, 0, last - 1);
        store_end(to + 64 * (last - 1), state[last - 1], end, false);
        text[last - 1] = _mm512_maskz_mov_epi8(first_bytes(end), state[last - 1]);
    }
    hash_quads(&h.sum, text, h.powers, last, w);
    group[(count - 1) & 3].sum = settled(h.sum, w);
    if (count % 4 == 0) {
        finish_four(rows + count - 4, group, zero(), 0, true);
        return;
    }
    for (size_t f = count & ~(size_t)3; f < count; f++)
        finish_one(rows[f], with_lengths(rows[f], group[f & 3]), true);
}

WORD void open_stream(sfr_row *const *rows, size_t count, const int last, const int rounds,
                      const way w)
{
    quad state[MAX_WIDTH], text[MAX_WIDTH];
    hashed group[4];
    hashing h;
    for (size_t f = 0; f < count; f++) {
        const sfr_row *row = rows[f];
        const __m128i *key = state_of(row)->round_key;
        const size_t whole = (quads_of(row) - (size_t)last) / UNIT;
        const size_t end = row->size + 16 - UNIT_BYTES * whole - 64 * (size_t)(last - 1);
        const uint8_t *from = row->in - 16;
        uint8_t *to = row->out - 16;
        quad nonce = nonce_of(row);

        begin_hashing(&h, row, whole);
        text[0] = load_first(row->in, 48, false);
        load_quads(text, from, 1, UNIT);
        read_once(text, UNIT);
        quad first = text[0];
        text[0] = _mm512_or_si512(first, lane0(sfr_block_words(row->aad_head)));
        begin_rounds(state, nonce, key, 0, UNIT);
        unit_rounds(state, key, UNIT, rounds, &h.sum, text, h.powers, UNIT, w);
        end_unit(&h, w);
        text[0] = first;
        last_round(state, text, key, rounds, UNIT);
        store_first(row->out, state[0], 48, false);
        store_quads(to, state, 1, UNIT);
        group[f & 3].mask = state[0];

        for (size_t unit = 1; unit < whole; unit++) {
            from += UNIT_BYTES, to += UNIT_BYTES;
            if (unit + PREFETCH_UNITS < whole)
                fetch(from + PREFETCH_UNITS * UNIT_BYTES, to + PREFETCH_UNITS * UNIT_BYTES);
            load_quads(text, from, 0, UNIT);
            read_once(text, UNIT);
            count_unit(state, &nonce, key, UNIT_LANES * unit, UNIT);
            unit_rounds(state, key, UNIT, rounds, &h.sum, text, h.powers, UNIT, w);
            end_unit(&h, w);
            last_round(state, text, key, rounds, UNIT);
            store_quads(to, state, 0, UNIT);
        }

        from += UNIT_BYTES, to += UNIT_BYTES;
        load_quads(text, from, 0, last - 1);
        text[last - 1] = load_end(from + 64 * (last - 1), end, false);
        read_once(text, last);
        count_unit(state, &nonce, key, UNIT_LANES * whole, last);
        unit_rounds(state, key, last, rounds, &h.sum, text, h.powers, last, w);
        last_round(state, text, key, rounds, last);
        store_quads(to, state, 0, last - 1);
        store_end(to + 64 * (last - 1), state[last - 1], end, false);
        group[f & 3].sum = settled(h.sum, w);
        if (f % 4 == 3) finish_four(rows + f - 3, group, zero(), 0, false);
    }
    for (size_t f = count & ~(size_t)3; f < count; f++)
        finish_one(rows[f], with_lengths(rows[f], group[f & 3]), false);
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

/* An AAD of two to four blocks in one piece: each but the last, which the sum over the frame
 * multiplies anyway, meets its power. What lies behind the table takes no part. */
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

/* A folded AAD has H in it, and the row is in its producer's stack. */
WORD void wipe_folded_aad(sfr_row *row)
{
    if (SFR_UNLIKELY(row->aad_size > 16)) row->aad_head[0] = row->aad_head[1] = 0;
}

/* How many rows from the first on have its number of quads. */
WORD size_t alike(sfr_row *const *rows, size_t count)
{
    const size_t most = 64 * quads_of(rows[0]) - 16;
    size_t i = 1;
    while (i < count && most - rows[i]->size < 64) i++;
    return i;
}

/* Whether rows have one key, and room for all of their data in so many quads. */
WORD bool are_full(sfr_row *const *rows, size_t count, size_t data)
{
    bool full = data && data <= MAX_FULL;
    for (size_t i = 0; full && i < count; i++)
        full = rows[i]->key == rows[0]->key && rows[i]->size <= 64 * data;
    return full;
}

/* What runners leave in the stack: sums and masks of a group's frames, and what did not fit the
 * registers. One frame of up to four quads at a time leaves some of these free, and nothing behind;
 * but clang keeps arrays of vectors in memory. Called from the same depth. */
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

/* Returns how many rows it ran: as many as have the first one's number of quads. */
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

/* As many as are long, up to a chunk: frames whose lengths end alike make one stream. */
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

/* Rows whose AADs are folded. */
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
