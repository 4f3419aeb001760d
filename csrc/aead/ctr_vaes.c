/* AES-CTR of suites 1-3 and 6-8 on VAES, with AVX2 or AVX-512: two blocks in a vector, or four.
 *
 * The last bytes take ever smaller parts of the last vector. Masked loads and stores would be
 * shorter, but they are slow for a frame that ends at the end of a page.
 */
#include "aead/ctr_hmac.h"

#ifdef SFR_X86

#define PIECE 64 /* bytes; the key stream is made in pieces of this size, */
#define PIECES 4 /* at most this many at a time */

/* ---- 256 bits: two vectors to the piece ---- */

#define VAES256 __attribute__((target("aes,sse4.1,ssse3,pclmul,avx2,vaes")))

SFR_INLINE VAES256 __m256i twice(__m128i v)
{
    return _mm256_broadcastsi128_si256(v);
}

/* Makes the next units of the key stream; their number is a constant. */
SFR_INLINE VAES256 void next256(__m256i *counter, const __m128i *round_keys, int rounds,
                                __m256i *stream, int units)
{
    const __m256i two = _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0), swap = twice(sfr_ctr_swap());
    for (int j = 0; j < 2 * units; j++) {
        stream[j] = _mm256_xor_si256(_mm256_shuffle_epi8(*counter, swap), twice(round_keys[0]));
        *counter = _mm256_add_epi32(*counter, two);
    }
    for (int i = 1; i < rounds; i++)
        for (int j = 0; j < 2 * units; j++)
            stream[j] = _mm256_aesenc_epi128(stream[j], twice(round_keys[i]));
    for (int j = 0; j < 2 * units; j++)
        stream[j] = _mm256_aesenclast_epi128(stream[j], twice(round_keys[rounds]));
}

SFR_INLINE VAES256 void whole256(uint8_t *out, const uint8_t *in, __m256i stream)
{
    __m256i text = _mm256_loadu_si256((const __m256i *)in);
    _mm256_storeu_si256((__m256i *)out, _mm256_xor_si256(text, stream));
}

/* size <= 32 */
SFR_INLINE VAES256 void part256(uint8_t *out, const uint8_t *in, size_t size, __m256i stream)
{
    __m128i part = _mm256_castsi256_si128(stream);
    if (size == 32) {
        whole256(out, in, stream);
        return;
    }
    if (size >= 16) {
        sfr_crypt_block(out, in, part);
        part = _mm256_extracti128_si256(stream, 1);
        out += 16, in += 16, size -= 16;
    }
    sfr_crypt_partial(out, in, size, part);
}

/* Handles all that is left: more than units - 1 units, and at most units. */
SFR_INLINE VAES256 void end256(uint8_t *out, const uint8_t *in, size_t left, __m256i counter,
                               const __m128i *round_keys, int rounds, int units)
{
    __m256i stream[2 * PIECES];
    int j = 0;
    next256(&counter, round_keys, rounds, stream, units);
    for (; j < 2 * units - 2; j++) whole256(out + 32 * j, in + 32 * j, stream[j]);
    left -= 32 * (size_t)j;
    if (left > 32) {
        whole256(out + 32 * j, in + 32 * j, stream[j]);
        part256(out + 32 * j + 32, in + 32 * j + 32, left - 32, stream[j + 1]);
    } else {
        part256(out + 32 * j, in + 32 * j, left, stream[j]);
    }
}

SFR_INLINE VAES256 void crypt256(const sfr_row *row, const uint8_t *in, int rounds)
{
    const __m128i *keys = sfr_ctr_hmac_state_of(row)->round_keys;
    const __m256i zero_one = _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0);
    __m256i stream[2 * PIECES], counter = _mm256_add_epi32(twice(sfr_ctr_start(row)), zero_one);
    uint8_t *out = row->out;
    size_t left = row->size;
    for (; left > PIECE * PIECES; left -= PIECE * PIECES) {
        next256(&counter, keys, rounds, stream, PIECES);
        for (int j = 0; j < 2 * PIECES; j++, in += 32, out += 32) whole256(out, in, stream[j]);
    }
    switch ((left + PIECE - 1) / PIECE) {
    case 4:
        end256(out, in, left, counter, keys, rounds, 4);
        break;
    case 3:
        end256(out, in, left, counter, keys, rounds, 3);
        break;
    case 2:
        end256(out, in, left, counter, keys, rounds, 2);
        break;
    case 1:
        end256(out, in, left, counter, keys, rounds, 1);
        break;
    }
}

VAES256 void sfr_crypt128_vaes256(const sfr_row *row, const uint8_t *in)
{
    crypt256(row, in, SFR_AES128_ROUNDS);
    _mm256_zeroupper();
}

VAES256 void sfr_crypt256_vaes256(const sfr_row *row, const uint8_t *in)
{
    crypt256(row, in, SFR_AES256_ROUNDS);
    _mm256_zeroupper();
}

/* ---- 512 bits: one vector is a unit ---- */

#define VAES512 __attribute__((target("aes,sse4.1,ssse3,pclmul,avx2,vaes,avx512f,avx512bw")))

SFR_INLINE VAES512 __m512i fourfold(__m128i v)
{
    return _mm512_broadcast_i32x4(v);
}

SFR_INLINE VAES512 void next512(__m512i *counter, const __m128i *round_keys, int rounds,
                                __m512i *stream, int units)
{
    const __m512i four = fourfold(_mm_set_epi32(4, 0, 0, 0)), swap = fourfold(sfr_ctr_swap());
    for (int j = 0; j < units; j++) {
        stream[j] = _mm512_xor_si512(_mm512_shuffle_epi8(*counter, swap), fourfold(round_keys[0]));
        *counter = _mm512_add_epi32(*counter, four);
    }
    for (int i = 1; i < rounds; i++)
        for (int j = 0; j < units; j++)
            stream[j] = _mm512_aesenc_epi128(stream[j], fourfold(round_keys[i]));
    for (int j = 0; j < units; j++)
        stream[j] = _mm512_aesenclast_epi128(stream[j], fourfold(round_keys[rounds]));
}

SFR_INLINE VAES512 void whole512(uint8_t *out, const uint8_t *in, __m512i stream)
{
    _mm512_storeu_si512(out, _mm512_xor_si512(_mm512_loadu_si512(in), stream));
}

/* size <= 64 */
SFR_INLINE VAES512 void part512(uint8_t *out, const uint8_t *in, size_t size, __m512i stream)
{
    __m256i part = _mm512_castsi512_si256(stream);
    if (size == 64) {
        whole512(out, in, stream);
        return;
    }
    if (size > 32) {
        whole256(out, in, part);
        part = _mm512_extracti64x4_epi64(stream, 1);
        out += 32, in += 32, size -= 32;
    }
    part256(out, in, size, part);
}

SFR_INLINE VAES512 void end512(uint8_t *out, const uint8_t *in, size_t left, __m512i counter,
                               const __m128i *round_keys, int rounds, int units)
{
    __m512i stream[PIECES];
    int j = 0;
    next512(&counter, round_keys, rounds, stream, units);
    for (; j < units - 1; j++) whole512(out + 64 * j, in + 64 * j, stream[j]);
    part512(out + 64 * j, in + 64 * j, left - 64 * (size_t)j, stream[j]);
}

SFR_INLINE VAES512 void crypt512(const sfr_row *row, const uint8_t *in, int rounds)
{
    const __m128i *keys = sfr_ctr_hmac_state_of(row)->round_keys;
    const __m512i to_three = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    __m512i stream[PIECES], counter = _mm512_add_epi32(fourfold(sfr_ctr_start(row)), to_three);
    uint8_t *out = row->out;
    size_t left = row->size;
    for (; left > PIECE * PIECES; left -= PIECE * PIECES) {
        next512(&counter, keys, rounds, stream, PIECES);
        for (int j = 0; j < PIECES; j++, in += 64, out += 64) whole512(out, in, stream[j]);
    }
    switch ((left + PIECE - 1) / PIECE) {
    case 4:
        end512(out, in, left, counter, keys, rounds, 4);
        break;
    case 3:
        end512(out, in, left, counter, keys, rounds, 3);
        break;
    case 2:
        end512(out, in, left, counter, keys, rounds, 2);
        break;
    case 1:
        end512(out, in, left, counter, keys, rounds, 1);
        break;
    }
}

VAES512 void sfr_crypt128_vaes512(const sfr_row *row, const uint8_t *in)
{
    crypt512(row, in, SFR_AES128_ROUNDS);
    _mm256_zeroupper();
}

VAES512 void sfr_crypt256_vaes512(const sfr_row *row, const uint8_t *in)
{
    crypt512(row, in, SFR_AES256_ROUNDS);
    _mm256_zeroupper();
}

#endif
