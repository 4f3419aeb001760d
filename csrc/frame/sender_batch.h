/* What the batches of frames and of columns share. */
#ifndef SFR_SENDER_BATCH_H
#define SFR_SENDER_BATCH_H

#include "frame/seal.h"

/* Senders of a batch are scattered over memory, so each is fetched a few rows early, and its key
 * after it. */
SFR_INLINE void prefetch_sender(sfr_sender *const *senders, size_t i, size_t count)
{
    enum { PREFETCH_ROWS = 8 };
    if (i + PREFETCH_ROWS < count) __builtin_prefetch(senders[i + PREFETCH_ROWS]);
}

SFR_INLINE const sfr_ops *some_ops(sfr_sender *const *senders, size_t count)
{
    return count ? senders[0]->ops : NULL;
}

SFR_INLINE void fetch_key(const sfr_sender *s, const sfr_ops *like, size_t size)
{
    if (sfr_arena_is_large) sfr_key_fetch(key_of(s), like, size);
}

/* With the lock held: takes a counter and describes the row that uses it. */
SFR_INLINE int plan_as(sfr_sender *s, sfr_frame *f, uint32_t generation, sfr_row *row,
                       const bool plain)
{
    sfr_mark m;
    if (plain) assume_plain(f);
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) status = reserve(s, f, f->out_size, generation, &m, plain);
    if (SFR_LIKELY(status == SFR_OK)) make_row(row, s, f, &m);
    return f->status = status;
}

static __attribute__((noinline)) int plan_any(sfr_sender *s, sfr_frame *f, uint32_t generation,
                                              sfr_row *row)
{
    return plan_as(s, f, generation, row, false);
}

SFR_INLINE int plan(sfr_sender *s, sfr_frame *f, uint32_t generation, sfr_row *row)
{
    if (is_plain(s, f)) return plan_as(s, f, generation, row, true);
    return plan_any(s, f, generation, row);
}

#endif
