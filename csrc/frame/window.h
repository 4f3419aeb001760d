/* The replay window: RFC 9605 9.3 MAY, modelled on RFC 3711 3.3.2.
 *
 * `seen` is a ring of bits, one for each counter of the window. Bits of counters that were skipped
 * are cleared when the window moves over them. */
#ifndef SFR_WINDOW_H
#define SFR_WINDOW_H

#include "frame/receiver.h"

SFR_INLINE int window_judge(const sfr_receiver *r, const rx_key *k, uint64_t ctr)
{
    if (!r->window || !k->any || ctr > k->top) return SFR_OK;
    if (k->top - ctr >= r->window) return SFR_TOO_OLD;
    uint64_t bit = ctr & (r->window_bits - 1);
    return k->seen[bit / 64] >> (bit % 64) & 1 ? SFR_REPLAYED : SFR_OK;
}

SFR_INLINE void window_set(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    uint64_t bit = ctr & (r->window_bits - 1);
    k->seen[bit / 64] |= (uint64_t)1 << bit % 64;
}

/* Clears the bits of the counters between the old top and the new one. */
static __attribute__((unused)) void window_skip(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    if (ctr - k->top > r->window_bits) {
        memset(k->seen, 0, r->window_bits / 8);
        return;
    }
    for (uint64_t skipped = k->top + 1; skipped != ctr; skipped++) {
        uint64_t bit = skipped & (r->window_bits - 1);
        k->seen[bit / 64] &= ~((uint64_t)1 << bit % 64);
    }
}

SFR_INLINE void window_mark(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    /* Not top + 1, which is 0 after the last counter there is. */
    if (SFR_UNLIKELY(k->any && ctr > k->top && ctr - k->top > 1)) window_skip(r, k, ctr);
    window_set(r, k, ctr);
    if (!k->any || ctr > k->top) k->top = ctr;
    k->any = true;
}

#endif
