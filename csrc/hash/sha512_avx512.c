/* SHA-512 of eight streams at a time on AVX-512. */
#include "aead/aes.h"

#ifdef SFR_X86

#define WIDE 1
#define TARGET __attribute__((target("avx512f,avx512bw")))
#define LANES 8
#define FEW 1
#define FEWER (&sfr_hash512_bmi2)
#define HASH sfr_hash512_avx512

typedef __m512i vec;

#define load(p) _mm512_loadu_si512(p)
#define store(p, v) _mm512_storeu_si512(p, v)
#define set1(x) _mm512_set1_epi64((long long)(x))
#define add(a, b) _mm512_add_epi64(a, b)
#define rotate(v, n) _mm512_ror_epi64(v, n)
#define shift(v, n) _mm512_srli_epi64(v, n)
#define xor3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define choose(x, y, z) _mm512_ternarylogic_epi64(x, y, z, 0xca)
#define majority(x, y, z) _mm512_ternarylogic_epi64(x, y, z, 0xe8)

SFR_INLINE TARGET vec swap(vec v)
{
    const __m128i turn = _mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607);
    return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(turn));
}

/* Exchanges words of adjacent vectors, then 128-bit parts at distance two and at four. */
SFR_INLINE TARGET void transpose(vec v[LANES])
{
    vec t[LANES];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        v[i] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0x88);
        v[i + 2] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0xdd);
        v[i + 4] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0x88);
        v[i + 6] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i64x2(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i64x2(v[i], v[i + 4], 0xdd);
    }
    for (int i = 0; i < 8; i++) v[i] = t[i];
}

#include "hash/sha2_lanes.h"

#endif
