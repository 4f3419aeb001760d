/* GHASH (SP 800-38D 6.4) on one block, and partial blocks, in the words of an instruction set:
 * aead/isa_x86.h and aead/isa_armv8.h. Reflected blocks are in the form that products take. */
#ifndef SFR_GHASH_H
#define SFR_GHASH_H

#include "aead/aes.h"

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

/* A block that was stored as two words is loaded as two. One wide load would wait until both stores
 * have left the store buffer. The barrier keeps the compiler from merging the loads. */
SFR_GHASH sfr_block sfr_block_words(const uint64_t words[2])
{
    uint64_t high = words[1];
    __asm__("" : "+r"(high));
    return sfr_block_pair(words[0], high);
}

SFR_GHASH sfr_block sfr_block_up(sfr_block block, size_t n)
{
    return sfr_block_chosen(block, sfr_shift_control + 16 - n);
}

SFR_GHASH sfr_block sfr_block_down(sfr_block block, size_t n)
{
    return sfr_block_chosen(block, sfr_shift_control + 16 + n);
}

/* The first n bytes of a block, zero-padded. */
SFR_GHASH sfr_block sfr_block_first(sfr_block block, size_t n)
{
    return sfr_block_without(block, sfr_block_up(sfr_block_ones(), n));
}

/* A buffer of n < 16 bytes, zero-padded. No byte outside it is touched. */
SFR_GHASH sfr_block sfr_block_load_small(const uint8_t *p, size_t n)
{
    if (n >= 8) {
        uint64_t tail = sfr_load64(p + n - 8) >> 8 >> (8 * (15 - n));
        return sfr_block_pair(sfr_load64(p), tail);
    }
    if (n >= 4) {
        uint64_t tail = (uint64_t)sfr_load32(p + n - 4) >> (8 * (8 - n));
        return sfr_block_pair(tail << 32 | sfr_load32(p), 0);
    }
    if (n == 0) return sfr_block_zero();
    unsigned head = p[0], middle = p[n / 2], last = p[n - 1];
    return sfr_block_pair(head | middle << (8 * (n / 2)) | last << (8 * (n - 1)), 0);
}

SFR_GHASH void sfr_block_store_small(uint8_t *p, sfr_block block, size_t n)
{
    if (n >= 8) {
        sfr_store64(p, sfr_block_low(block));
        sfr_store64(p + n - 8, sfr_block_low(sfr_block_down(block, n - 8)));
    } else if (n >= 4) {
        sfr_store32(p, (uint32_t)sfr_block_low(block));
        sfr_store32(p + n - 4, (uint32_t)sfr_block_low(sfr_block_down(block, n - 4)));
    } else if (n > 0) {
        unsigned bytes = (unsigned)sfr_block_low(block);
        p[0] = (uint8_t)bytes;
        p[n / 2] = (uint8_t)(bytes >> (8 * (n / 2)));
        p[n - 1] = (uint8_t)(bytes >> (8 * (n - 1)));
    }
}

/* A buffer of n <= 16 bytes. */
SFR_GHASH sfr_block sfr_block_load_any(const uint8_t *p, size_t n)
{
    return n == 16 ? sfr_block_load(p) : sfr_block_load_small(p, n);
}

SFR_GHASH void sfr_block_store_any(uint8_t *p, sfr_block block, size_t n)
{
    if (n == 16) sfr_block_store(p, block);
    else sfr_block_store_small(p, block, n);
}

/* The last n < 16 bytes of a span of `size`, zero-padded. */
SFR_GHASH sfr_block sfr_block_load_last(const uint8_t *data, size_t size, size_t n)
{
    if (SFR_LIKELY(size >= 16)) return sfr_block_down(sfr_block_load(data + size - 16), 16 - n);
    return sfr_block_load_small(data + size - n, n);
}

/* ---- the field ---- */

SFR_GHASH void sfr_ghash_add(sfr_ghash_sum *sum, sfr_block x, sfr_block h)
{
    sum->low = sfr_block_xor(sum->low, sfr_block_product(x, h, 0x00));
    sum->high = sfr_block_xor(sum->high, sfr_block_product(x, h, 0x11));
    sum->middle = sfr_block_xor(sum->middle, sfr_block_xor(sfr_block_product(x, h, 0x01),
                                                           sfr_block_product(x, h, 0x10)));
}

SFR_GHASH sfr_block sfr_ghash_multiply(sfr_block x, sfr_block h)
{
    sfr_ghash_sum sum = {sfr_block_zero(), sfr_block_zero(), sfr_block_zero()};
    sfr_ghash_add(&sum, x, h);
    return sfr_ghash_reduce(sum);
}

/* ---- the hash key and its powers ---- */

/* H^n, ..., H^2, H^1. Each is the product of two powers of half its exponent, so the chain is
 * short. */
SFR_GHASH void sfr_ghash_powers(sfr_block *table, size_t n, sfr_block h)
{
    table[n - 1] = h;
    for (size_t i = 2; i <= n; i++)
        table[n - i] = sfr_ghash_multiply(table[n - i / 2], table[n - (i + 1) / 2]);
}

/* ---- the additional authenticated data ---- */

#define SFR_GHASH_STRIDE 8 /* powers that a long AAD uses: table end - 8 .. table end - 1 */

/* Hashes the whole blocks of a span into y; `end` is the end of the table of powers. */
SFR_GHASH sfr_block sfr_ghash_blocks(sfr_block y, const uint8_t *data, size_t blocks,
                                   const sfr_block *end)
{
    while (blocks) {
        size_t n = blocks < SFR_GHASH_STRIDE ? blocks : SFR_GHASH_STRIDE;
        sfr_ghash_sum sum = {sfr_block_zero(), sfr_block_zero(), sfr_block_zero()};
        for (size_t i = 0; i < n; i++, data += 16) {
            sfr_block x = sfr_block_xor(y, sfr_block_reflect(sfr_block_load(data)));
            sfr_ghash_add(&sum, x, sfr_block_load(end - n + i));
            y = sfr_block_zero();
        }
        y = sfr_ghash_reduce(sum);
        blocks -= n;
    }
    return y;
}

/* Folds an AAD of more than 16 bytes to the one block that stands for it at the head of the sum:
 * GHASH of all its blocks, without the last multiplication. Blocks may cross the edges of spans;
 * `part` holds the `held` bytes of an incomplete block. */
SFR_GHASH sfr_block sfr_ghash_long_aad(const sfr_row *row, const sfr_block *end)
{
    sfr_block y = sfr_block_zero(), part = sfr_block_zero();
    size_t held = 0;
    for (int i = 0; i < SFR_AAD_SPANS; i++) {
        const uint8_t *data = row->aad[i].data;
        size_t size = row->aad[i].size;
        if (size == 0) continue;
        if (held + size <= 16) {
            part = sfr_block_or(part, sfr_block_up(sfr_block_load_any(data, size), held));
            held += size;
            continue;
        }
        size_t fill = held ? 16 - held : 0;
        if (held) {
            sfr_block head = size >= 16 ? sfr_block_load(data) : sfr_block_load_small(data, size);
            part = sfr_block_or(part, sfr_block_up(head, held));
            y = sfr_ghash_multiply(sfr_block_xor(y, sfr_block_reflect(part)), end[-1]);
        }
        /* At least one byte remains, so the last block is never multiplied here. */
        size_t blocks = (size - fill - 1) / 16;
        y = sfr_ghash_blocks(y, data + fill, blocks, end);
        held = size - fill - 16 * blocks;
        part =
            held == 16 ? sfr_block_load(data + size - 16) : sfr_block_load_last(data, size, held);
    }
    return sfr_block_xor(y, sfr_block_reflect(part));
}

#endif
