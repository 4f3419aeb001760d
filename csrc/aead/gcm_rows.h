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

#include "aead/aes.h"
#include "aead/ghash.h"

#define UNROLL SFR_UNROLL

/* ---- what registers and instructions there are ----
 * WAVE         vectors encrypted at a time
 * PAIR_BLOCKS  two frames of fewer blocks run together
 * HASHED       vectors hashed in each of a wave's first rounds
 * PINNED       vectors hashed between two pins of the sum
 * KEY_FIRST    a round of AES begins with its key; else it ends with it, and another one goes before
 *              all rounds */
#ifdef SFR_X86 /* 16 registers */
#define WAVE 8
#define PAIR_BLOCKS (4 * BLOCKS)
#define HASHED 1
#define PINNED 1
#define KEY_FIRST 0
#define VECTOR(x) "+x"(x)
#else /* 32 registers; two products may be added by one instruction */
#define WAVE 12
#define PAIR_BLOCKS 12
#define HASHED 2
#define PINNED 2
#define KEY_FIRST 1
#define VECTOR(x) "+w"(x)
#endif

#define WAVE_BLOCKS (WAVE * BLOCKS)
#define POWERS (WAVE_BLOCKS + 1)    /* a wave and the block of lengths */

typedef sfr_block block;

typedef struct key_state {
    block power[POWERS + 1];           /* H^POWERS, ..., H^1, then zero */
    uint64_t folded[POWERS + 5];       /* low half ^ high half of each, then zeros */
    block round_key[SFR_AES256_ROUNDS + 1];
} key_state;

KERNEL const key_state *state_of(const sfr_row *row)
{
    return (const void *)row->key->state;
}

KERNEL size_t blocks_of(const sfr_row *row) { return (row->size + 15) / 16; }

/* ---- the key ---- */

KERNEL void key_init(key_state *key, const uint8_t *sframe_key, const int rounds)
{
    if (rounds == SFR_AES128_ROUNDS) sfr_aes128_expand(key->round_key, sframe_key);
    else sfr_aes256_expand(key->round_key, sframe_key);
    block h = sfr_aes_block(sfr_block_zero(), key->round_key, rounds);
    sfr_ghash_powers(key->power, POWERS, sfr_ghash_key(h));
    key->power[POWERS] = sfr_block_zero();
    memset(key->folded, 0, sizeof key->folded);
    for (int i = 0; i < POWERS; i++) {
        block folded = sfr_block_xor(key->power[i], sfr_block_swapped(key->power[i]));
        key->folded[i] = sfr_block_low(folded);
    }
}

/* ---- GHASH ---- */

/* Unreduced products. The middle one is of the folded factors and includes low and high. */
typedef struct hash { vec low, middle, high; } hash;

KERNEL hash hash_zero(void) { return (hash){zero(), zero(), zero()}; }

/* The product of H and the last block, which holds the lengths in bits. */
KERNEL block lengths_of(const sfr_row *row)
{
    return sfr_ghash_lengths((uint64_t)row->aad_size * 8, (uint64_t)row->size * 8);
}

KERNEL hash hash_lengths(const sfr_row *row, const key_state *key)
{
    block x = lengths_of(row);
    block h = key->power[POWERS - 1];
    block fold = sfr_block_xor(x, sfr_block_swapped(x));
    block folded = sfr_block_pair(key->folded[POWERS - 1], 0);
    return (hash){in_low(sfr_block_product(x, h, 0x00)),
                  in_low(sfr_block_product(fold, folded, 0x00)),
                  in_low(sfr_block_product(x, h, 0x11))};
}

/* Without this, compilers regroup a sum of many products as a tree and keep all of them alive. */
KERNEL void pin(hash *sum)
{
    __asm__("" : VECTOR(sum->low), VECTOR(sum->middle), VECTOR(sum->high));
}

/* The powers of H that a sequence of vectors meets. */
typedef struct powers { const block *h; const uint64_t *folded; } powers;

KERNEL powers powers_from(const key_state *key, size_t n) /* H^n, H^(n - 1), ... */
{
    powers p = {key->power + POWERS - n, key->folded + POWERS - n};
    __asm__("" : "+r"(p.h), "+r"(p.folded));
    return p;
}

/* Hashes vector u of n. Vectors 2i and 2i + 1 share one product of the folded factors. */
KERNEL void hash_vector(hash *sum, const vec *x, vec *fold, const int u, const int n, powers p)
{
    vec h = load_blocks(p.h + u * BLOCKS);
    vec folded = load_folded(p.folded + u / 2 * 2 * BLOCKS);
    if (u % 2 == 0) {
        vec next = u + 1 < n ? x[u + 1] : zero();
        *fold = xor(low_halves(x[u], next), high_halves(x[u], next));
    }
    sum->low = xor(sum->low, product(x[u], h, 0x00));
    sum->high = xor(sum->high, product(x[u], h, 0x11));
    if (u % 2 == 0) sum->middle = xor(sum->middle, product(*fold, folded, 0x00));
    else sum->middle = xor(sum->middle, product(*fold, folded, 0x11));
    if ((u + 1) % PINNED == 0 || u + 1 == n) pin(sum);
}

KERNEL void hash_vectors(hash *sum, const vec *x, const int n, powers p)
{
    vec fold;
    UNROLL for (int u = 0; u < n; u++) hash_vector(sum, x, &fold, u, n, p);
}

KERNEL block hash_reduce(hash sum)
{
    block low = add_blocks(sum.low), high = add_blocks(sum.high);
    block middle = sfr_block_xor(add_blocks(sum.middle), sfr_block_xor(low, high));
    return sfr_ghash_reduce((sfr_ghash_sum){low, middle, high});
}

/* ---- AES ---- */

/* Counters 0..16, as the last words of blocks. */
#define C(n) {0, 0, 0, (uint32_t)(n) << 24}
static const _Alignas(64) uint32_t counters[17][4] = {
    C(0), C(1), C(2),  C(3),  C(4),  C(5),  C(6),  C(7), C(8),
    C(9), C(10), C(11), C(12), C(13), C(14), C(15), C(16)};
#undef C

KERNEL void round_of(vec *state, const int n, const key_state *key, const int r)
{
    vec k = both(&key->round_key[r - KEY_FIRST]);
    UNROLL for (int u = 0; u < n; u++) state[u] = aes_round(state[u], k);
}

/* ---- the end of a frame ---- */

KERNEL void finish(sfr_row *row, block mask, block y, const bool sealing)
{
    block tag = sfr_block_xor(sfr_block_reflect(y), mask);
    if (sealing) {
        sfr_block_store(row->tag.write, tag);
        return;
    }
    /* RFC 9605 4.4.4 SHOULD: compares the whole tag at once, wherever it differs. */
    block wrong = sfr_block_xor(tag, sfr_block_load(row->tag.read));
    row->status = SFR_OK;
    if (SFR_UNLIKELY(!sfr_block_is_zero(wrong))) {
        row->status = SFR_AUTH_FAILED;
        memset(row->out, 0, row->size);
    }
}

/* ---- a piece of a frame: n blocks from block `first` on, both constants ----
 * first is 0 where block 0 of the frame is in it, which is not data, and 1 where it is not: then
 * all n are data. */

typedef struct piece {
    const key_state *key;
    const uint8_t *in;
    uint8_t *out;
    size_t end;                    /* bytes of the last block; all others are whole */
    vec state[WAVE];               /* first counter blocks, last the output */
    vec x[WAVE];                   /* what is hashed */
} piece;

#define DATA_BLOCKS(n, first) ((n) - !(first))

/* The offset of block i of a piece in its buffers. */
#define AT(i, first) (16 * ((i) - !(first)))

/* The last block is read before anything is written. */
KERNEL block load_tail(const piece *p, const int n, const int first)
{
    const int data = DATA_BLOCKS(n, first);
    if (data == 0) return sfr_block_zero();
    if (data == 1) return sfr_block_load_any(p->in, p->end);
    const uint8_t *last = p->in + AT(n - 1, first);
    return sfr_block_down(sfr_block_load(last - 16 + p->end), 16 - p->end);
}

/* Writes the last 16 bytes of the text, some of which belong to the block before the tail. */
KERNEL void store_tail(const piece *p, block before, block tail, const int n, const int first)
{
    const int data = DATA_BLOCKS(n, first);
    if (data == 0) return;
    if (data == 1) {
        sfr_block_store_any(p->out, tail, p->end);
        return;
    }
    block moved = sfr_block_up(tail, 16 - p->end);
    moved = sfr_block_or(moved, sfr_block_down(before, p->end));
    sfr_block_store(p->out + AT(n - 1, first) - 16 + p->end, moved);
}

/* Whether the blocks of vector u are all data and whole. */
#define IS_PLAIN(u, n, first) (((u) > 0 || (first)) && ((u) + 1) * BLOCKS < (n))

KERNEL block block_in(const piece *p, block tail, const int i, const int n, const int first)
{
    if (AT(i, first) < 0 || i >= n) return sfr_block_zero();
    return i == n - 1 ? tail : sfr_block_load(p->in + AT(i, first));
}

KERNEL vec vector_in(const piece *p, block tail, const int u, const int n, const int first)
{
    if (IS_PLAIN(u, n, first)) return load(p->in + AT(u * BLOCKS, first));
    return vector_of(block_in(p, tail, u * BLOCKS, n, first),
                     block_in(p, tail, u * BLOCKS + 1, n, first));
}

/* All of vector u but the tail. */
KERNEL void vector_out(const piece *p, const int u, const int n, const int first)
{
    if (IS_PLAIN(u, n, first)) {
        store(p->out + AT(u * BLOCKS, first), p->state[u]);
        return;
    }
    UNROLL for (int i = u * BLOCKS; i < (u + 1) * BLOCKS; i++)
        if (AT(i, first) >= 0 && i < n - 1)
            sfr_block_store(p->out + AT(i, first), block_of(p->state[u], i));
}

/* The last round XORs the data in. Beyond the tail that leaves keystream, which is neither written
 * nor hashed. */
KERNEL void last_round(piece *p, const int n, const int first, const int rounds,
                       const bool sealing)
{
    const int last = (n - 1) / BLOCKS;
    vec before = both(&p->key->round_key[rounds - 1]), k = both(&p->key->round_key[rounds]);
    block tail = load_tail(p, n, first);
    UNROLL for (int u = 0; u <= last; u++) {
        vec in = vector_in(p, tail, u, n, first);
        if (!sealing) SFR_READ_ONCE_VECTOR(in);
        p->state[u] = aes_last(p->state[u], before, xor(k, in));
        vector_out(p, u, n, first);
        p->x[u] = sealing ? p->state[u] : in;
    }
    tail = block_of(p->state[last], n - 1);
    if (n > 1) store_tail(p, block_of(p->state[(n - 2) / BLOCKS], n - 2), tail, n, first);
    if (sealing) p->x[last] = with_end(p->x[last], sfr_block_first(tail, p->end), n - 1);
    UNROLL for (int u = 0; u <= last; u++) p->x[u] = reflect(p->x[u]);
}

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
