/* The vocabulary of aead/gcm_rows.h on ARM: vectors of one block. The including file defines
 * KERNEL_TARGET; where that has EOR3, compilers use it for each XOR of three. */
#ifndef SFR_GCM_ARMV8_WORDS_H
#define SFR_GCM_ARMV8_WORDS_H

#include "aead/aes.h"

#define BLOCKS 1
#define KERNEL KERNEL_TARGET SFR_INLINE

typedef uint8x16_t vec;

/* clang-format off */
KERNEL vec zero(void) { return vdupq_n_u8(0); }
KERNEL vec load(const void *p) { return vld1q_u8(p); }
KERNEL vec load_blocks(const void *p) { return vld1q_u8(p); }     /* from an aligned block on */
KERNEL void store(void *p, vec v) { vst1q_u8(p, v); }
KERNEL vec xor(vec a, vec b) { return veorq_u8(a, b); }
KERNEL vec both(const sfr_block *p) { return *p; }                /* in every block */
KERNEL vec both_of(sfr_block b) { return b; }
KERNEL vec vector_of(sfr_block low, sfr_block high) { return (void)high, low; }
KERNEL vec in_low(sfr_block b) { return b; }                      /* and zero above */
KERNEL sfr_block block_of(vec v, int i) { return (void)i, v; }    /* place i % BLOCKS */
KERNEL vec with_first(vec v, sfr_block b) { return (void)v, b; }  /* b in place 0 */
KERNEL vec with_second(vec v, sfr_block b) { return (void)b, v; } /* b in place 1 */
KERNEL vec with_end(vec v, sfr_block b, int i) { return (void)v, (void)i, b; } /* zero after it */
KERNEL sfr_block add_blocks(vec v) { return v; }
KERNEL vec reflect(vec v) { return sfr_block_reflect(v); }

KERNEL vec aes_round(vec v, vec key) { return sfr_aes_round(v, key); }
KERNEL vec aes_last(vec v, vec before, vec key) { return veorq_u8(vaeseq_u8(v, before), key); }
#define product(a, b, halves) sfr_block_product(a, b, halves)
KERNEL vec low_halves(vec a, vec b)
{
    return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}
KERNEL vec high_halves(vec a, vec b)
{
    return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}
KERNEL vec load_folded(const uint64_t *p) { return vld1q_u8((const uint8_t *)p); }

/* Counters with the bytes of each word reversed. */
KERNEL vec swap_counter(vec v) { return vrev32q_u8(v); }
KERNEL vec add_counter(vec v, int n)
{
    const uint32x4_t step = {0, 0, 0, (uint32_t)n};
    return vreinterpretq_u8_u32(vaddq_u32(vreinterpretq_u32_u8(v), step));
}
KERNEL vec add_counters(vec v, int n) { return add_counter(swap_counter(v), n); }
/* clang-format on */

#define clear_registers sfr_clear_registers

#endif
