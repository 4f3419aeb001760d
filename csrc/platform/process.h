/* The process as fork sees it. */
#ifndef SFR_PROCESS_H
#define SFR_PROCESS_H

#include "platform/words.h"

/* The generation is a number that differs in a forked child, however it was forked. It lives in a
 * page that the kernel wipes on fork. Where the kernel cannot wipe, the page always reads 0 and the
 * slow path finds out by asking the kernel. */
extern SFR_HIDDEN const _Atomic uint32_t *_Atomic sfr_generation_page;
uint32_t sfr_process_generation_slow(void);
SFR_INLINE uint32_t sfr_process_generation(void)
{
    const _Atomic uint32_t *at = atomic_load_explicit(&sfr_generation_page, memory_order_relaxed);
    uint32_t generation = atomic_load_explicit(at, memory_order_relaxed);
    return SFR_LIKELY(generation) ? generation : sfr_process_generation_slow();
}

/* A lock is one word: its holder's process generation, or 0 when free. See platform/locks.h. */
typedef struct sfr_lock { _Atomic uint32_t word; } sfr_lock;

/* State that a child must not inherit: it starts zeroed in every process. */
typedef struct sfr_process_state {
    _Atomic uint32_t generation;   /* 0: this process has none yet */
    _Atomic uint32_t parity;       /* which of `readers` counts newcomers */
    _Atomic uint64_t readers[2];
    sfr_lock synchronizing;
} sfr_process_state;

sfr_process_state *sfr_this_process(void);

#endif
