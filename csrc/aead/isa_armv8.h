/* What the kernels ask of ARMv8: blocks, carry-less products, AES, and clearing its registers.
 * aead/isa_x86.h gives the same names for x86.
 *
 * For GHASH the bits of each byte are reversed, by one instruction, so that a block is a polynomial in
 * the usual order: the coefficient of x^i is bit i. Products need no correction, and the field's
 * polynomial is x^128 + x^7 + x^2 + x + 1 as it stands in SP 800-38D 6.3.
 *
 * All functions are inlined into code with more instructions; the target attribute of that code has to
 * name at least what SFR_ARMV8 names. */
#ifndef SFR_ISA_ARMV8_H
#define SFR_ISA_ARMV8_H

#include <arm_neon.h>

#include "platform/words.h"

#ifdef __clang__
#define SFR_ARMV8 __attribute__((target("aes,sha2")))
#define SFR_ARMV8_SHA3 __attribute__((target("aes,sha2,sha3")))
#else
#define SFR_ARMV8 __attribute__((target("+crypto")))
#define SFR_ARMV8_SHA3 __attribute__((target("arch=armv8.2-a+crypto+sha3")))
#endif
#define SFR_AES_TARGET SFR_ARMV8
#define SFR_AES SFR_AES_TARGET SFR_INLINE
#define SFR_GHASH SFR_ARMV8 SFR_INLINE

/* ---- registers ---- */

/* Clears the vector registers, so that none holds a key or a hash on return. (The halves of v8-v15
 * that the caller owns are given back by the compiler.) */
SFR_INLINE void sfr_clear_registers(void)
{
#define SFR_CLEAR(n) "movi v" #n ".2d, #0\n\t"
    __asm__ __volatile__(
        SFR_CLEAR(0) SFR_CLEAR(1) SFR_CLEAR(2) SFR_CLEAR(3) SFR_CLEAR(4) SFR_CLEAR(5)
        SFR_CLEAR(6) SFR_CLEAR(7) SFR_CLEAR(8) SFR_CLEAR(9) SFR_CLEAR(10) SFR_CLEAR(11)
        SFR_CLEAR(12) SFR_CLEAR(13) SFR_CLEAR(14) SFR_CLEAR(15) SFR_CLEAR(16) SFR_CLEAR(17)
        SFR_CLEAR(18) SFR_CLEAR(19) SFR_CLEAR(20) SFR_CLEAR(21) SFR_CLEAR(22) SFR_CLEAR(23)
        SFR_CLEAR(24) SFR_CLEAR(25) SFR_CLEAR(26) SFR_CLEAR(27) SFR_CLEAR(28) SFR_CLEAR(29)
        SFR_CLEAR(30) SFR_CLEAR(31)
        ::: "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
        "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
        "v27", "v28", "v29", "v30", "v31");
#undef SFR_CLEAR
}

/* ---- blocks ---- */

typedef uint8x16_t sfr_block;

SFR_GHASH sfr_block sfr_block_zero(void) { return vdupq_n_u8(0); }
SFR_GHASH sfr_block sfr_block_load(const void *p) { return vld1q_u8(p); }
SFR_GHASH void sfr_block_store(void *p, sfr_block block) { vst1q_u8(p, block); }
SFR_GHASH sfr_block sfr_block_xor(sfr_block a, sfr_block b) { return veorq_u8(a, b); }
SFR_GHASH sfr_block sfr_block_or(sfr_block a, sfr_block b) { return vorrq_u8(a, b); }
SFR_GHASH sfr_block sfr_block_pair(uint64_t low, uint64_t high)
{
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
}

SFR_GHASH uint64_t sfr_block_low(sfr_block b) { return vgetq_lane_u64(vreinterpretq_u64_u8(b), 0); }
SFR_GHASH uint64_t sfr_block_high(sfr_block b)
{
    return vgetq_lane_u64(vreinterpretq_u64_u8(b), 1);
}

SFR_GHASH sfr_block sfr_block_swapped(sfr_block b) { return vextq_u8(b, b, 8); }
SFR_GHASH bool sfr_block_is_zero(sfr_block b) { return !(sfr_block_low(b) | sfr_block_high(b)); }
SFR_GHASH sfr_block sfr_block_chosen(sfr_block b, const uint8_t *control)
{
    return vqtbl1q_u8(b, vld1q_u8(control));
}

/* b where `mask` has zeros. */
SFR_GHASH sfr_block sfr_block_without(sfr_block b, sfr_block mask) { return vbicq_u8(b, mask); }
SFR_GHASH sfr_block sfr_block_ones(void) { return vdupq_n_u8(0xff); }

/* ---- the field of GHASH ---- */

SFR_GHASH sfr_block sfr_block_reflect(sfr_block block) { return vrbitq_u8(block); }

SFR_GHASH sfr_block sfr_block_product_low(sfr_block a, sfr_block b)
{
    poly64_t x = vgetq_lane_p64(vreinterpretq_p64_u8(a), 0);
    poly64_t y = vgetq_lane_p64(vreinterpretq_p64_u8(b), 0);
    return vreinterpretq_u8_p128(vmull_p64(x, y));
}

SFR_GHASH sfr_block sfr_block_product_high(sfr_block a, sfr_block b)
{
    return vreinterpretq_u8_p128(vmull_high_p64(vreinterpretq_p64_u8(a), vreinterpretq_p64_u8(b)));
}

/* The product of two halves, named as x86's PCLMULQDQ names them: the low digit is the half of a. */
SFR_GHASH sfr_block sfr_block_product(sfr_block a, sfr_block b, const int halves)
{
    if (halves == 0x00) return sfr_block_product_low(a, b);
    if (halves == 0x11) return sfr_block_product_high(a, b);
    a = sfr_block_swapped(a);
    return halves == 0x01 ? sfr_block_product_low(a, b) : sfr_block_product_high(a, b);
}

SFR_GHASH uint64_t sfr_reversed(uint64_t x)
{
    __asm__("rbit %0, %1" : "=r"(x) : "r"(x));
    return x;
}

/* The reflected block of two lengths in bits. */
SFR_GHASH sfr_block sfr_ghash_lengths(uint64_t aad, uint64_t text)
{
    return sfr_block_pair(sfr_reversed(aad), sfr_reversed(text));
}

/* A sum of products before its reduction: low + middle x^64 + high x^128. */
typedef struct sfr_ghash_sum {
    sfr_block low, middle, high;
} sfr_ghash_sum;

/* Folds the high half away in two steps of 64 bits: x^128 = 1 + (x^7 + x^2 + x). The swap adds what is
 * multiplied by 1. */
SFR_GHASH sfr_block sfr_ghash_reduce(sfr_ghash_sum sum)
{
    const sfr_block poly = vreinterpretq_u8_u64(vdupq_n_u64(0x86));
    sfr_block fold = sfr_block_product_high(sum.high, poly);
    sfr_block middle = veorq_u8(veorq_u8(sum.middle, sfr_block_swapped(sum.high)), fold);
    fold = sfr_block_product_high(middle, poly);
    return veorq_u8(veorq_u8(sum.low, sfr_block_swapped(middle)), fold);
}

/* Turns E(K, 0^128) into the form that products take. */
SFR_GHASH sfr_block sfr_ghash_key(sfr_block h) { return sfr_block_reflect(h); }

/* ---- AES ---- */

/* AESE is AddRoundKey, SubBytes and ShiftRows: the round key comes first. */
SFR_AES sfr_block sfr_aes_round(sfr_block state, sfr_block key)
{
    return vaesmcq_u8(vaeseq_u8(state, key));
}

/* E(K, block). */
SFR_AES sfr_block sfr_aes_block(sfr_block block, const sfr_block *round_keys, const int rounds)
{
    for (int r = 0; r < rounds - 1; r++) block = sfr_aes_round(block, round_keys[r]);
    return veorq_u8(vaeseq_u8(block, round_keys[rounds - 1]), round_keys[rounds]);
}

/* w0, w0^w1, w0^w1^w2, w0^w1^w2^w3 of the four words of a round key. */
SFR_AES sfr_block sfr_aes_running_xor(sfr_block key)
{
    key = veorq_u8(key, vextq_u8(vdupq_n_u8(0), key, 12));
    return veorq_u8(key, vextq_u8(vdupq_n_u8(0), key, 8));
}

/* SubWord(w3) in all four words: with equal columns and no key AESE is SubBytes alone. */
SFR_AES sfr_block sfr_aes_last_word(sfr_block key)
{
    uint32x4_t w3 = vdupq_laneq_u32(vreinterpretq_u32_u8(key), 3);
    return vaeseq_u8(vreinterpretq_u8_u32(w3), vdupq_n_u8(0));
}

/* SubWord(RotWord(w3)) ^ rcon in all four words. */
SFR_AES sfr_block sfr_aes_rotated_word(sfr_block key, int rcon)
{
    uint32x4_t word = vreinterpretq_u32_u8(sfr_aes_last_word(key));
    word = vorrq_u32(vshrq_n_u32(word, 8), vshlq_n_u32(word, 24));
    return vreinterpretq_u8_u32(veorq_u32(word, vdupq_n_u32((uint32_t)rcon)));
}

#endif
