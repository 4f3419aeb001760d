/* Locks and read sections, both of which survive fork. */
#ifndef SFR_LOCKS_H
#define SFR_LOCKS_H

#include "platform/process.h"

/* Locks are held for a few microseconds at most, never while a long frame runs. A lock inherited
 * through fork from a thread that no longer exists is taken over. */
void sfr_lock_wait(sfr_lock *, uint32_t generation);
SFR_INLINE void sfr_lock_take(sfr_lock *lock)
{
    uint32_t free_word = 0, mine = sfr_process_generation();
    if (SFR_UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &lock->word, &free_word, mine, memory_order_acquire, memory_order_relaxed)))
        sfr_lock_wait(lock, mine);
}
SFR_INLINE void sfr_lock_drop(sfr_lock *lock)
{
    atomic_store_explicit(&lock->word, 0, memory_order_release);
}

/* ---- read sections ----
 * Batches run without locks. A batch reads keys between enter and leave. A thread that unlinks a
 * key waits in synchronize until every section that might have seen the key has ended, and only
 * then wipes it. */

unsigned sfr_read_enter(void);
void sfr_read_leave(unsigned ticket);
void sfr_read_synchronize(void);

/* ---- one sender or receiver ----
 * Serialized callers (sfr_serialize_callers) have exclusive access already, so they skip the lock:
 * a locked instruction costs 20 cycles, and everything after it waits. They also skip read sections
 * that begin and end within one call, since nobody else can unlink a key during it. */

extern SFR_HIDDEN bool sfr_serialized;
SFR_INLINE void sfr_object_take(sfr_lock *lock)
{
    if (SFR_UNLIKELY(!sfr_serialized)) sfr_lock_take(lock);
}
SFR_INLINE void sfr_object_drop(sfr_lock *lock)
{
    if (SFR_UNLIKELY(!sfr_serialized)) sfr_lock_drop(lock);
}
SFR_INLINE unsigned sfr_object_read_enter(void)
{
    return SFR_LIKELY(sfr_serialized) ? 0 : sfr_read_enter();
}
SFR_INLINE void sfr_object_read_leave(unsigned ticket)
{
    if (SFR_UNLIKELY(!sfr_serialized)) sfr_read_leave(ticket);
}

#endif
