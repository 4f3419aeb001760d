/* gcm_vaes512: longer frames, as a stream of units. A unit has UNIT quads; the last unit of a frame
 * has `last` quads, 4 to 7.
 *
 * Where 512-bit multiplication is slow (SFR_CPU_SLOW_CLMUL) it is the bottleneck, and the thrifty
 * products make frames of 640 bytes and more 7 to 12 % faster. Elsewhere AES is the bottleneck, and
 * whatever competes with it for execution ports must not grow. */
#ifndef SFR_GCM_VAES512_LONG_H
#define SFR_GCM_VAES512_LONG_H

#include "aead/gcm_vaes512_short.h"

enum { UNIT = 4, UNIT_LANES = 4 * UNIT, UNIT_BYTES = 64 * UNIT, SEGMENT = POWERS / UNIT_LANES };

/* The frame being hashed. A segment is as long as there are powers for. The last segment leaves H^1
 * to the length block. Lanes beyond the frame's end are zero, so it does not matter that their
 * powers are read from the round keys. */
typedef struct hashing {
    const key_state *key;
    const __m128i *powers; /* of the next unit */
    size_t lanes, whole;   /* not in a segment yet: lanes; units except the last */
    size_t units;          /* to the end of the segment; 0 in the last one */
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

/* The sum of a segment is added to the first lane of the next. */
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

/* The last word of the nonce holds the bits of the count above its last byte. */
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

/* Prefetches a later unit: the hardware prefetcher stops at the ends of pages. */
enum { PREFETCH_UNITS = 4 };

WORD void fetch(const uint8_t *from, const uint8_t *to)
{
    UNROLL
    for (int i = 0; i < UNIT; i++) {
        __builtin_prefetch(from + 64 * i, 0);
        __builtin_prefetch(to + 64 * i, 1);
    }
}

/* Whole quads, from number i up to the one before n. */
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

#endif
