/* A piece of a frame under AES-GCM: its rounds of AES, its part of GHASH, its loads and stores.
 * aead/gcm_rows.h makes frames of pieces, and says what the including file defines. */
#ifndef SFR_GCM_PIECES_H
#define SFR_GCM_PIECES_H

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

/* In pairs, as they share a product: clang does not unroll the loop over single vectors. */
KERNEL void hash_vectors(hash *sum, const vec *x, const int n, powers p)
{
    vec fold;
    UNROLL for (int u = 0; u < n - 1; u += 2) {
        hash_vector(sum, x, &fold, u, n, p);
        hash_vector(sum, x, &fold, u + 1, n, p);
    }
    if (n % 2) hash_vector(sum, x, &fold, n - 1, n, p);
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

#endif
