/* SHA-512 of four streams at a time on AVX2. */
#include "aead/aes.h"

#ifdef SFR_X86

#define WIDE 1
#define TARGET __attribute__((target("avx2")))
#define LANES 4
#define FEW 1
#define FEWER (&sfr_hash512_bmi2)
#define HASH sfr_hash512_avx2

typedef __m256i vec;

#define load(p) _mm256_loadu_si256((const __m256i *)(p))
#define store(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define set1(x) _mm256_set1_epi64x((long long)(x))
#define add(a, b) _mm256_add_epi64(a, b)
#define xor2(a, b) _mm256_xor_si256(a, b)
#define xor3(a, b, c) xor2(a, xor2(b, c))
#define both(a, b) _mm256_and_si256(a, b)
#define any(a, b) _mm256_or_si256(a, b)
#define choose(x, y, z) xor2(z, both(x, xor2(y, z)))
#define majority(x, y, z) any(both(x, y), both(z, any(x, y)))
#define shift(v, n) _mm256_srli_epi64(v, n)
#define rotate(v, n) any(shift(v, n), _mm256_slli_epi64(v, 64 - (n)))

SFR_INLINE TARGET vec swap(vec v)
{
    const __m128i turn = _mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607);
    return _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(turn));
}

/* Exchanges words of adjacent vectors, then halves at distance two. */
SFR_INLINE TARGET void transpose(vec v[LANES])
{
    vec a = _mm256_unpacklo_epi64(v[0], v[1]), b = _mm256_unpackhi_epi64(v[0], v[1]);
    vec c = _mm256_unpacklo_epi64(v[2], v[3]), d = _mm256_unpackhi_epi64(v[2], v[3]);
    v[0] = _mm256_permute2x128_si256(a, c, 0x20);
    v[1] = _mm256_permute2x128_si256(b, d, 0x20);
    v[2] = _mm256_permute2x128_si256(a, c, 0x31);
    v[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

#include "hash/sha2_lanes.h"

#endif
