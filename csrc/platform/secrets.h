/* Handling secrets: wiping, comparing and copying them. */
#ifndef SFR_SECRETS_H
#define SFR_SECRETS_H

#include "platform/words.h"

/* A memset that the compiler may not drop. explicit_bzero is newer than manylinux2014's libc. */
void sfr_wipe(void *p, size_t size);

/* Constant-time comparison of `size` bytes; 1 when equal: RFC 9605 4.4.4 SHOULD. */
int sfr_equal(const uint8_t *a, const uint8_t *b, size_t size);

/* Copies a secret of variable size. libc's memcpy would leave copies in registers of its choice;
 * the empty statements keep the compiler from calling it. */
SFR_INLINE void sfr_copy_secret(uint8_t *to, const uint8_t *from, size_t size)
{
    for (; size >= 8; size -= 8, to += 8, from += 8) {
        uint64_t word = sfr_load64(from);
        __asm__("" : "+r"(word));
        sfr_store64(to, word);
    }
    for (; size; size--) {
        uint32_t byte = *from++;
        __asm__("" : "+r"(byte));
        *to++ = (uint8_t)byte;
    }
}

/* Overwrites the stack below the caller's frame and clears the vector registers (xmm0-15 on x86).
 * `deep` covers everything in hash/; otherwise the wipe covers an HMAC of as many streams as
 * sfr_hash.shallow allows. */
void sfr_burn_little_stack(void);
void sfr_burn_much_stack(void);
SFR_INLINE void sfr_burn_stack(bool deep)
{
    deep ? sfr_burn_much_stack() : sfr_burn_little_stack();
}

#endif
