/* A sender's counters and its meter of AES blocks.
 *
 * A lease is a range of counters that the sender may use; one more lease may follow it. Within a
 * lease, a stretch is a run of counters whose marks are alike, so that only the end of a stretch
 * needs any work. The meter is kept as `blocks_left`, what remains until the next event (half of the
 * budget, or the end of the leased blocks), so that a frame costs one comparison.
 *
 * Rule: RFC 9605 9.1: a counter is never used again, and neither is the key once its budget is
 *       spent.
 */
#include "frame/sender.h"
#include SFR_FORMAT

/* ---- counters ---- */

void sfr_sender_start_at(sfr_sender *s, uint64_t ctr)
{
    const sfr_stretch stretch = sfr_format_stretch(s->kid, ctr);
    const uint64_t last = stretch.last < s->last ? stretch.last : s->last;
    set_ctr(s, ctr);
    atomic_store_explicit(&s->same, last, memory_order_relaxed);
    atomic_store_explicit(&s->mark_size, stretch.size, memory_order_relaxed);
    s->head = stretch.head, s->head_shift = stretch.shift;
}

static bool closed(const sfr_sender *s)
{
    return !atomic_load_explicit(&s->key, memory_order_relaxed);
}

/* Must follow every change of the fields that `ready` summarizes. */
void sfr_sender_set_ready(sfr_sender *s)
{
    s->ready = closed(s) || s->spent ? 0 : s->generation;
}

int sfr_sender_refusal(const sfr_sender *s)
{
    if (s->generation != sfr_process_generation()) return SFR_E_FORKED;
    if (closed(s)) return SFR_E_RETIRED;
    if (s->spent) return s->last == UINT64_MAX ? SFR_E_CTR_EXHAUSTED : SFR_E_LEASE_ENDED;
    return SFR_OK;
}

/* Called after the last counter of a stretch. */
void sfr_sender_turn_over(sfr_sender *s, uint64_t ctr)
{
    if (ctr != s->last) {
        sfr_sender_start_at(s, ctr + 1);
    } else if (s->has_upcoming) {
        s->last = s->upcoming.last, s->has_upcoming = false;
        sfr_sender_start_at(s, s->upcoming.first);
    } else {
        s->spent = true;
        sfr_sender_set_ready(s);
    }
}

int sfr_sender_extend(sfr_sender *s, uint64_t first, uint64_t last)
{
    int status = SFR_E_ARGUMENT;
    sfr_object_take(&s->lock);
    if (first <= last && first > s->last && !s->has_upcoming) {
        status = SFR_OK;
        if (s->spent)
            s->spent = false, s->last = last, sfr_sender_start_at(s, first);
        else if (first == s->last + 1)
            s->last = last, sfr_sender_start_at(s, peek_ctr(s));
        else
            s->upcoming = (range){first, last}, s->has_upcoming = true;
        sfr_sender_set_ready(s);
    }
    sfr_object_drop(&s->lock);
    return status;
}

/* ---- the meter ---- */

/* used <= leased <= KEY_BUDGET. */
void sfr_sender_set_meter(sfr_sender *s, uint64_t used, uint64_t leased)
{
    const uint64_t half = KEY_BUDGET / 2;
    s->leased = leased;
    s->meter_end = used < half && half < leased ? half : leased;
    s->blocks_left = s->meter_end - used;
}

/* Called when `blocks` would take the meter to its end or beyond. */
int sfr_sender_charge(sfr_sender *s, uint64_t blocks, int *rekey_due)
{
    uint64_t used = blocks_used(s);
    if (blocks > KEY_BUDGET - used) return SFR_E_KEY_EXHAUSTED;
    if (blocks > s->leased - used) return SFR_E_BLOCKS_ENDED;
    *rekey_due = used < KEY_BUDGET / 2 && used + blocks >= KEY_BUDGET / 2;
    sfr_sender_set_meter(s, used + blocks, s->leased);
    return SFR_OK;
}

/* ---- state ---- */

int sfr_sender_next(sfr_sender *s, uint64_t *ctr)
{
    sfr_object_take(&s->lock);
    int status = sfr_sender_refusal(s);
    *ctr = peek_ctr(s);
    sfr_object_drop(&s->lock);
    return status;
}

uint64_t sfr_sender_kid(const sfr_sender *s)
{
    return s->kid;
}

uint64_t sfr_sender_blocks(sfr_sender *s)
{
    sfr_object_take(&s->lock);
    uint64_t blocks = blocks_used(s);
    sfr_object_drop(&s->lock);
    return blocks;
}

void sfr_sender_set_blocks(sfr_sender *s, uint64_t blocks)
{
    if (blocks > KEY_BUDGET) blocks = KEY_BUDGET; /* beyond it, what is left would wrap */
    sfr_object_take(&s->lock);
    if (blocks > blocks_used(s))
        sfr_sender_set_meter(s, blocks, s->leased > blocks ? s->leased : blocks);
    sfr_object_drop(&s->lock);
}

void sfr_sender_lease_blocks(sfr_sender *s, uint64_t last)
{
    sfr_object_take(&s->lock);
    uint64_t used = blocks_used(s);
    if (last > KEY_BUDGET) last = KEY_BUDGET;
    sfr_sender_set_meter(s, used, last > used ? last : used);
    sfr_object_drop(&s->lock);
}
