/* What kinds of instructions a function runs, by the first byte of each: the CPU traps after every
 * one (EFLAGS.TF), and a handler in this process looks at the next. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

static const uint8_t *first, *last;
static uint64_t *found, steps;

static void look(int number, siginfo_t *info, void *context)
{
    const uint8_t *at = (const uint8_t *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)number, (void)info;
    if (at < first || at >= last) return;
    steps++;
    if (!found[*at]) found[*at] = (uint64_t)(uintptr_t)at;
}

static inline void set_trap(uint64_t set)
{
    __asm__ __volatile__("sub $128, %%rsp\n\tpushf\n\tandq $~0x100, (%%rsp)\n\torq %0, (%%rsp)\n\t"
                         "popf\n\tadd $128, %%rsp"
                         :
                         : "r"(set << 8)
                         : "memory", "cc");
}

/* at[byte] becomes the address of an instruction in [from, to) that begins with it and was run.
 * Returns how many instructions were run there. */
uint64_t kinds(void (*work)(void), const uint8_t *from, const uint8_t *to, uint64_t at[256])
{
    struct sigaction handler = {.sa_sigaction = look, .sa_flags = SA_SIGINFO}, before;
    first = from, last = to, found = at, steps = 0;
    sigaction(SIGTRAP, &handler, &before);
    set_trap(1);
    work();
    set_trap(0);
    sigaction(SIGTRAP, &before, NULL);
    return steps;
}
