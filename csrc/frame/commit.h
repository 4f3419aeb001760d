/* Receiver: judge and commit. Inlined into the receiver's files.
 *
 * Rule: windows and provisional keys change here, after a tag has verified, and nowhere else. A
 *       refused frame is counted; with a short tag, too many of them close their key. */
#ifndef SFR_COMMIT_H
#define SFR_COMMIT_H

#include "frame/parse.h"
#include "frame/window.h"

/* With the lock held. frame/commit.c */
void sfr_count_failure(const sfr_receiver *, rx_key *, uint64_t ctr);
void sfr_confirm(sfr_receiver *, rx_key *);
void sfr_predict(rx_key *, uint64_t ctr);
int sfr_commit_other(sfr_receiver *, rx_key *, uint64_t ctr, int opened);

SFR_INLINE int judge(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    int status = window_judge(r, k, ctr);
    if (SFR_UNLIKELY(status != SFR_OK)) {
        *(status == SFR_REPLAYED ? &k->replayed : &k->too_old) += 1;
        k->advanced += sfr_trail_follow(&k->refused, ctr);
    }
    return status;
}

/* Only frames that open earn a derivation: a forged frame must not. */
SFR_INLINE void earn(sfr_receiver *r)
{
    if (SFR_UNLIKELY(++r->seen == 0) && r->allowance < ALLOWANCE) r->allowance++;
}

/* Whether a frame is authentic and the next of the recent key: then there is nothing to judge. */
SFR_INLINE bool is_next(const sfr_receiver *r, const rx_key *k, uint64_t ctr, int opened)
{
    return opened == SFR_OK && k->flags == RX_FLOWING && ctr - k->top == 1 && ctr &&
           (!SFR_FORMAT_PREDICTED || ctr <= k->ctr_mask) &&
           atomic_load_explicit(&r->recent, memory_order_relaxed) == k;
}

/* With the lock held, in row order. Returns the frame's final status. */
SFR_INLINE int commit(sfr_receiver *r, rx_key *k, uint64_t ctr, int opened)
{
    if (SFR_UNLIKELY(!is_next(r, k, ctr, opened))) return sfr_commit_other(r, k, ctr, opened);
    window_set(r, k, ctr);
    k->top = ctr;
    k->opened++;
    earn(r);
    return SFR_OK;
}

/* RFC 9605 4.4.4 MUST: discarded. A refused frame leaves zeros in `out`. */
SFR_INLINE void finish(sfr_receiver *r, sfr_frame *f, size_t size, int status)
{
    f->status = status;
    f->out_size = f->clear + size;
    if (SFR_LIKELY(status == SFR_OK)) return;
    if (status == SFR_UNKNOWN_KEY) f->status = sfr_unknown(r, f->kid, f->ctr); /* key removed */
    if (f->out_size) memset(f->out, 0, f->out_size);
    f->out_size = 0;
}

#endif
