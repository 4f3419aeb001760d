/* Which kernels may run here. The only file that asks the CPU.
 *
 * Rule 1: a kernel needs its CPU bits, the registers saved by the operating system (XGETBV), no cap
 *         below it, and a passed self-test.
 * Rule 2: the table is the ladder, and the only list of kernels: widest first, each needing what all
 *         below it need, and its own bits. A cap takes everything above its rung away.
 * Rule 3: a kernel that has no code for a family borrows it from the next narrower one, so every
 *         kernel in use serves every suite. Where there is nothing to borrow it is refused.
 * Rule 4: everything here is written once, in sfr_init, and only read afterwards.
 */
#include <stdio.h>

#include "internal.h"

#ifdef SFR_X86
#include <cpuid.h>

/* clang-format off */
static sfr_kernel kernels[] = {
    {"vaes512", SFR_CPU_VAES512,
     {&sfr_gcm128_vaes512, &sfr_gcm256_vaes512, &sfr_ctr_hmac128_vaes512, &sfr_ctr_hmac256_vaes512}},
    {"vaes256", SFR_CPU_VAES256 | SFR_CPU_AVX2,
     {&sfr_gcm128_vaes256, &sfr_gcm256_vaes256, &sfr_ctr_hmac128_vaes256, &sfr_ctr_hmac256_vaes256}},
    {"aesni", SFR_CPU_AESNI,
     {&sfr_gcm128_aesni, &sfr_gcm256_aesni, &sfr_ctr_hmac128_aesni, &sfr_ctr_hmac256_aesni}},
};
/* clang-format on */
static const size_t KERNELS = sizeof kernels / sizeof *kernels;
#else
static sfr_kernel kernels[1];
static const size_t KERNELS = 0;
#endif

static struct {
    int state;
    char reason[96];
} verdicts[sizeof kernels / sizeof *kernels];
static uint32_t cpu_bits;
static char features[128];

/* ---- the CPU ---- */

#ifdef SFR_X86
typedef struct feature {
    const char *name;
    unsigned leaf, reg, bit;
} feature;

enum { EBX, ECX };

static const feature known_features[] = {
    {"ssse3", 1, ECX, 9},     {"sse4.1", 1, ECX, 19},   {"aes", 1, ECX, 25},
    {"pclmul", 1, ECX, 1},    {"avx", 1, ECX, 28},      {"avx2", 7, EBX, 5},
    {"bmi2", 7, EBX, 8},      {"sha", 7, EBX, 29},      {"vaes", 7, ECX, 9},
    {"vpclmul", 7, ECX, 10},  {"avx512f", 7, EBX, 16},  {"avx512dq", 7, EBX, 17},
    {"avx512bw", 7, EBX, 30}, {"avx512vl", 7, EBX, 31},
};

#define FEATURES (sizeof known_features / sizeof *known_features)

static bool has(unsigned leaf, unsigned reg, unsigned bit)
{
    unsigned r[4] = {0};
    if (!__get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3])) return false;
    return r[1 + reg] >> bit & 1;
}

/* What the operating system saves on a context switch: bits 1-2 XMM and YMM, 5-7 ZMM and masks. */
static uint32_t saved_state(void)
{
    if (!has(1, ECX, 27)) return 0;
    uint32_t low, high;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool all(const bool *present, const char *const *names)
{
    for (; *names; names++)
        for (size_t i = 0; i < FEATURES; i++)
            if (!strcmp(known_features[i].name, *names) && !present[i]) return false;
    return true;
}

static bool is_amd(void)
{
    unsigned most, vendor[3];
    return __get_cpuid(0, &most, &vendor[0], &vendor[2], &vendor[1]) &&
           !memcmp(vendor, "AuthenticAMD", sizeof vendor);
}

static unsigned family(void)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
    return (eax >> 8 & 15) + ((eax >> 8 & 15) == 15 ? eax >> 20 & 255 : 0);
}

/* Two cycles for a 512-bit one, measured on AMD's Zen 5. */
static bool clmul_is_slow(void)
{
    return is_amd() && family() >= 0x1a;
}

static uint32_t detect(void)
{
    static const char *const aesni[] = {"ssse3", "sse4.1", "aes", "pclmul", NULL};
    static const char *const avx2[] = {"avx", "avx2", "bmi2", NULL};
    static const char *const vaes256[] = {"vaes", "vpclmul", NULL};
    static const char *const vaes512[] = {"avx512f", "avx512dq", "avx512bw", "avx512vl", NULL};
    static const char *const shani[] = {"sha", "ssse3", "sse4.1", NULL};
    bool present[FEATURES];
    size_t at = 0;
    for (size_t i = 0; i < FEATURES; i++) {
        const feature *f = &known_features[i];
        present[i] = has(f->leaf, f->reg, f->bit);
        if (present[i])
            at += (size_t)snprintf(features + at, sizeof features - at, "%s%s", at ? " " : "",
                                   f->name);
    }
    uint32_t saved = saved_state(), bits = 0;
    if (all(present, aesni)) bits |= SFR_CPU_AESNI;
    if (all(present, avx2) && (saved & 6) == 6) bits |= SFR_CPU_AVX2;
    if (bits & SFR_CPU_AVX2 && all(present, vaes256)) bits |= SFR_CPU_VAES256;
    if (all(present, vaes512) && (saved & 0xe6) == 0xe6) bits |= SFR_CPU_VAES512;
    if (all(present, shani)) bits |= SFR_CPU_SHANI;
    if (clmul_is_slow()) bits |= SFR_CPU_SLOW_CLMUL;
    return bits;
}
#else
static uint32_t detect(void)
{
    return 0;
}
#endif

/* ---- the ladder ---- */

/* The CPU bits that a kernel needs: its own, and those of the kernels below it. */
static uint32_t needs(size_t i)
{
    uint32_t bits = 0;
    for (; i < KERNELS; i++) bits |= kernels[i].needs;
    return bits;
}

/* The widest kernel that a cap leaves: none of them for "none", or for an unknown name. */
static size_t rung(const char *max_isa)
{
    size_t i = 0;
    while (max_isa && i < KERNELS && strcmp(kernels[i].name, max_isa)) i++;
    return i;
}

/* What code may use of the CPU when `top` is the widest kernel: hashes are chosen by it, too. Bits
 * that no kernel needs are off the ladder, and go only where all kernels go. */
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

static void judge(size_t i, uint32_t detected, const char *max_isa)
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
    uint32_t detected = little_endian() ? detect() : 0;
    (void)sfr_process_generation();
    cpu_bits = below(rung(max_isa), detected);
    borrow();
    for (size_t i = 0; i < KERNELS; i++) judge(i, detected, max_isa);
}

int sfr_init(const char *max_isa)
{
    static sfr_lock lock; /* forked while it is held, a child takes it over and begins again */
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
