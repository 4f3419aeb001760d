/* AES key expansion, and what the kernels ask of an instruction set.
 *
 * Round keys are 16-byte blocks in memory order: 11 of them for AES-128, 15 for AES-256. A wider
 * kernel inlines these functions, so its own target must name at least what SFR_AES names.
 */
#ifndef SFR_AES_H
#define SFR_AES_H

#include "aead/row.h"

#if defined(SFR_X86)
#include "aead/isa_x86.h"
#elif defined(SFR_ARM64)
#include "aead/isa_armv8.h"
#endif

#if defined(SFR_X86) || defined(SFR_ARM64)

#define SFR_AES128_ROUNDS 10
#define SFR_AES256_ROUNDS 14

SFR_AES void sfr_aes128_expand(sfr_block round_keys[SFR_AES128_ROUNDS + 1], const uint8_t key[16])
{
    static const uint8_t rcon[SFR_AES128_ROUNDS] = {1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36};
    sfr_block k = sfr_block_load(key);
    round_keys[0] = k;
    for (int i = 0; i < SFR_AES128_ROUNDS; i++) {
        k = sfr_block_xor(sfr_aes_running_xor(k), sfr_aes_rotated_word(k, rcon[i]));
        round_keys[i + 1] = k;
    }
}

SFR_AES void sfr_aes256_expand(sfr_block round_keys[SFR_AES256_ROUNDS + 1], const uint8_t key[32])
{
    sfr_block even = sfr_block_load(key), odd = sfr_block_load(key + 16);
    round_keys[0] = even;
    round_keys[1] = odd;
    for (int i = 2, rcon = 1; i < SFR_AES256_ROUNDS; i += 2, rcon <<= 1) {
        even = sfr_block_xor(sfr_aes_running_xor(even), sfr_aes_rotated_word(odd, rcon));
        odd = sfr_block_xor(sfr_aes_running_xor(odd), sfr_aes_last_word(even));
        round_keys[i] = even;
        round_keys[i + 1] = odd;
    }
    round_keys[14] = sfr_block_xor(sfr_aes_running_xor(even), sfr_aes_rotated_word(odd, 64));
}

#endif
#endif
