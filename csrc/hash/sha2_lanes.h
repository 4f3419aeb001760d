/* SHA-256 or SHA-512 of LANES independent streams, each in one lane of a vector.
 *
 * A file for each hash and width includes this after defining:
 *   WIDE                              1 for SHA-512 (words of 64 bits), 0 for SHA-256 (of 32)
 *   TARGET, vec, LANES
 *   load(p), store(p, v)              unaligned
 *   set1(x)                           one word in all lanes
 *   swap(v)                           reverses the bytes of each word
 *   transpose(v[LANES])               lane j of v[i] becomes lane i of v[j]
 *   add, xor3, choose, majority, rotate(v, n), shift(v, n)
 *   FEW, FEWER                        up to FEW streams are faster with the hash FEWER
 *   HASH                              the name of what this defines
 */
#include "hash/sha2.h"

#if WIDE
#define WORD uint64_t
#define ROUNDS 80
#define CONSTANTS sfr_sha512_k
#define BIG0(x) xor3(rotate(x, 28), rotate(x, 34), rotate(x, 39))
#define BIG1(x) xor3(rotate(x, 14), rotate(x, 18), rotate(x, 41))
#define SMALL0(x) xor3(rotate(x, 1), rotate(x, 8), shift(x, 7))
#define SMALL1(x) xor3(rotate(x, 19), rotate(x, 61), shift(x, 6))
#else
#define WORD uint32_t
#define ROUNDS 64
#define CONSTANTS sfr_sha256_k
#define BIG0(x) xor3(rotate(x, 2), rotate(x, 13), rotate(x, 22))
#define BIG1(x) xor3(rotate(x, 6), rotate(x, 11), rotate(x, 25))
#define SMALL0(x) xor3(rotate(x, 7), rotate(x, 18), shift(x, 3))
#define SMALL1(x) xor3(rotate(x, 17), rotate(x, 19), shift(x, 10))
#endif

#define BLOCK (16 * sizeof(WORD))
#define STATE (LANES > 8 ? LANES : 8) /* words of a state, gathered and put back at a time */
_Static_assert(STATE * sizeof(WORD) <= sizeof(sfr_sha_state), "what is put back lies in a state");

/* Loads the first words at every lane's pointer. */
SFR_INLINE TARGET void gather(const uint8_t *const *data, vec *out, int words)
{
    for (int i = 0; i < words; i += LANES) {
        for (int j = 0; j < LANES; j++) out[i + j] = load(data[j] + sizeof(WORD) * (size_t)i);
        transpose(out + i);
    }
}

#define S(n, i) s[((n) - (i)) & 7]
#define W(n) w[(n) & 15]

#define EXPAND(i)                                                                                  \
    W(i) = add(add(W(i), W(i + 9)), add(SMALL0(W(i + 1)), SMALL1(W(i + 14))));
#define ROUND(i)                                                                                   \
    S(7, i) = add(add(S(7, i), add(set1(k[i]), W(i))),                                             \
                  add(BIG1(S(4, i)), choose(S(4, i), S(5, i), S(6, i))));                          \
    S(3, i) = add(S(3, i), S(7, i));                                                               \
    S(7, i) = add(S(7, i), add(BIG0(S(0, i)), majority(S(0, i), S(1, i), S(2, i))));

SFR_INLINE TARGET void compress_block(vec h[8], const uint8_t *const *data)
{
    const WORD *k = CONSTANTS;
    vec s[8], w[16];
    gather(data, w, 16);
    for (int i = 0; i < 16; i++) w[i] = swap(w[i]);
    for (int i = 0; i < 8; i++) s[i] = h[i];
    SFR_SIXTEEN(ROUND)
    for (k += 16; k < CONSTANTS + ROUNDS; k += 16) {
        SFR_SIXTEEN(EXPAND)
        SFR_SIXTEEN(ROUND)
    }
    for (int i = 0; i < 8; i++) h[i] = add(h[i], s[i]);
}

static TARGET void compress_lanes(uint8_t *const *states, const uint8_t *const *data,
                                  size_t blocks)
{
    const uint8_t *at[LANES];
    vec h[STATE];
    gather((const uint8_t *const *)states, h, STATE);
    memcpy(at, data, sizeof at);
    for (; blocks; blocks--) {
        compress_block(h, at);
        for (int j = 0; j < LANES; j++) at[j] += BLOCK;
    }
    for (int i = 0; i < STATE; i += LANES) {
        transpose(h + i);
        for (int j = 0; j < LANES; j++) store(states[j] + sizeof(WORD) * (size_t)i, h[i + j]);
    }
}

/* Unused lanes repeat the first. */
static void compress(sfr_sha_state *const *states, const uint8_t *const *data, size_t blocks,
                     size_t count)
{
    sfr_sha_state unused = {.s512 = {{0}}};
    while (count > FEW) {
        uint8_t *lane_states[LANES];
        const uint8_t *lane_data[LANES];
        size_t n = count < LANES ? count : LANES;
        for (size_t j = 0; j < LANES; j++) {
            lane_states[j] = (uint8_t *)(j < n ? states[j] : &unused);
            lane_data[j] = data[j < n ? j : 0];
        }
        compress_lanes(lane_states, lane_data, blocks);
        states += n, data += n, count -= n;
    }
    if (count) FEWER->compress(states, data, blocks, count);
}

const sfr_hash HASH = {8 * sizeof(WORD), BLOCK, compress, FEW};
