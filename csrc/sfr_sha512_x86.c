/* SHA-512 of one stream at a time, with the message schedule in vectors beside the rounds.
 *
 * The rounds alone fill the integer units; the vector units are free for the schedule.
 */
#include "sfr_aes.h"
#include "sfr_sha2.h"

#ifdef SFR_X86

#define SSSE3 __attribute__((target("ssse3")))
#define AVX2 __attribute__((target("avx2,bmi2")))

#define RIGHT(v, n) _mm_srli_epi64(v, n)
#define LEFT(v, n) _mm_slli_epi64(v, n)

SFR_INLINE SSSE3 __m128i xor3(__m128i a, __m128i b, __m128i c)
{
    return _mm_xor_si128(a, _mm_xor_si128(b, c));
}

SFR_INLINE SSSE3 __m128i small0(__m128i v)
{
    const __m128i by_eight = _mm_set_epi64x(0x080f0e0d0c0b0a09, 0x0007060504030201);
    __m128i shifted = xor3(RIGHT(v, 1), LEFT(v, 63), RIGHT(v, 7));
    return _mm_xor_si128(shifted, _mm_shuffle_epi8(v, by_eight));
}

SFR_INLINE SSSE3 __m128i small1(__m128i v)
{
    return xor3(xor3(RIGHT(v, 19), LEFT(v, 45), RIGHT(v, 6)), RIGHT(v, 61), LEFT(v, 3));
}

/* Words 2 i + 16 and 2 i + 17 of the schedule, in place of words 2 i and 2 i + 1. */
SFR_INLINE SSSE3 void expand(__m128i w[8], int i)
{
    __m128i back_16 = w[i & 7], back_2 = w[(i + 7) & 7];
    __m128i back_15 = _mm_alignr_epi8(w[(i + 1) & 7], back_16, 8);
    __m128i back_7 = _mm_alignr_epi8(w[(i + 5) & 7], w[(i + 4) & 7], 8);
    __m128i small = _mm_add_epi64(small0(back_15), small1(back_2));
    w[i & 7] = _mm_add_epi64(_mm_add_epi64(back_16, back_7), small);
}

SFR_INLINE SSSE3 void add_constants(uint64_t *wk, __m128i w, const uint64_t *k)
{
    _mm_store_si128((__m128i *)wk, _mm_add_epi64(w, _mm_load_si128((const __m128i *)k)));
}

#define ROTATE(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define BIG0(x) (ROTATE(x, 28) ^ ROTATE(x, 34) ^ ROTATE(x, 39))
#define BIG1(x) (ROTATE(x, 14) ^ ROTATE(x, 18) ^ ROTATE(x, 41))
#define S(n, i) s[((n) - (i)) & 7]

/* The majority of a, b, c is b ^ ((a ^ b) & (b ^ c)), and a ^ b is the next round's b ^ c. */
#define ROUND(i)                                          \
    S(7, i) += wk[i];                                     \
    S(7, i) += S(6, i) ^ (S(4, i) & (S(5, i) ^ S(6, i))); \
    S(7, i) += BIG1(S(4, i));                             \
    S(3, i) += S(7, i);                                   \
    ab = S(0, i) ^ S(1, i);                               \
    S(7, i) += S(1, i) ^ (ab & bc);                       \
    S(7, i) += BIG0(S(0, i));                             \
    bc = ab;

#define TWO_ROUNDS(i)                                      \
    ROUND(i)                                               \
    ROUND((i) + 1)                                         \
    if (k < last) {                                        \
        expand(w, (i) / 2);                                \
        add_constants(wk + (i), w[(i) / 2], k + 16 + (i)); \
    }

SFR_INLINE SSSE3 void block(uint64_t h[8], const uint8_t *data)
{
    const __m128i swap = _mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607);
    const uint64_t *k = sfr_sha512_k, *last = k + 64;
    _Alignas(16) uint64_t wk[16];
    uint64_t s[8], ab, bc;
    __m128i w[8];
    memcpy(s, h, sizeof s);
    bc = s[1] ^ s[2];
    for (int i = 0; i < 8; i++) {
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data + i), swap);
        add_constants(wk + 2 * i, w[i], k + 2 * i);
    }
    for (; k <= last; k += 16) {
        TWO_ROUNDS(0)
        TWO_ROUNDS(2)
        TWO_ROUNDS(4)
        TWO_ROUNDS(6)
        TWO_ROUNDS(8)
        TWO_ROUNDS(10)
        TWO_ROUNDS(12)
        TWO_ROUNDS(14)
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

SFR_INLINE SSSE3 void one_by_one(sfr_sha_state *const *states, const uint8_t *const *data,
                                 size_t blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < blocks; j++) block(states[i]->s512.h, data[i] + 128 * j);
}

static SSSE3 void compress_ssse3(sfr_sha_state *const *states, const uint8_t *const *data,
                                 size_t blocks, size_t count)
{
    one_by_one(states, data, blocks, count);
}

/* The same: instructions that do not overwrite an operand save a quarter of them. */
static AVX2 void compress_bmi2(sfr_sha_state *const *states, const uint8_t *const *data,
                               size_t blocks, size_t count)
{
    one_by_one(states, data, blocks, count);
}

const sfr_hash sfr_hash512_ssse3 = {64, 128, compress_ssse3, false};
const sfr_hash sfr_hash512_bmi2 = {64, 128, compress_bmi2, false};

#endif
