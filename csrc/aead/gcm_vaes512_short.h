/* gcm_vaes512: AES rounds, and frames of up to seven quads. */
#ifndef SFR_GCM_VAES512_SHORT_H
#define SFR_GCM_VAES512_SHORT_H

#include "aead/gcm_vaes512_ghash.h"

/* ---- AES ---- */

/* Word 3 of the counter blocks 1 to 256, most significant byte first. Only the last of them needs
 * more than one byte. */
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

/* A row's nonce || 0 in every lane, built from words: see sfr_block_words. */
WORD quad nonce_of(const sfr_row *row)
{
    quad low = _mm512_set1_epi64((long long)row->block[0]);
    return _mm512_mask_set1_epi64(low, 0xaa, (long long)row->block[1]);
}

/* Starts the rounds of n quads: the counter blocks from lane `first` of a frame on, XORed with
 * round key 0. */
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

/* Afterwards lane 0 of a frame's first quad is E(K, J0); the other lanes are the output. */
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
    quad state[MAX_WIDTH];             /* first counter blocks, last the output */
    quad text[MAX_WIDTH];              /* first the input, then what is hashed */
    quad mask;                         /* lane 0: E(K, J0) */
    size_t first, end;                 /* bytes of data in the first quad and in the last */
} frame;

/* `lead` is 1, or 0 for frames without a lane for J0 and AAD. */
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

/* The leading lane carries no data: the cipher sees it as zero. */
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

/* Fixes what was loaded: hashing and deciphering must see the same bytes. */
WORD void read_once(quad *text, const int n)
{
    UNROLL
    for (int i = 0; i < n; i++) SFR_READ_ONCE_VECTOR(text[i]);
}

/* The output becomes what is hashed: the AAD joins it, bytes after the frame's end are cleared. */
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

/* Runs the AES rounds of some frames, and the hashing of others between them. */
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

/* `count` is a multiple of four. The ciphertext of each unit is hashed during the next one's
 * rounds. */
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

#endif
