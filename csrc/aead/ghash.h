/* What the x86 GCM kernels share: GHASH (SP 800-38D 6.4) on one block, and partial blocks.
 *
 * Blocks are byte-reversed, so that a block's first bit, the coefficient of x^0, is the top bit of
 * the register. The carry-less product of two such blocks is the GHASH product divided by x. To
 * make up for that, key set-up multiplies the hash key by x once.
 *
 * All functions are inlined into code of wider instruction sets and take its encoding; the target
 * attribute of that code has to include "aes,pclmul". */
#ifndef SFR_GHASH_H
#define SFR_GHASH_H

#include <immintrin.h>

#include "aead/row.h"

#define SFR_GHASH __attribute__((target("sse4.1,ssse3,pclmul"))) SFR_INLINE

/* Unrolls a loop whose bounds are constants once its function is inlined. Arrays of vectors stay in
 * registers only in straight-line code. */
#ifdef __clang__
#define SFR_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SFR_UNROLL _Pragma("GCC unroll 16")
#endif

/* ---- blocks of 1 to 16 bytes ---- */

/* Shuffle controls: the one at [16 - n] moves bytes up by n places, the one at [16 + n] down by n,
 * and both clear the vacated places. 0 <= n <= 16. */
static const uint8_t sfr_shift_control[48] = {
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};

SFR_GHASH __m128i sfr_block_load(const void *p) { return _mm_loadu_si128(p); }
SFR_GHASH void sfr_block_store(void *p, __m128i block) { _mm_storeu_si128(p, block); }
/* A block that was stored as two words is loaded as two. One wide load would wait until both stores
 * have left the store buffer. The barrier keeps the compiler from merging the loads. */
SFR_GHASH __m128i sfr_block_words(const uint64_t words[2])
{
    uint64_t high = words[1];
    __asm__("" : "+r"(high));
    return _mm_set_epi64x((long long)high, (long long)words[0]);
}

SFR_GHASH __m128i sfr_block_up(__m128i block, size_t n)
{
    return _mm_shuffle_epi8(block, sfr_block_load(sfr_shift_control + 16 - n));
}

SFR_GHASH __m128i sfr_block_down(__m128i block, size_t n)
{
    return _mm_shuffle_epi8(block, sfr_block_load(sfr_shift_control + 16 + n));
}

/* The first n bytes of a block, zero-padded. */
SFR_GHASH __m128i sfr_block_first(__m128i block, size_t n)
{
    return _mm_andnot_si128(sfr_block_up(_mm_set1_epi8(-1), n), block);
}

SFR_GHASH __m128i sfr_block_reflect(__m128i block)
{
    return _mm_shuffle_epi8(block,
                            _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* A buffer of n < 16 bytes, zero-padded. No byte outside it is touched. */
SFR_GHASH __m128i sfr_block_load_small(const uint8_t *p, size_t n)
{
    if (n >= 8) {
        uint64_t tail = sfr_load64(p + n - 8) >> 8 >> (8 * (15 - n));
        return _mm_set_epi64x((long long)tail, (long long)sfr_load64(p));
    }
    if (n >= 4) {
        uint64_t tail = (uint64_t)sfr_load32(p + n - 4) >> (8 * (8 - n));
        return _mm_cvtsi64_si128((long long)(tail << 32 | sfr_load32(p)));
    }
    if (n == 0) return _mm_setzero_si128();
    unsigned head = p[0], middle = p[n / 2], last = p[n - 1];
    return _mm_cvtsi32_si128((int)(head | middle << (8 * (n / 2)) | last << (8 * (n - 1))));
}

SFR_GHASH void sfr_block_store_small(uint8_t *p, __m128i block, size_t n)
{
    if (n >= 8) {
        _mm_storel_epi64((void *)p, block);
        _mm_storel_epi64((void *)(p + n - 8), sfr_block_down(block, n - 8));
    } else if (n >= 4) {
        sfr_store32(p, (uint32_t)_mm_cvtsi128_si32(block));
        sfr_store32(p + n - 4, (uint32_t)_mm_cvtsi128_si32(sfr_block_down(block, n - 4)));
    } else if (n > 0) {
        unsigned bytes = (unsigned)_mm_cvtsi128_si32(block);
        p[0] = (uint8_t)bytes;
        p[n / 2] = (uint8_t)(bytes >> (8 * (n / 2)));
        p[n - 1] = (uint8_t)(bytes >> (8 * (n - 1)));
    }
}

/* A buffer of n <= 16 bytes. */
SFR_GHASH __m128i sfr_block_load_any(const uint8_t *p, size_t n)
{
    return n == 16 ? sfr_block_load(p) : sfr_block_load_small(p, n);
}

SFR_GHASH void sfr_block_store_any(uint8_t *p, __m128i block, size_t n)
{
    if (n == 16) sfr_block_store(p, block);
    else sfr_block_store_small(p, block, n);
}

/* The last n < 16 bytes of a span of `size`, zero-padded. */
SFR_GHASH __m128i sfr_block_load_last(const uint8_t *data, size_t size, size_t n)
{
    if (SFR_LIKELY(size >= 16)) return sfr_block_down(sfr_block_load(data + size - 16), 16 - n);
    return sfr_block_load_small(data + size - n, n);
}

/* ---- the field ---- */

/* A sum of products before its reduction: low + middle x^64 + high x^128. */
typedef struct sfr_ghash_sum {
    __m128i low, middle, high;
} sfr_ghash_sum;

SFR_GHASH void sfr_ghash_add(sfr_ghash_sum *sum, __m128i x, __m128i h)
{
    sum->low = _mm_xor_si128(sum->low, _mm_clmulepi64_si128(x, h, 0x00));
    sum->high = _mm_xor_si128(sum->high, _mm_clmulepi64_si128(x, h, 0x11));
    sum->middle = _mm_xor_si128(sum->middle, _mm_xor_si128(_mm_clmulepi64_si128(x, h, 0x01),
                                                           _mm_clmulepi64_si128(x, h, 0x10)));
}

/* x^127 + x^126 + x^121 + 1: the field's polynomial in reversed bits, below its top term. */
SFR_GHASH __m128i sfr_ghash_poly(void) { return _mm_set_epi64x((long long)(0xc2ull << 56), 1); }

/* Folds the low half away in two steps of 64 bits. */
SFR_GHASH __m128i sfr_ghash_reduce(sfr_ghash_sum sum)
{
    const __m128i poly = sfr_ghash_poly();
    __m128i fold = _mm_clmulepi64_si128(poly, sum.low, 0x01);
    __m128i middle =
        _mm_xor_si128(sum.middle, _mm_xor_si128(fold, _mm_shuffle_epi32(sum.low, 0x4e)));
    fold = _mm_clmulepi64_si128(poly, middle, 0x01);
    return _mm_xor_si128(sum.high, _mm_xor_si128(fold, _mm_shuffle_epi32(middle, 0x4e)));
}

SFR_GHASH __m128i sfr_ghash_multiply(__m128i x, __m128i h)
{
    sfr_ghash_sum sum = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    sfr_ghash_add(&sum, x, h);
    return sfr_ghash_reduce(sum);
}

/* ---- the hash key and its powers ---- */

/* Turns E(K, 0^128) into the form that products take: reversed, times x. */
SFR_GHASH __m128i sfr_ghash_key(__m128i h)
{
    h = sfr_block_reflect(h);
    __m128i top = _mm_srai_epi32(_mm_shuffle_epi32(h, 0xff), 31);
    __m128i carry = _mm_slli_si128(_mm_srli_epi64(h, 63), 8);
    h = _mm_or_si128(_mm_slli_epi64(h, 1), carry);
    return _mm_xor_si128(h, _mm_and_si128(top, sfr_ghash_poly()));
}

/* H^n, ..., H^2, H^1. Each is the product of two powers of half its exponent, so the chain is
 * short. */
SFR_GHASH void sfr_ghash_powers(__m128i *table, size_t n, __m128i h)
{
    table[n - 1] = h;
    for (size_t i = 2; i <= n; i++)
        table[n - i] = sfr_ghash_multiply(table[n - i / 2], table[n - (i + 1) / 2]);
}

/* ---- the additional authenticated data ---- */

#define SFR_GHASH_STRIDE 8 /* powers that a long AAD uses: table end - 8 .. table end - 1 */

/* Hashes the whole blocks of a span into y; `end` is the end of the table of powers. */
SFR_GHASH __m128i sfr_ghash_blocks(__m128i y, const uint8_t *data, size_t blocks,
                                   const __m128i *end)
{
    while (blocks) {
        size_t n = blocks < SFR_GHASH_STRIDE ? blocks : SFR_GHASH_STRIDE;
        sfr_ghash_sum sum = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
        for (size_t i = 0; i < n; i++, data += 16) {
            __m128i x = _mm_xor_si128(y, sfr_block_reflect(sfr_block_load(data)));
            sfr_ghash_add(&sum, x, sfr_block_load(end - n + i));
            y = _mm_setzero_si128();
        }
        y = sfr_ghash_reduce(sum);
        blocks -= n;
    }
    return y;
}

/* Folds an AAD of more than 16 bytes to the one block that stands for it at the head of the sum:
 * GHASH of all its blocks, without the last multiplication. Blocks may cross the edges of spans;
 * `part` holds the `held` bytes of an incomplete block. */
SFR_GHASH __m128i sfr_ghash_long_aad(const sfr_row *row, const __m128i *end)
{
    __m128i y = _mm_setzero_si128(), part = _mm_setzero_si128();
    size_t held = 0;
    for (int i = 0; i < SFR_AAD_SPANS; i++) {
        const uint8_t *data = row->aad[i].data;
        size_t size = row->aad[i].size;
        if (size == 0) continue;
        if (held + size <= 16) {
            part = _mm_or_si128(part, sfr_block_up(sfr_block_load_any(data, size), held));
            held += size;
            continue;
        }
        size_t fill = held ? 16 - held : 0;
        if (held) {
            __m128i head = size >= 16 ? sfr_block_load(data) : sfr_block_load_small(data, size);
            part = _mm_or_si128(part, sfr_block_up(head, held));
            y = sfr_ghash_multiply(_mm_xor_si128(y, sfr_block_reflect(part)), end[-1]);
        }
        /* At least one byte remains, so the last block is never multiplied here. */
        size_t blocks = (size - fill - 1) / 16;
        y = sfr_ghash_blocks(y, data + fill, blocks, end);
        held = size - fill - 16 * blocks;
        part =
            held == 16 ? sfr_block_load(data + size - 16) : sfr_block_load_last(data, size, held);
    }
    return _mm_xor_si128(y, sfr_block_reflect(part));
}

#endif
