/* SHA-512 of LANES independent streams, each in one lane of a vector.
 *
 * Included by a file for each width, after its vocabulary:
 *   TARGET, vec, LANES
 *   load(p), store(p, v)              unaligned
 *   set1(x)                           one word in all lanes
 *   swap(v)                           the bytes of each word turned round
 *   transpose(v[LANES])               lane j of v[i] becomes lane i of v[j]
 *   add, xor3, choose, majority, rotate(v, n), shift(v, n)
 * and it names what it defines: HASH.
 */
#include "sfr_sha2.h"

/* The first words of what every lane's pointer points to: the 16 of a block or the 8 of a state. */
SFR_INLINE TARGET void gather(const uint8_t *const *data, vec *out, int words)
{
    for (int i = 0; i < words; i += LANES) {
        for (int j = 0; j < LANES; j++) out[i + j] = load(data[j] + 8 * i);
        transpose(out + i);
    }
}

#define S(n, i) s[((n) - (i)) & 7]
#define W(n) w[(n) & 15]
#define BIG0(x) xor3(rotate(x, 28), rotate(x, 34), rotate(x, 39))
#define BIG1(x) xor3(rotate(x, 14), rotate(x, 18), rotate(x, 41))
#define SMALL0(x) xor3(rotate(x, 1), rotate(x, 8), shift(x, 7))
#define SMALL1(x) xor3(rotate(x, 19), rotate(x, 61), shift(x, 6))

#define EXPAND(i)                                                                                  \
    W(i) = add(add(W(i), W(i + 9)), add(SMALL0(W(i + 1)), SMALL1(W(i + 14))));
#define ROUND(i)                                                                                   \
    S(7, i) = add(add(S(7, i), add(set1(k[i]), W(i))),                                             \
                  add(BIG1(S(4, i)), choose(S(4, i), S(5, i), S(6, i))));                          \
    S(3, i) = add(S(3, i), S(7, i));                                                               \
    S(7, i) = add(S(7, i), add(BIG0(S(0, i)), majority(S(0, i), S(1, i), S(2, i))));

SFR_INLINE TARGET void compress_block(vec h[8], const uint8_t *const *data)
{
    const uint64_t *k = sfr_sha512_k;
    vec s[8], w[16];
    gather(data, w, 16);
    for (int i = 0; i < 16; i++) w[i] = swap(w[i]);
    for (int i = 0; i < 8; i++) s[i] = h[i];
    SFR_SIXTEEN(ROUND)
    for (k += 16; k < sfr_sha512_k + 80; k += 16) {
        SFR_SIXTEEN(EXPAND)
        SFR_SIXTEEN(ROUND)
    }
    for (int i = 0; i < 8; i++) h[i] = add(h[i], s[i]);
}

static TARGET void compress_lanes(uint64_t *const *states, const uint8_t *const *data,
                                  size_t blocks)
{
    const uint8_t *at[LANES];
    vec h[8];
    for (int j = 0; j < LANES; j++) at[j] = (const uint8_t *)states[j];
    gather(at, h, 8);
    memcpy(at, data, sizeof at);
    for (; blocks; blocks--) {
        compress_block(h, at);
        for (int j = 0; j < LANES; j++) at[j] += 128;
    }
    for (int i = 0; i < 8; i += LANES) {
        transpose(h + i);
        for (int j = 0; j < LANES; j++) store(states[j] + i, h[i + j]);
    }
}

/* One stream is faster without lanes; from two on, lanes that are left over repeat the first. */
static void compress(sfr_sha_state *const *states, const uint8_t *const *data, size_t blocks,
                     size_t count)
{
    sfr_sha512 unused = {{0}};
    while (count > 1) {
        uint64_t *lane_states[LANES];
        const uint8_t *lane_data[LANES];
        size_t n = count < LANES ? count : LANES;
        for (size_t j = 0; j < LANES; j++) {
            lane_states[j] = j < n ? states[j]->s512.h : unused.h;
            lane_data[j] = data[j < n ? j : 0];
        }
        compress_lanes(lane_states, lane_data, blocks);
        states += n, data += n, count -= n;
    }
    if (count) sfr_hash512_bmi2.compress(states, data, blocks, 1);
}

const sfr_hash HASH = {64, 128, compress, true};
