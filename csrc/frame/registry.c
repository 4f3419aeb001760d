/* The senders that this process has, and has had.
 *
 * Rule: a (base_key, KID) has one live sender, and a later one never starts below a counter that
 *       an earlier one may have used (RFC 9605 7.4 MUST: no second frame under a key and nonce),
 *       nor with a lower meter of AES blocks.
 *
 * Keys are named by a fingerprint under a secret of this process, so the table reveals nothing.
 * Nothing is ever forgotten: a key costs 32 to 64 bytes for the life of the process. A name is 64
 * bits of the fingerprint: with a million keys, one process in 2^25 has two keys of the same name,
 * and refuses the later one.
 */
#include <stdlib.h>

#include "platform/locks.h"
#include "sfr_keys.h"

#define SMALLEST 64u

/* The order of writes is safe for a fork at any moment: an entry gets its name last, and counts as
 * a live sender's until it is marked as closed. */
typedef struct entry {
    uint64_t name; /* of the fingerprint; 0: free */
    uint64_t next_ctr;
    uint64_t state; /* the blocks used << 2 | CLOSED | SPENT */
} entry;

enum { CLOSED = 1, SPENT = 2 }; /* SPENT: next_ctr was used, too */

/* Reached through one pointer, so a child that is forked while it grows has the old or the new
 * one. */
typedef struct registry {
    size_t capacity, used;
    entry entries[];
} registry;

static registry *table;
static sfr_lock registry_lock;

static uint64_t name_of(const uint8_t fingerprint[16])
{
    uint64_t name = sfr_load64(fingerprint);
    return name ? name : 1;
}

/* The entry of this name, or the free entry that it would take; there always is one. */
static entry *find(registry *in, uint64_t name)
{
    size_t at = (size_t)(name >> 16) & (in->capacity - 1);
    while (in->entries[at].name && in->entries[at].name != name) at = (at + 1) & (in->capacity - 1);
    return &in->entries[at];
}

static entry *known(const uint8_t fingerprint[16])
{
    entry *e = table ? find(table, name_of(fingerprint)) : NULL;
    return e && e->name ? e : NULL;
}

static bool free_from(const entry *e, uint64_t next_ctr)
{
    if (!(e->state & CLOSED)) return false;
    return e->state & SPENT ? next_ctr > e->next_ctr : next_ctr >= e->next_ctr;
}

static void fill(entry *e, uint64_t name)
{
    atomic_thread_fence(memory_order_release);
    e->name = name;
}

static registry *copy_of(const registry *old, size_t capacity)
{
    if (capacity > (SIZE_MAX - sizeof(registry)) / sizeof(entry)) return NULL;
    registry *grown = calloc(1, sizeof(registry) + capacity * sizeof(entry));
    if (!grown) return NULL;
    grown->capacity = capacity;
    for (size_t i = 0; old && i < old->capacity; i++)
        if (old->entries[i].name) *find(grown, old->entries[i].name) = old->entries[i];
    grown->used = old ? old->used : 0;
    return grown;
}

/* Doubles a table that is three quarters full, so that an unsuccessful search stays short. */
static int make_room(void)
{
    if (table && table->used < table->capacity / 4 * 3) return SFR_OK;
    registry *old = table, *grown = copy_of(old, old ? 2 * old->capacity : SMALLEST);
    if (!grown) return SFR_E_NO_MEMORY;
    atomic_thread_fence(memory_order_release);
    table = grown;
    free(old);
    return SFR_OK;
}

static int open_locked(const uint8_t fingerprint[16], uint64_t next_ctr, uint64_t *blocks)
{
    entry *e = known(fingerprint);
    *blocks = e ? e->state >> 2 : 0;
    if (e) {
        /* RFC 9605 4.4.1 MUST NOT: one base_key and KID, two senders. */
        if (!free_from(e, next_ctr)) return SFR_E_DUPLICATE;
        e->state &= ~(uint64_t)CLOSED;
        return SFR_OK;
    }
    if (make_room() != SFR_OK) return SFR_E_NO_MEMORY;
    fill(find(table, name_of(fingerprint)), name_of(fingerprint));
    table->used++;
    return SFR_OK;
}

int sfr_registry_open(const uint8_t fingerprint[16], uint64_t next_ctr, uint64_t *blocks)
{
    sfr_lock_take(&registry_lock);
    int status = open_locked(fingerprint, next_ctr, blocks);
    sfr_lock_drop(&registry_lock);
    return status;
}

void sfr_registry_close(const uint8_t fingerprint[16], uint64_t next_ctr, int spent,
                        uint64_t blocks)
{
    sfr_lock_take(&registry_lock);
    entry *e = known(fingerprint);
    if (e && !(e->state & CLOSED)) {
        e->next_ctr = next_ctr;
        atomic_thread_fence(memory_order_release);
        e->state = blocks << 2 | CLOSED | (spent ? SPENT : 0);
    }
    sfr_lock_drop(&registry_lock);
}
