/* The kernels, which of them may run, and how rows get to them. */
#ifndef SFR_KERNELS_H
#define SFR_KERNELS_H

#include "aead/row.h"
#include "platform/cpu.h"

struct sfr_kernel {
    const char *name;
    uint32_t needs;                /* SFR_CPU_... bits of its own; it needs those below it, too */
    const sfr_ops *ops[SFR_FAMILIES];   /* NULL in the table: the next narrower kernel's */
};

uint32_t sfr_cpu(void);            /* SFR_CPU_... bits after caps; 0 before sfr_init */

#ifdef SFR_X86
extern const sfr_ops sfr_gcm128_aesni, sfr_gcm256_aesni;
extern const sfr_ops sfr_gcm128_vaes256, sfr_gcm256_vaes256;
extern const sfr_ops sfr_gcm128_vaes512, sfr_gcm256_vaes512;
extern const sfr_ops sfr_ctr_hmac128_aesni, sfr_ctr_hmac256_aesni;
extern const sfr_ops sfr_ctr_hmac128_vaes256, sfr_ctr_hmac256_vaes256;
extern const sfr_ops sfr_ctr_hmac128_vaes512, sfr_ctr_hmac256_vaes512;
#elif defined(SFR_ARM64)
extern const sfr_ops sfr_gcm128_armv8, sfr_gcm256_armv8;
extern const sfr_ops sfr_gcm128_armv8_sha3, sfr_gcm256_armv8_sha3;
extern const sfr_ops sfr_ctr_hmac128_armv8, sfr_ctr_hmac256_armv8, sfr_ctr_hmac256_armv8_sha3;
#endif

/* Runs rows of any mix, at most SFR_CHUNK of them: buckets them by kernel, family and size class,
 * then calls the kernels. Every opened row carries its status. */
void sfr_run(sfr_row *rows, size_t count, bool sealing);
/* Calls of an ops function with two rows or more since the process began, so that tests can see the
 * interleaved path run. */
extern _Atomic uint64_t sfr_interleaved_calls;

int sfr_self_test(const sfr_kernel *);   /* 0, or the id of the suite that failed */

#endif
