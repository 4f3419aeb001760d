/* SHA-256 and SHA-512 on the instructions of ARMv8, one stream or two at a time: a round instruction
 * waits for the one before, and another stream fills the time. */
#include "aead/ghash.h"
#include "hash/sha2.h"

#ifdef SFR_ARM64

#define STREAMS 2

/* ---- SHA-256 ---- */

typedef struct words256 {
    uint32x4_t abcd, efgh;
} words256;

/* Words 4 i + 16 .. 4 i + 19 of the message schedule, in place of words 4 i .. 4 i + 3. */
SFR_INLINE SFR_ARMV8 void expand256(uint32x4_t w[4], int i)
{
    uint32x4_t sum = vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]);
    w[i & 3] = vsha256su1q_u32(sum, w[(i + 2) & 3], w[(i + 3) & 3]);
}

/* Rounds 4 i .. 4 i + 3 of all streams. */
SFR_INLINE SFR_ARMV8 void four_rounds(words256 *v, uint32x4_t (*w)[4], int i, const int streams)
{
    for (int j = 0; j < streams; j++) {
        uint32x4_t wk = vaddq_u32(w[j][i & 3], vld1q_u32(sfr_sha256_k + 4 * i));
        uint32x4_t abcd = v[j].abcd;
        v[j].abcd = vsha256hq_u32(abcd, v[j].efgh, wk);
        v[j].efgh = vsha256h2q_u32(v[j].efgh, abcd, wk);
        if (i < 12) expand256(w[j], i);
    }
}

SFR_INLINE SFR_ARMV8 void block256(words256 *v, const uint8_t *const *data, size_t at,
                                   const int streams)
{
    uint32x4_t w[STREAMS][4];
    words256 before[STREAMS];
    for (int j = 0; j < streams; j++) {
        before[j] = v[j];
        for (int i = 0; i < 4; i++)
            w[j][i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data[j] + at + 16 * i)));
    }
#define STEP(i) four_rounds(v, w, i, streams);
    SFR_SIXTEEN(STEP)
#undef STEP
    for (int j = 0; j < streams; j++) {
        v[j].abcd = vaddq_u32(v[j].abcd, before[j].abcd);
        v[j].efgh = vaddq_u32(v[j].efgh, before[j].efgh);
    }
}

SFR_INLINE SFR_ARMV8 void together256(sfr_sha_state *const *states, const uint8_t *const *data,
                                      size_t blocks, const int streams)
{
    words256 v[STREAMS];
    for (int j = 0; j < streams; j++)
        v[j] = (words256){vld1q_u32(states[j]->s256.h), vld1q_u32(states[j]->s256.h + 4)};
    for (size_t i = 0; i < blocks; i++) block256(v, data, 64 * i, streams);
    for (int j = 0; j < streams; j++) {
        vst1q_u32(states[j]->s256.h, v[j].abcd);
        vst1q_u32(states[j]->s256.h + 4, v[j].efgh);
    }
}

static SFR_ARMV8 void compress256(sfr_sha_state *const *states, const uint8_t *const *data,
                                  size_t blocks, size_t count)
{
    for (; count >= 2; count -= 2, states += 2, data += 2) together256(states, data, blocks, 2);
    if (count) together256(states, data, blocks, 1);
}

const sfr_hash sfr_hash256_armv8 = {32, 64, compress256, SIZE_MAX};

/* ---- SHA-512 ---- */

/* a, b and c, d and e, f and g, h: the pairs stay in s[4]; only their names rotate. */
#define PAIR(n, i) s[((n) - (i)) & 3]

/* Rounds 2 i and 2 i + 1 of one stream, with the constants from k on. */
SFR_INLINE SFR_ARMV8_SHA3 void two_rounds(uint64x2_t s[4], uint64x2_t w[8], const int i,
                                          const uint64_t *k)
{
    uint64x2_t ab = PAIR(0, i), cd = PAIR(1, i), ef = PAIR(2, i), gh = PAIR(3, i);
    uint64x2_t wk = vaddq_u64(w[i & 7], vld1q_u64(k + 2 * i));
    uint64x2_t sum = vaddq_u64(vextq_u64(wk, wk, 1), gh);
    sum = vsha512hq_u64(sum, vextq_u64(ef, gh, 1), vextq_u64(cd, ef, 1));
    PAIR(3, i) = vsha512h2q_u64(sum, cd, ab);
    PAIR(1, i) = vaddq_u64(cd, sum);
}

/* Words 2 i + 16 and 2 i + 17 of the message schedule, in place of words 2 i and 2 i + 1. */
SFR_INLINE SFR_ARMV8_SHA3 void expand512(uint64x2_t w[8], const int i)
{
    uint64x2_t sum = vsha512su0q_u64(w[i & 7], w[(i + 1) & 7]);
    uint64x2_t middle = vextq_u64(w[(i + 4) & 7], w[(i + 5) & 7], 1);
    w[i & 7] = vsha512su1q_u64(sum, w[(i + 7) & 7], middle);
}

/* Sixteen rounds of all streams, and the words for the next sixteen. */
SFR_INLINE SFR_ARMV8_SHA3 void sixteen_rounds(uint64x2_t (*s)[4], uint64x2_t (*w)[8],
                                              const uint64_t *k, const bool more, const int streams)
{
    SFR_UNROLL for (int i = 0; i < 8; i++)
    {
        for (int j = 0; j < streams; j++) {
            two_rounds(s[j], w[j], i, k);
            if (more) expand512(w[j], i);
        }
    }
}

SFR_INLINE SFR_ARMV8_SHA3 void block512(uint64x2_t (*s)[4], const uint8_t *const *data, size_t at,
                                        const int streams)
{
    uint64x2_t w[STREAMS][8], before[STREAMS][4];
    for (int j = 0; j < streams; j++) {
        for (int i = 0; i < 4; i++) before[j][i] = s[j][i];
        for (int i = 0; i < 8; i++)
            w[j][i] = vreinterpretq_u64_u8(vrev64q_u8(vld1q_u8(data[j] + at + 16 * i)));
    }
    const uint64_t *k = sfr_sha512_k;
    for (; k < sfr_sha512_k + 64; k += 16) sixteen_rounds(s, w, k, true, streams);
    sixteen_rounds(s, w, k, false, streams);
    for (int j = 0; j < streams; j++)
        for (int i = 0; i < 4; i++) s[j][i] = vaddq_u64(s[j][i], before[j][i]);
}

SFR_INLINE SFR_ARMV8_SHA3 void together512(sfr_sha_state *const *states, const uint8_t *const *data,
                                           size_t blocks, const int streams)
{
    uint64x2_t s[STREAMS][4];
    for (int j = 0; j < streams; j++)
        for (int i = 0; i < 4; i++) s[j][i] = vld1q_u64(states[j]->s512.h + 2 * i);
    for (size_t i = 0; i < blocks; i++) block512(s, data, 128 * i, streams);
    for (int j = 0; j < streams; j++)
        for (int i = 0; i < 4; i++) vst1q_u64(states[j]->s512.h + 2 * i, s[j][i]);
}

static SFR_ARMV8_SHA3 void compress512(sfr_sha_state *const *states, const uint8_t *const *data,
                                       size_t blocks, size_t count)
{
    for (; count >= 2; count -= 2, states += 2, data += 2) together512(states, data, blocks, 2);
    if (count) together512(states, data, blocks, 1);
}

const sfr_hash sfr_hash512_armv8 = {64, 128, compress512, 0};

#endif
