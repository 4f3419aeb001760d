/* SHA-256 on the SHA instructions, one stream or two at a time.
 *
 * Needs SHA, SSSE3 and SSE4.1. The latency of a round instruction is twice its issue interval, so
 * two interleaved streams take hardly longer than one. Three would not fit into sixteen registers.
 */
#include "aead/aes.h"
#include "hash/sha2.h"

#ifdef SFR_X86

#define SHANI __attribute__((target("sha,sse4.1,ssse3")))
#define STREAMS 2

/* The round instruction's operands: a, b, e, f and c, d, g, h of FIPS 180-4. */
typedef struct working {
    __m128i abef, cdgh;
} working;

SFR_INLINE SHANI __m128i load(const void *p)
{
    return _mm_loadu_si128(p);
}

SFR_INLINE SHANI working gather(const sfr_sha256 *state)
{
    __m128i badc = _mm_shuffle_epi32(load(state->h), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(load(state->h + 4), 0x1b);
    return (working){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

SFR_INLINE SHANI void scatter(sfr_sha256 *state, working v)
{
    __m128i feba = _mm_shuffle_epi32(v.abef, 0x1b), dchg = _mm_shuffle_epi32(v.cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state->h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(state->h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Words 4 i + 16 .. 4 i + 19 of the message schedule, in place of words 4 i .. 4 i + 3. */
SFR_INLINE SHANI void expand(__m128i w[4], int i)
{
    __m128i w0 = w[i & 3], w1 = w[(i + 1) & 3], w2 = w[(i + 2) & 3], w3 = w[(i + 3) & 3];
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    w[i & 3] = _mm_sha256msg2_epu32(sum, w3);
}

/* Rounds 4 i .. 4 i + 3 of all streams. */
SFR_INLINE SHANI void four_rounds(working *v, __m128i (*w)[4], int i, int streams)
{
    for (int j = 0; j < streams; j++) {
        __m128i wk = _mm_add_epi32(w[j][i & 3], load(sfr_sha256_k + 4 * i));
        v[j].cdgh = _mm_sha256rnds2_epu32(v[j].cdgh, v[j].abef, wk);
        if (i < 12) expand(w[j], i);
        v[j].abef = _mm_sha256rnds2_epu32(v[j].abef, v[j].cdgh, _mm_shuffle_epi32(wk, 0x0e));
    }
}

SFR_INLINE SHANI void compress_block(working *v, const uint8_t *const *data, size_t at, int streams)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i w[STREAMS][4];
    working before[STREAMS];
    for (int j = 0; j < streams; j++) {
        before[j] = v[j];
        for (int i = 0; i < 4; i++) w[j][i] = _mm_shuffle_epi8(load(data[j] + at + 16 * i), swap);
    }
#define STEP(i) four_rounds(v, w, i, streams);
    SFR_SIXTEEN(STEP)
    for (int j = 0; j < streams; j++) {
        v[j].abef = _mm_add_epi32(v[j].abef, before[j].abef);
        v[j].cdgh = _mm_add_epi32(v[j].cdgh, before[j].cdgh);
    }
}

SFR_INLINE SHANI void compress_side_by_side(sfr_sha_state *const *states,
                                            const uint8_t *const *data, size_t blocks, int streams)
{
    working v[STREAMS];
    for (int j = 0; j < streams; j++) v[j] = gather(&states[j]->s256);
    for (size_t i = 0; i < blocks; i++) compress_block(v, data, 64 * i, streams);
    for (int j = 0; j < streams; j++) scatter(&states[j]->s256, v[j]);
}

static SHANI void compress(sfr_sha_state *const *states, const uint8_t *const *data, size_t blocks,
                           size_t count)
{
    for (; count >= 2; count -= 2, states += 2, data += 2)
        compress_side_by_side(states, data, blocks, 2);
    if (count) compress_side_by_side(states, data, blocks, 1);
}

const sfr_hash sfr_hash256_ni = {32, 64, compress, SIZE_MAX};

#endif
