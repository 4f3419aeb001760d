/* Locks and read sections.
 *
 * A read section counts itself under the current parity. Synchronize flips the parity and waits
 * until each count has been zero at least once since the key was unlinked; newcomers count under
 * the other parity, so they cannot starve it. The counts live in the process state, which starts
 * zeroed in a forked child: sections of threads that do not exist there are forgotten. */
#include "platform/locks.h"

#include "platform/waits.h"
#include "sfr_keys.h"

bool sfr_serialized;

void sfr_serialize_callers(void)
{
    sfr_serialized = true;
}

/* ---- locks ---- */

void sfr_lock_wait(sfr_lock *lock, uint32_t generation)
{
    for (unsigned attempt = 0;; attempt++) {
        uint32_t holder = atomic_load_explicit(&lock->word, memory_order_relaxed);
        /* A holder of another generation was a thread of the process that forked this one. */
        if (holder != generation &&
            atomic_compare_exchange_strong_explicit(&lock->word, &holder, generation,
                                                    memory_order_acquire, memory_order_relaxed))
            return;
        sfr_wait_a_little(attempt);
    }
}

/* ---- read sections ---- */

unsigned sfr_read_enter(void)
{
    sfr_process_state *now = sfr_this_process();
    unsigned ticket = atomic_load(&now->parity) & 1;
    atomic_fetch_add(&now->readers[ticket], 1);
    return ticket;
}

void sfr_read_leave(unsigned ticket)
{
    atomic_fetch_sub_explicit(&sfr_this_process()->readers[ticket], 1, memory_order_release);
}

static void wait_for_readers(const sfr_process_state *now, unsigned parity)
{
    for (unsigned attempt = 0; atomic_load(&now->readers[parity]) != 0; attempt++)
        sfr_wait_a_little(attempt);
}

void sfr_read_synchronize(void)
{
    sfr_process_state *now = sfr_this_process();
    atomic_thread_fence(memory_order_seq_cst);
    sfr_lock_take(&now->synchronizing);
    unsigned parity = atomic_load(&now->parity) & 1;
    wait_for_readers(now, parity ^ 1);
    atomic_store(&now->parity, parity ^ 1);
    wait_for_readers(now, parity);
    sfr_lock_drop(&now->synchronizing);
}
