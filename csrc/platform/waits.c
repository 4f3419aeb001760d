/* Waiting for another thread. This is the only file that yields the processor. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "platform/waits.h"

#include "platform/words.h"

#define SPINS 64
#define YIELDS 96

#ifdef _WIN32
#include <windows.h>

static void give_way(void)
{
    (void)SwitchToThread();
}

static void sleep_a_little(void)
{
    Sleep(1);
}
#else
#include <sched.h>
#include <time.h>

static void give_way(void)
{
    sched_yield();
}

static void sleep_a_little(void)
{
    struct timespec pause = {0, 20000};
    nanosleep(&pause, NULL);
}
#endif

void sfr_wait_a_little(unsigned attempt)
{
    if (attempt < SPINS) {
#ifdef SFR_X86
        __builtin_ia32_pause();
#endif
    } else if (attempt < YIELDS) {
        give_way();
    } else {
        sleep_a_little();
    }
}
