/* SHA-256 and SHA-512 of one stream at a time, with the message schedule in vectors.
 *
 * Needs SSSE3. The rounds keep the integer units busy, so the schedule runs on the vector units. It
 * is sixteen words ahead of the rounds; round i finds word i, with its constant added, in wk[i].
 */
#include "aead/aes.h"
#include "hash/sha2.h"
#include "hash/sha2_rounds.h"

#ifdef SFR_X86

#define SSSE3 __attribute__((target("ssse3")))
#define BMI2 __attribute__((target("avx2,bmi2")))

SFR_INLINE SSSE3 __m128i xor3(__m128i a, __m128i b, __m128i c)
{
    return _mm_xor_si128(a, _mm_xor_si128(b, c));
}

SFR_INLINE SSSE3 __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* ---- SHA-256: four words in a vector ---- */

SFR_INLINE SSSE3 __m128i small0_256(__m128i v)
{
    __m128i right = xor3(_mm_srli_epi32(v, 7), _mm_srli_epi32(v, 18), _mm_srli_epi32(v, 3));
    return xor3(right, _mm_slli_epi32(v, 25), _mm_slli_epi32(v, 14));
}

/* For v = a a b b: works on the words a and b, and clears the others. A 64-bit shift of a doubled
 * word is a rotation in its lower half. */
SFR_INLINE SSSE3 __m128i small1_256(__m128i v, __m128i places)
{
    __m128i rotated = _mm_xor_si128(_mm_srli_epi64(v, 17), _mm_srli_epi64(v, 19));
    return _mm_shuffle_epi8(_mm_xor_si128(rotated, _mm_srli_epi32(v, 10)), places);
}

/* Words 4 i + 16 .. 4 i + 19 in place of 4 i .. 4 i + 3: the last two depend on the first two. */
SFR_INLINE SSSE3 void expand_256(__m128i w[4], int i)
{
    const __m128i to_low = _mm_set_epi64x(-1, 0x0b0a090803020100);
    const __m128i to_high = _mm_set_epi64x(0x0b0a090803020100, -1);
    __m128i back_16 = w[i & 3], last = w[(i + 3) & 3];
    __m128i back_15 = _mm_alignr_epi8(w[(i + 1) & 3], back_16, 4);
    __m128i back_7 = _mm_alignr_epi8(last, w[(i + 2) & 3], 4);
    __m128i sum = _mm_add_epi32(_mm_add_epi32(back_16, back_7), small0_256(back_15));
    sum = _mm_add_epi32(sum, small1_256(_mm_shuffle_epi32(last, 0xfa), to_low));
    w[i & 3] = _mm_add_epi32(sum, small1_256(_mm_shuffle_epi32(sum, 0x50), to_high));
}

SFR_INLINE SSSE3 void add_constants_256(uint32_t *wk, __m128i w, const uint32_t *k)
{
    _mm_store_si128((__m128i *)wk, _mm_add_epi32(w, load(k)));
}

#define ROUND_256(i) ROUND(BIG0_256, BIG1_256, wk[i], i)
#define FOUR_ROUNDS_256(i)                                     \
    ROUND_256(i)                                               \
    ROUND_256((i) + 1)                                         \
    ROUND_256((i) + 2)                                         \
    ROUND_256((i) + 3)                                         \
    if (k < last) {                                            \
        expand_256(w, (i) / 4);                                \
        add_constants_256(wk + (i), w[(i) / 4], k + 16 + (i)); \
    }

SFR_INLINE SSSE3 void block_256(uint32_t h[8], const uint8_t *data)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const uint32_t *k = sfr_sha256_k, *last = k + 48;
    _Alignas(16) uint32_t wk[16];
    uint32_t s[8], ab, bc;
    __m128i w[4];
    memcpy(s, h, sizeof s);
    bc = s[1] ^ s[2];
    for (int i = 0; i < 4; i++) {
        w[i] = _mm_shuffle_epi8(load(data + 16 * i), swap);
        add_constants_256(wk + 4 * i, w[i], k + 4 * i);
    }
    for (; k <= last; k += 16) {
        FOUR_ROUNDS_256(0)
        FOUR_ROUNDS_256(4)
        FOUR_ROUNDS_256(8)
        FOUR_ROUNDS_256(12)
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

static SSSE3 void compress_256(sfr_sha_state *const *states, const uint8_t *const *data,
                               size_t blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < blocks; j++) block_256(states[i]->s256.h, data[i] + 64 * j);
}

const sfr_hash sfr_hash256_ssse3 = {32, 64, compress_256, SIZE_MAX};

/* ---- SHA-512: two words in a vector ---- */

#define RIGHT(v, n) _mm_srli_epi64(v, n)
#define LEFT(v, n) _mm_slli_epi64(v, n)

SFR_INLINE SSSE3 __m128i small0_512(__m128i v)
{
    const __m128i by_eight = _mm_set_epi64x(0x080f0e0d0c0b0a09, 0x0007060504030201);
    __m128i shifted = xor3(RIGHT(v, 1), LEFT(v, 63), RIGHT(v, 7));
    return _mm_xor_si128(shifted, _mm_shuffle_epi8(v, by_eight));
}

SFR_INLINE SSSE3 __m128i small1_512(__m128i v)
{
    return xor3(xor3(RIGHT(v, 19), LEFT(v, 45), RIGHT(v, 6)), RIGHT(v, 61), LEFT(v, 3));
}

/* Words 2 i + 16 and 2 i + 17 in place of 2 i and 2 i + 1. */
SFR_INLINE SSSE3 void expand_512(__m128i w[8], int i)
{
    __m128i back_16 = w[i & 7], back_2 = w[(i + 7) & 7];
    __m128i back_15 = _mm_alignr_epi8(w[(i + 1) & 7], back_16, 8);
    __m128i back_7 = _mm_alignr_epi8(w[(i + 5) & 7], w[(i + 4) & 7], 8);
    __m128i small = _mm_add_epi64(small0_512(back_15), small1_512(back_2));
    w[i & 7] = _mm_add_epi64(_mm_add_epi64(back_16, back_7), small);
}

SFR_INLINE SSSE3 void add_constants_512(uint64_t *wk, __m128i w, const uint64_t *k)
{
    _mm_store_si128((__m128i *)wk, _mm_add_epi64(w, load(k)));
}

#define ROUND_512(i) ROUND(BIG0_512, BIG1_512, wk[i], i)
#define TWO_ROUNDS_512(i)                                      \
    ROUND_512(i)                                               \
    ROUND_512((i) + 1)                                         \
    if (k < last) {                                            \
        expand_512(w, (i) / 2);                                \
        add_constants_512(wk + (i), w[(i) / 2], k + 16 + (i)); \
    }

SFR_INLINE SSSE3 void block_512(uint64_t h[8], const uint8_t *data)
{
    const __m128i swap = _mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607);
    const uint64_t *k = sfr_sha512_k, *last = k + 64;
    _Alignas(16) uint64_t wk[16];
    uint64_t s[8], ab, bc;
    __m128i w[8];
    memcpy(s, h, sizeof s);
    bc = s[1] ^ s[2];
    for (int i = 0; i < 8; i++) {
        w[i] = _mm_shuffle_epi8(load(data + 16 * i), swap);
        add_constants_512(wk + 2 * i, w[i], k + 2 * i);
    }
    for (; k <= last; k += 16) {
        TWO_ROUNDS_512(0)
        TWO_ROUNDS_512(2)
        TWO_ROUNDS_512(4)
        TWO_ROUNDS_512(6)
        TWO_ROUNDS_512(8)
        TWO_ROUNDS_512(10)
        TWO_ROUNDS_512(12)
        TWO_ROUNDS_512(14)
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

static SSSE3 void compress_512(sfr_sha_state *const *states, const uint8_t *const *data,
                               size_t blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < blocks; j++) block_512(states[i]->s512.h, data[i] + 128 * j);
}

/* The same code with BMI2, whose three-operand instructions save a quarter of them. */
static BMI2 void compress_512_bmi2(sfr_sha_state *const *states, const uint8_t *const *data,
                                   size_t blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < blocks; j++) block_512(states[i]->s512.h, data[i] + 128 * j);
}

const sfr_hash sfr_hash512_ssse3 = {64, 128, compress_512, SIZE_MAX};
const sfr_hash sfr_hash512_bmi2 = {64, 128, compress_512_bmi2, SIZE_MAX};

#endif
