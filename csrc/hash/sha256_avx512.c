/* SHA-256 of sixteen streams at a time on AVX-512: 1.5 times as fast as the SHA instructions once
 * enough streams fill the lanes. */
#include "aead/aes.h"

#ifdef SFR_X86

#define WIDE 0
#define TARGET __attribute__((target("avx512f,avx512bw")))
#define LANES 16
#define FEW 10
#define FEWER sfr_hash_of(32)
#define HASH sfr_hash256_avx512

typedef __m512i vec;

#define load(p) _mm512_loadu_si512(p)
#define store(p, v) _mm512_storeu_si512(p, v)
#define set1(x) _mm512_set1_epi32((int)(x))
#define add(a, b) _mm512_add_epi32(a, b)
#define rotate(v, n) _mm512_ror_epi32(v, n)
#define shift(v, n) _mm512_srli_epi32(v, n)
#define xor3(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define choose(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xca)
#define majority(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xe8)

SFR_INLINE TARGET vec swap(vec v)
{
    const __m128i turn = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(turn));
}

/* Exchanges words, then pairs of words, of adjacent vectors: that transposes each 128-bit part of
 * four vectors. */
SFR_INLINE TARGET void transpose_parts(vec v[4])
{
    vec a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    vec c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

/* Exchanges 128-bit parts at distance four, then at eight. */
SFR_INLINE TARGET void transpose(vec v[LANES])
{
    for (int i = 0; i < 16; i += 4) transpose_parts(v + i);
    for (int i = 0; i < 4; i++) {
        vec a = _mm512_shuffle_i64x2(v[i], v[i + 4], 0x88);
        vec b = _mm512_shuffle_i64x2(v[i], v[i + 4], 0xdd);
        vec c = _mm512_shuffle_i64x2(v[i + 8], v[i + 12], 0x88);
        vec d = _mm512_shuffle_i64x2(v[i + 8], v[i + 12], 0xdd);
        v[i] = _mm512_shuffle_i64x2(a, c, 0x88);
        v[i + 4] = _mm512_shuffle_i64x2(b, d, 0x88);
        v[i + 8] = _mm512_shuffle_i64x2(a, c, 0xdd);
        v[i + 12] = _mm512_shuffle_i64x2(b, d, 0xdd);
    }
}

#include "hash/sha2_lanes.h"

#endif
