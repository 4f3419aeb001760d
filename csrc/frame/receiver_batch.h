/* What the batches of frames and of columns share. */
#ifndef SFR_RECEIVER_BATCH_H
#define SFR_RECEIVER_BATCH_H

#include "frame/commit.h"

/* Receivers of a batch are scattered over memory, so each is fetched a few rows early. */
SFR_INLINE void prefetch_receiver(sfr_receiver *const *receivers, size_t i, size_t count)
{
    enum { PREFETCH_ROWS = 8 };
    if (i + PREFETCH_ROWS < count) __builtin_prefetch(receivers[i + PREFETCH_ROWS]);
}

SFR_INLINE void prefetch_recent(sfr_receiver *const *receivers, size_t i, size_t count)
{
    enum { PREFETCH_ROWS = 6 };
    if (i + PREFETCH_ROWS < count)
        __builtin_prefetch(
            atomic_load_explicit(&receivers[i + PREFETCH_ROWS]->recent, memory_order_relaxed));
}

/* Keys are fetched early, too, once they outgrow the cache. The last frame's key is the likely
 * one. */
SFR_INLINE void fetch_key(const sfr_receiver *r, const sfr_ops *like, size_t size)
{
    const rx_key *k = atomic_load_explicit(&r->recent, memory_order_relaxed);
    if (!sfr_arena_is_large || !k) return;
    __builtin_prefetch(k);
    sfr_key_fetch(key_of(r, k), like, size);
}

SFR_INLINE const sfr_ops *ops_of(const sfr_receiver *r)
{
    return r->kernel->ops[sfr_suite_family(r->suite)];
}

typedef struct chunk {
    sfr_row rows[SFR_CHUNK];
    rx_key *keys[SFR_CHUNK]; /* of each frame; NULL: refused in plan, without a row */
    size_t planned;
} chunk;

/* Without the lock: parse and resolve, no more. Commit decides whether the frame is a replay.
 * `apart`: in and out are known not to overlap. Otherwise that is checked again, because a screened
 * frame may have another header by now. `alone`: nobody else uses the receiver. */
SFR_INLINE int plan_batched(sfr_receiver *r, sfr_frame *f, sfr_row *row, rx_key **key, parsed *p,
                            bool apart, bool alone)
{
    rx_key *k = alone ? match_prediction(r, f, p) : NULL;
    int status = SFR_LIKELY(k != NULL) ? SFR_OK : parse(r, f, p);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    if (!apart) status = check_out(f, p);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    if (SFR_UNLIKELY(f->clear + p->size > f->out_size)) return SFR_E_ROOM;
    if (SFR_UNLIKELY(!k)) k = find(r, f->kid);
    if (SFR_UNLIKELY(!k)) return SFR_UNKNOWN_KEY;
    make_row(row, r, k, f, p);
    *key = k;
    return SFR_OK;
}

#endif
