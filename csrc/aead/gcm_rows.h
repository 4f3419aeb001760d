/* AES-GCM (SP 800-38D) over rows, written once for vectors of one or two blocks.
 *
 * The including file defines `vec`, a vector of BLOCKS blocks, the operations on it, and KERNEL,
 * the attributes of a function of its instruction set.
 *
 * A frame is a sequence of blocks. Block 0 carries no data: its counter block is J0, so its
 * keystream is E(K, J0), which masks the tag, and in the hash its place is taken by the AAD, folded
 * to one block. Blocks 1..n are the frame's. Beyond the frame everything is zero:
 *
 *     enciphered   J0    ctr 2   ctr 3   ...          vec 0 | vec 1 | ...
 *     carried      0     data 1  data 2  ...
 *     hashed       AAD   text 1  text 2  ...  text n, then the block of lengths
 *
 * GHASH of m blocks is the sum of X(i) H^(m + 1 - i), with one reduction. The powers lie in
 * descending order, so the powers of a vector are one load. Products are Karatsuba's, with three
 * multiplications, because multiplication is the bottleneck on CPUs that run two AES rounds a
 * cycle.
 *
 * Frames of fewer than WAVE vectors run on straight-line code for their number of blocks, two at a
 * time, so that one hides the latency of the other. A longer frame starts with such a piece, for
 * the blocks that do not fill a wave, and continues with waves whose rounds are interleaved with
 * the hashing of the previous wave.
 *
 * Rules: no byte outside a row's buffers is touched. In opening each byte is loaded into a register
 * once, and deciphered and hashed from there. Branches and addresses depend on sizes and on the
 * verdict only. */
#ifndef SFR_GCM_ROWS_H
#define SFR_GCM_ROWS_H

#include "aead/gcm_pieces.h"

/* ---- short frames, and how long ones begin: block 0 and `data` more, a constant ---- */

/* What a long frame carries from its first piece to its waves. */
typedef struct carried { block mask, y; } carried;

KERNEL void begin(piece *p, const sfr_row *row, const int vectors)
{
    p->key = state_of(row);
    p->in = row->in;
    p->out = row->out;
    block j0 = sfr_block_words(row->block);
    vec nonce = both_of(KEY_FIRST ? j0 : sfr_block_xor(j0, p->key->round_key[0]));
    UNROLL for (int u = 0; u < vectors; u++)
        p->state[u] = xor(nonce, load_blocks(counters[u * BLOCKS + 1]));
}

/* Runs one frame, or two of the same number of blocks. With `rest` the frame continues after
 * them. */
KERNEL void frames_of(sfr_row *const *rows, const block *aad, carried *rest, const int frames,
                      const int data, const int rounds, const bool sealing)
{
    const int n = data + 1, vectors = (n + BLOCKS - 1) / BLOCKS;
    piece p[2];
    UNROLL for (int f = 0; f < frames; f++) begin(&p[f], rows[f], vectors);
    UNROLL for (int r = 1; r < SFR_AES128_ROUNDS; r++)
        UNROLL for (int f = 0; f < frames; f++) round_of(p[f].state, vectors, p[f].key, r);
    if (rounds == SFR_AES256_ROUNDS)
        UNROLL for (int r = SFR_AES128_ROUNDS; r < SFR_AES256_ROUNDS; r++)
            UNROLL for (int f = 0; f < frames; f++) round_of(p[f].state, vectors, p[f].key, r);
    UNROLL for (int f = 0; f < frames; f++) {
        p[f].end = rest ? 16 : rows[f]->size - 16 * (size_t)(data - (data > 0));
        last_round(&p[f], n, 0, rounds, sealing);
        p[f].x[0] = with_first(p[f].x[0], aad[f]);
    }
    UNROLL for (int f = 0; f < frames; f++) {
        hash sum = hash_zero();
        if (!rest && n % BLOCKS) p[f].x[vectors - 1] = with_second(p[f].x[vectors - 1], lengths_of(rows[f]));
        else if (!rest) sum = hash_lengths(rows[f], p[f].key);
        hash_vectors(&sum, p[f].x, vectors, powers_from(p[f].key, (size_t)n + !rest));
        block y = hash_reduce(sum), mask = block_of(p[f].state[0], 0);
        if (rest) *rest = (carried){mask, y};
        else finish(rows[f], mask, y, sealing);
    }
}

typedef void (*variant)(sfr_row *const *rows, const block *aad, carried *rest, int rounds);

#define VARIANT(name, frames, data, sealing)                                                      \
    KERNEL_TARGET static __attribute__((noinline)) void name(                                     \
        sfr_row *const *rows, const block *aad, carried *rest, int rounds)                        \
    {                                                                                             \
        frames_of(rows, aad, (frames) == 1 ? rest : NULL, frames, data, rounds, sealing);         \
    }
#define ONE(n) VARIANT(seal_one_##n, 1, n, true) VARIANT(open_one_##n, 1, n, false)
#define TWO(n) VARIANT(seal_two_##n, 2, n, true) VARIANT(open_two_##n, 2, n, false)
#define NAME_SEAL_ONE(n) seal_one_##n,
#define NAME_OPEN_ONE(n) open_one_##n,
#define NAME_SEAL_TWO(n) seal_two_##n,
#define NAME_OPEN_TWO(n) open_two_##n,
#define TO_3(X) X(0) X(1) X(2) X(3)
#define TO_7(X) TO_3(X) X(4) X(5) X(6) X(7)
#define TO_11(X) TO_7(X) X(8) X(9) X(10) X(11)
#define TO_15(X) TO_11(X) X(12) X(13) X(14) X(15)
#if WAVE_BLOCKS == 16
#define IN_ONE TO_15
#define IN_TWO TO_7
#elif WAVE_BLOCKS == 12
#define IN_ONE TO_11
#define IN_TWO TO_11
#else
#define IN_ONE TO_7
#define IN_TWO TO_3
#endif

IN_ONE(ONE)
IN_TWO(TWO)

static const variant one_frame[2][WAVE_BLOCKS] = {{IN_ONE(NAME_OPEN_ONE)}, {IN_ONE(NAME_SEAL_ONE)}};
static const variant two_frames[2][PAIR_BLOCKS] = {{IN_TWO(NAME_OPEN_TWO)},
                                                   {IN_TWO(NAME_SEAL_TWO)}};

/* ---- long frames: a beginning, then whole waves ---- */

/* Makes a wave's counter blocks. Counters are kept least significant byte first, for the
 * additions. */
KERNEL void count(piece *p, vec *counter)
{
    vec k = KEY_FIRST ? zero() : both(&p->key->round_key[0]);
    UNROLL for (int u = 0; u < WAVE; u++) {
        p->state[u] = xor(swap_counter(*counter), k);
        *counter = add_counter(*counter, BLOCKS);
    }
}

/* Runs a wave's rounds, interleaved with the hashing of the previous wave, which is in p->x. */
KERNEL void wave_rounds(piece *p, hash *sum, const int rounds)
{
    powers h = powers_from(p->key, WAVE_BLOCKS);
    vec fold;
    UNROLL for (int r = 1; r < SFR_AES128_ROUNDS; r++) {
        round_of(p->state, WAVE, p->key, r);
        UNROLL for (int i = 0, u = (r - 1) * HASHED; i < HASHED; i++, u++)
            if (sum && u < WAVE) hash_vector(sum, p->x, &fold, u, WAVE, h);
    }
    if (rounds == SFR_AES256_ROUNDS)
        UNROLL for (int r = SFR_AES128_ROUNDS; r < SFR_AES256_ROUNDS; r++)
            round_of(p->state, WAVE, p->key, r);
}

KERNEL void wave_out(piece *p, block y, size_t end, const int rounds, const bool sealing)
{
    p->end = end;
    last_round(p, WAVE_BLOCKS, 1, rounds, sealing);
    p->x[0] = xor(p->x[0], in_low(y));
    p->in += 16 * WAVE_BLOCKS;
    p->out += 16 * WAVE_BLOCKS;
}

KERNEL_TARGET static __attribute__((noinline)) void waves(sfr_row *row, carried *rest, size_t from,
                                                          const int rounds, const bool sealing)
{
    piece p = {.key = state_of(row), .in = row->in + from, .out = row->out + from};
    size_t left = row->size - from;
    vec counter = add_counters(both_of(sfr_block_words(row->block)), (int)(from / 16) + 2);
    count(&p, &counter);
    wave_rounds(&p, NULL, rounds);
    wave_out(&p, rest->y, left < 16 * WAVE_BLOCKS ? (left - 1) % 16 + 1 : 16, rounds, sealing);
    while (left > 16 * WAVE_BLOCKS) {
        hash sum = hash_zero();
        left -= 16 * WAVE_BLOCKS;
        count(&p, &counter);
        wave_rounds(&p, &sum, rounds);
        wave_out(&p, hash_reduce(sum), left < 16 * WAVE_BLOCKS ? (left - 1) % 16 + 1 : 16, rounds,
                 sealing);
    }
    hash sum = hash_lengths(row, p.key);
    hash_vectors(&sum, p.x, WAVE, powers_from(p.key, WAVE_BLOCKS + 1));
    finish(row, rest->mask, hash_reduce(sum), sealing);
}

/* ---- rows ---- */

/* Wipes what the functions above may have left on the stack: keystream and sums that did not fit
 * the registers. They are called from the same depth as this function. */
#ifdef __clang__
#define STACK_OF_VARIANTS 1280
#else
#define STACK_OF_VARIANTS 1024
#endif
KERNEL_TARGET static __attribute__((noinline)) void wipe_stack(void)
{
    uint8_t room[STACK_OF_VARIANTS];
    UNROLL for (size_t i = 0; i < sizeof room; i += sizeof(vec)) store(room + i, zero());
    __asm__ __volatile__("" : : "r"(room) : "memory");
}

KERNEL_TARGET static __attribute__((noinline)) block long_aad(const sfr_row *row,
                                                              const key_state *key)
{
    return sfr_ghash_long_aad(row, key->power + POWERS);
}

KERNEL block aad_block(const sfr_row *row, const key_state *key)
{
    if (SFR_LIKELY(row->aad_size <= 16)) return sfr_block_reflect(sfr_block_words(row->aad_head));
    return long_aad(row, key);
}

KERNEL void run(sfr_row *const *rows, size_t n, const int rounds, const bool sealing)
{
    carried rest;
    block aad[2];
    for (size_t i = 0; i < n;) {
        size_t blocks = blocks_of(rows[i]);
        aad[0] = aad_block(rows[i], state_of(rows[i]));
        if (blocks >= WAVE_BLOCKS) {
            size_t begun = blocks % WAVE_BLOCKS;
            one_frame[sealing][begun](rows + i, aad, &rest, rounds);
            waves(rows[i], &rest, 16 * begun, rounds, sealing);
            i++;
        } else if (blocks < PAIR_BLOCKS && i + 1 < n && blocks_of(rows[i + 1]) == blocks) {
            aad[1] = aad_block(rows[i + 1], state_of(rows[i + 1]));
            two_frames[sealing][blocks](rows + i, aad, NULL, rounds);
            i += 2;
        } else {
            one_frame[sealing][blocks](rows + i, aad, NULL, rounds);
            i++;
        }
    }
    /* This function's own stack holds a mask, and sums that depend on H. */
    rest = (carried){sfr_block_zero(), sfr_block_zero()};
    aad[0] = aad[1] = sfr_block_zero();
    __asm__ __volatile__("" : : "r"(&rest), "r"(aad) : "memory");
    wipe_stack();
    clear_registers();
}

#define OPS(name, rounds)                                                                         \
    KERNEL_TARGET static void name##_key_init(void *state, const uint8_t *sframe_key)             \
    {                                                                                             \
        key_init(state, sframe_key, rounds);                                                      \
        wipe_stack();                                                                             \
        clear_registers();                                                                        \
    }                                                                                             \
    KERNEL_TARGET static void name##_seal(sfr_row *const *rows, size_t n)                         \
    {                                                                                             \
        run(rows, n, rounds, true);                                                               \
    }                                                                                             \
    KERNEL_TARGET static void name##_open(sfr_row *const *rows, size_t n)                         \
    {                                                                                             \
        run(rows, n, rounds, false);                                                              \
    }                                                                                             \
    const sfr_ops name = {.state_size = offsetof(key_state, round_key) + 16 * ((rounds) + 1),     \
                          .hot_size = offsetof(key_state, round_key) + 16 * ((rounds) + 1),       \
                          .key_init = name##_key_init,                                            \
                          .seal = name##_seal,                                                    \
                          .open = name##_open};

#endif
