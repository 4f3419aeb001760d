/* gcm_vaes512: GHASH over quads, and tags. */
#ifndef SFR_GCM_VAES512_GHASH_H
#define SFR_GCM_VAES512_GHASH_H

#include "aead/gcm_vaes512_words.h"

/* Sums of a frame's products, lane by lane, not reduced. */
typedef struct sums {
    quad low, middle, high;
} sums;

/* How a product enters a sum. THRIFTY takes three multiplications instead of four, but more
 * operations in all; until the sum is settled, `middle` also contains low and high. */
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

/* Two quads at once save two additions. */
WORD void add_products_of_two(sums *sum, quad x, quad h, quad y, quad k)
{
    sum->low = xor3(sum->low, product(x, h, 0x00), product(y, k, 0x00));
    sum->high = xor3(sum->high, product(x, h, 0x11), product(y, k, 0x11));
    sum->middle = xor3(sum->middle, product(x, h, 0x01), product(x, h, 0x10));
    sum->middle = xor3(sum->middle, product(y, k, 0x01), product(y, k, 0x10));
}

/* Karatsuba: ad + bc = (a + b)(c + d) - ac - bd. */
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

/* The hashing of n quads is spread over n turns; every second turn takes two quads. */
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

/* A frame whose lanes have all been hashed. */
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

/* Built from registers: two words stored to the stack would stall the load. */
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

/* With `apart`, the frames share one key and have `apart` lanes of data each, none of them for J0
 * and AAD: the four AADs are hashed here, and `masks` holds E(K, J0) of each frame. */
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

/* Hashes the block of lengths, in bits, with the power H^1. */
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

/* Finishes a frame whose block of lengths is in its sum. */
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

#endif
