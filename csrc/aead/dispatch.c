/* Which kernels may run here.
 *
 * Rule 1: a kernel needs its CPU bits, no cap below it, and a passed self-test.
 * Rule 2: the table is the ladder and the only list of kernels. It is ordered widest first; each
 *         kernel needs its own bits and those of all kernels below it. A cap removes everything
 *         above its rung.
 * Rule 3: a kernel that has no code for a family borrows it from the next narrower kernel, so every
 *         kernel in use serves every suite. A kernel with nothing to borrow is refused.
 * Rule 4: everything here is written once, in sfr_init, and only read afterwards.
 */
#include <stdio.h>

#include "aead/kernels.h"
#include "platform/locks.h"

/* clang-format off */
#if defined(SFR_X86)
static sfr_kernel kernels[] = {
    {"vaes512", SFR_CPU_VAES512,
     {&sfr_gcm128_vaes512, &sfr_gcm256_vaes512, &sfr_ctr_hmac128_vaes512, &sfr_ctr_hmac256_vaes512}},
    {"vaes256", SFR_CPU_VAES256 | SFR_CPU_AVX2,
     {&sfr_gcm128_vaes256, &sfr_gcm256_vaes256, &sfr_ctr_hmac128_vaes256, &sfr_ctr_hmac256_vaes256}},
    {"aesni", SFR_CPU_AESNI,
     {&sfr_gcm128_aesni, &sfr_gcm256_aesni, &sfr_ctr_hmac128_aesni, &sfr_ctr_hmac256_aesni}},
};
static const size_t KERNELS = sizeof kernels / sizeof *kernels;
#elif defined(SFR_ARM64)
static sfr_kernel kernels[] = {
    {"armv8_sha3", SFR_CPU_ARMV8_SHA3,
     {&sfr_gcm128_armv8_sha3, &sfr_gcm256_armv8_sha3, NULL, &sfr_ctr_hmac256_armv8_sha3}},
    {"armv8", SFR_CPU_ARMV8,
     {&sfr_gcm128_armv8, &sfr_gcm256_armv8, &sfr_ctr_hmac128_armv8, &sfr_ctr_hmac256_armv8}},
};
static const size_t KERNELS = sizeof kernels / sizeof *kernels;
#else
static sfr_kernel kernels[1];
static const size_t KERNELS = 0;
#endif
/* clang-format on */

static struct {
    int state;
    char reason[96];
} verdicts[sizeof kernels / sizeof *kernels];
static uint32_t cpu_bits;
static char features[128];

/* ---- the ladder ---- */

/* The CPU bits that a kernel needs: its own and those of the kernels below it. */
static uint32_t needs(size_t i)
{
    uint32_t bits = 0;
    for (; i < KERNELS; i++) bits |= kernels[i].needs;
    return bits;
}

/* The widest kernel that a cap allows; KERNELS, so none, for "none" or an unknown name. */
static size_t rung(const char *max_isa)
{
    size_t i = 0;
    while (max_isa && i < KERNELS && strcmp(kernels[i].name, max_isa)) i++;
    return i;
}

/* The CPU bits that code may use when `top` is the widest kernel; hashes are chosen by them, too.
 * Bits that no kernel needs are not on the ladder, and disappear only together with all kernels. */
static uint32_t below(size_t top, uint32_t detected)
{
    return top < KERNELS ? detected & ~(needs(0) & ~needs(top)) : 0;
}

static void borrow(void)
{
    for (size_t i = KERNELS; i-- > 1;)
        for (int family = 0; family < SFR_FAMILIES; family++)
            if (!kernels[i - 1].ops[family]) kernels[i - 1].ops[family] = kernels[i].ops[family];
}

static bool serves_all(const sfr_kernel *kernel)
{
    for (int family = 0; family < SFR_FAMILIES; family++)
        if (!kernel->ops[family]) return false;
    return true;
}

static void admit(size_t i, uint32_t detected, const char *max_isa)
{
    const sfr_kernel *k = &kernels[i];
    char *why = verdicts[i].reason;
    size_t room = sizeof verdicts[i].reason;
    int failed;
    if ((detected & needs(i)) != needs(i)) {
        verdicts[i].state = SFR_KERNEL_NO_CPU;
        snprintf(why, room, "this CPU or operating system lacks what %s needs", k->name);
    } else if (i < rung(max_isa)) {
        verdicts[i].state = SFR_KERNEL_CAPPED;
        snprintf(why, room, "capped by max_isa=%s", max_isa);
    } else if (!serves_all(k)) {
        verdicts[i].state = SFR_KERNEL_BROKEN;
        snprintf(why, room, "%s lacks a cipher family that no narrower kernel has", k->name);
    } else if ((failed = sfr_self_test(k)) != 0) {
        verdicts[i].state = SFR_KERNEL_BROKEN;
        snprintf(why, room, "the self-test of suite %d gave a wrong answer", failed);
    } else {
        verdicts[i].state = SFR_KERNEL_READY;
    }
}

static bool little_endian(void)
{
    uint16_t one = 1;
    return *(const uint8_t *)&one == 1;
}

static void init(const char *max_isa)
{
    uint32_t detected = little_endian() ? sfr_cpu_detect(features, sizeof features) : 0;
    (void)sfr_process_generation();
    cpu_bits = below(rung(max_isa), detected);
    borrow();
    for (size_t i = 0; i < KERNELS; i++) admit(i, detected, max_isa);
}

int sfr_init(const char *max_isa)
{
    static sfr_lock lock; /* a child forked while it is held takes it over and starts again */
    static bool done;
    sfr_lock_take(&lock);
    if (!done) init(max_isa);
    done = true;
    sfr_lock_drop(&lock);
    int ready = 0;
    for (size_t i = 0; i < KERNELS; i++) ready += verdicts[i].state == SFR_KERNEL_READY;
    return ready;
}

/* ---- reports ---- */

uint32_t sfr_cpu(void)
{
    return cpu_bits;
}

const char *sfr_cpu_features(void)
{
    return features;
}

size_t sfr_kernel_count(void)
{
    return KERNELS;
}

const sfr_kernel *sfr_kernel_at(size_t index)
{
    return index < KERNELS ? &kernels[index] : NULL;
}

const char *sfr_kernel_name(const sfr_kernel *kernel)
{
    return kernel->name;
}

int sfr_kernel_state(const sfr_kernel *kernel)
{
    return verdicts[kernel - kernels].state;
}

const char *sfr_kernel_reason(const sfr_kernel *kernel)
{
    return verdicts[kernel - kernels].reason;
}

const sfr_kernel *sfr_kernel_find(const char *name)
{
    for (size_t i = 0; i < KERNELS; i++)
        if (verdicts[i].state == SFR_KERNEL_READY && (!name || !strcmp(kernels[i].name, name)))
            return &kernels[i];
    return NULL;
}
