/* The senders this process has, and has had.
 *
 * Rule: a (base_key, KID) has one live sender, and a later one never starts below a counter that
 *       an earlier one may have used (RFC 9605 7.4 MUST: no second frame under a key and nonce).
 *
 * Keys are known by a fingerprint under a secret of this process, so the table tells nothing.
 * Closed senders are remembered until about 65,536 newer ones have closed.
 */
#include <stdlib.h>

#include "sfr_internal.h"

#define REMEMBERED 65536u
#define SMALLEST 64u

typedef struct entry {
    uint64_t name; /* of the fingerprint; 0: free */
    uint64_t next_ctr;
    uint32_t closing; /* 0: alive; else the number of its closing */
    bool spent;       /* next_ctr was used, too: nothing is left */
} entry;

static entry *table;
static uint32_t capacity, used, closings;
static sfr_lock registry_lock;

static uint64_t name_of(const uint8_t fingerprint[16])
{
    uint64_t name = sfr_load64(fingerprint);
    return name ? name : 1;
}

static entry *find(entry *in, uint32_t size, uint64_t name)
{
    uint32_t at = (uint32_t)(name >> 32) & (size - 1);
    while (in[at].name && in[at].name != name) at = (at + 1) & (size - 1);
    return &in[at];
}

static bool worth_keeping(const entry *e)
{
    return e->name && (!e->closing || closings - e->closing < REMEMBERED);
}

/* Rebuilt rather than deleted from: open addressing has no cheap way to forget. */
static int rebuild(void)
{
    uint32_t kept = 0, size = SMALLEST;
    for (uint32_t i = 0; i < capacity; i++) kept += worth_keeping(&table[i]);
    while (size < 3 * (kept + 1)) size *= 2;
    entry *fresh = calloc(size, sizeof *fresh);
    if (!fresh) return SFR_E_NO_MEMORY;
    for (uint32_t i = 0; i < capacity; i++)
        if (worth_keeping(&table[i])) *find(fresh, size, table[i].name) = table[i];
    free(table);
    table = fresh, capacity = size, used = kept;
    return SFR_OK;
}

static int open_locked(uint64_t name, uint64_t next_ctr)
{
    if (3 * used >= 2 * capacity && rebuild() != SFR_OK) return SFR_E_NO_MEMORY;
    entry *e = find(table, capacity, name);
    /* RFC 9605 4.4.1 MUST NOT: one base_key and KID, two senders. */
    if (e->name && (!e->closing || e->spent || next_ctr < e->next_ctr)) return SFR_E_DUPLICATE;
    if (!e->name) used++;
    *e = (entry){name, next_ctr, 0, false};
    return SFR_OK;
}

int sfr_registry_open(const uint8_t fingerprint[16], uint64_t next_ctr)
{
    sfr_lock_take(&registry_lock);
    int status = open_locked(name_of(fingerprint), next_ctr);
    sfr_lock_drop(&registry_lock);
    return status;
}

void sfr_registry_close(const uint8_t fingerprint[16], uint64_t next_ctr, bool spent)
{
    sfr_lock_take(&registry_lock);
    entry *e = find(table, capacity, name_of(fingerprint));
    if (e->name && !e->closing) {
        if (++closings == 0) closings = 1;
        e->next_ctr = next_ctr, e->spent = spent, e->closing = closings;
    }
    sfr_lock_drop(&registry_lock);
}
