/* AES-CTR of suites 1-3 and 6-8 on VAES: two blocks in a vector, or four.
 *
 * Whole vectors are combined in registers. The last bytes go through a buffer: masked loads and
 * stores are slow where a frame ends at the end of a page.
 */
#include "sfr_ctr_hmac.h"

#ifdef SFR_X86

#define UNIT 64 /* bytes of key stream are made in such pieces, */
#define UNITS 4 /* at most so many of them side by side */

/* ---- 256 bits: two vectors to the unit ---- */

#define VAES256 __attribute__((target("aes,sse4.1,ssse3,pclmul,avx2,vaes")))

SFR_INLINE VAES256 __m256i twice(__m128i v)
{
    return _mm256_broadcastsi128_si256(v);
}

SFR_INLINE VAES256 void store256(uint8_t *out, const uint8_t *in, __m256i stream)
{
    __m256i text = _mm256_loadu_si256((const __m256i *)in);
    _mm256_storeu_si256((__m256i *)out, _mm256_xor_si256(text, stream));
}

/* The next units of the key stream; their number is a constant. */
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

SFR_INLINE VAES256 void crypt256(const sfr_row *row, const uint8_t *in, int rounds)
{
    const __m128i *keys = sfr_ctr_hmac_state_of(row)->round_keys;
    const __m256i zero_one = _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0);
    __m256i stream[2 * UNITS], counter = _mm256_add_epi32(twice(sfr_ctr_start(row)), zero_one);
    uint8_t *out = row->out;
    size_t left = row->size, i = 0;
    for (; left >= UNIT * UNITS; left -= UNIT * UNITS) {
        next256(&counter, keys, rounds, stream, UNITS);
        for (i = 0; i < 2 * UNITS; i++, in += 32, out += 32) store256(out, in, stream[i]);
    }
    switch ((left + UNIT - 1) / UNIT) {
    case 4:
        next256(&counter, keys, rounds, stream, 4);
        break;
    case 3:
        next256(&counter, keys, rounds, stream, 3);
        break;
    case 2:
        next256(&counter, keys, rounds, stream, 2);
        break;
    case 1:
        next256(&counter, keys, rounds, stream, 1);
        break;
    }
    for (i = 0; left >= 32; left -= 32, in += 32, out += 32) store256(out, in, stream[i++]);
    sfr_crypt_tail(out, in, left, (const __m128i *)&stream[i]);
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

SFR_INLINE VAES512 void store512(uint8_t *out, const uint8_t *in, __m512i stream)
{
    _mm512_storeu_si512(out, _mm512_xor_si512(_mm512_loadu_si512(in), stream));
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

SFR_INLINE VAES512 void crypt512(const sfr_row *row, const uint8_t *in, int rounds)
{
    const __m128i *keys = sfr_ctr_hmac_state_of(row)->round_keys;
    const __m512i to_three = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    __m512i stream[UNITS], counter = _mm512_add_epi32(fourfold(sfr_ctr_start(row)), to_three);
    uint8_t *out = row->out;
    size_t left = row->size, i = 0;
    for (; left >= UNIT * UNITS; left -= UNIT * UNITS) {
        next512(&counter, keys, rounds, stream, UNITS);
        for (i = 0; i < UNITS; i++, in += 64, out += 64) store512(out, in, stream[i]);
    }
    switch ((left + UNIT - 1) / UNIT) {
    case 4:
        next512(&counter, keys, rounds, stream, 4);
        break;
    case 3:
        next512(&counter, keys, rounds, stream, 3);
        break;
    case 2:
        next512(&counter, keys, rounds, stream, 2);
        break;
    case 1:
        next512(&counter, keys, rounds, stream, 1);
        break;
    }
    for (i = 0; left >= 64; left -= 64, in += 64, out += 64) store512(out, in, stream[i++]);
    sfr_crypt_tail(out, in, left, (const __m128i *)&stream[i]);
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
