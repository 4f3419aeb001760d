/* Memory for keys.
 *
 * Rule: beyond the call that derives them, secrets live in these pages only. The pages are left out
 *       of core dumps, locked in memory as far as the limits allow, and a slot is wiped when it is
 *       freed.
 *
 * A slab is cut into slots of one size, a multiple of a cache line. Free slots of one size form a
 * list. The first slabs are small; a process with thousands of keys gets huge pages, which miss the
 * TLB less often.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "platform/arena.h"

#include <sys/mman.h>

#include "platform/locks.h"
#include "platform/secrets.h"
#include "sfr_keys.h"

#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif
#ifndef MADV_HUGEPAGE
#define MADV_HUGEPAGE 14
#endif

#define LINE 64
#define SLAB ((size_t)64 << 10)
#define HUGE_PAGE ((size_t)2 << 20)
#define SMALL_SLABS 32
#define LARGEST_SLOT ((size_t)4096)

/* A free slot is all zeros except its first word, which points to the next free slot. */
typedef struct slot {
    struct slot *next;
} slot;

static slot *free_slots[LARGEST_SLOT / LINE + 1];
static size_t slabs;
_Atomic bool sfr_arena_is_large;
static sfr_lock arena_lock;

static _Atomic size_t unlocked, dumped;

/* ---- pages ---- */

void *sfr_map_pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Best effort, and what failed is reported: RLIMIT_MEMLOCK is often 8 MiB. */
static void *keep_private(void *p, size_t size)
{
    if (!p) return NULL;
    if (madvise(p, size, MADV_DONTDUMP) != 0) atomic_fetch_add(&dumped, size);
    if (mlock(p, size) != 0) atomic_fetch_add(&unlocked, size);
    return p;
}

size_t sfr_memory_unlocked(void)
{
    return atomic_load_explicit(&unlocked, memory_order_relaxed);
}

size_t sfr_memory_dumped(void)
{
    return atomic_load_explicit(&dumped, memory_order_relaxed);
}

static void *map_private(size_t size)
{
    return keep_private(sfr_map_pages(size), size);
}

/* Maps twice the size, so that an aligned part can be kept, and returns the rest. */
static void *map_huge_page(void)
{
    uint8_t *p = sfr_map_pages(2 * HUGE_PAGE);
    if (!p) return NULL;
    size_t before = -(uintptr_t)p & (HUGE_PAGE - 1);
    if (before) munmap(p, before);
    munmap(p + before + HUGE_PAGE, HUGE_PAGE - before);
    (void)madvise(p + before, HUGE_PAGE, MADV_HUGEPAGE);
    return keep_private(p + before, HUGE_PAGE);
}

/* ---- slots ---- */

static size_t slot_size(size_t size)
{
    return (size + LINE - 1) / LINE * LINE;
}

static slot *cut_slab(size_t each)
{
    size_t size = slabs < SMALL_SLABS ? SLAB : HUGE_PAGE;
    uint8_t *slab = size == SLAB ? map_private(SLAB) : map_huge_page();
    if (!slab) return NULL;
    if (++slabs > SMALL_SLABS) sfr_arena_is_large = true;
    slot *first = NULL;
    for (size_t at = size / each; at-- > 0;) {
        slot *s = (slot *)(void *)(slab + at * each);
        s->next = first;
        first = s;
    }
    return first;
}

void *sfr_arena_alloc(size_t size)
{
    size_t each = slot_size(size);
    if (each > LARGEST_SLOT) return map_private(each);
    slot **list = &free_slots[each / LINE];
    sfr_lock_take(&arena_lock);
    if (!*list) *list = cut_slab(each);
    slot *s = *list;
    if (s) *list = s->next, s->next = NULL;
    sfr_lock_drop(&arena_lock);
    return s;
}

void sfr_arena_free(void *p, size_t size)
{
    if (!p) return;
    size_t each = slot_size(size);
    sfr_wipe(p, each);
    if (each > LARGEST_SLOT) {
        munmap(p, each);
        return;
    }
    slot *s = p;
    sfr_lock_take(&arena_lock);
    s->next = free_slots[each / LINE];
    free_slots[each / LINE] = s;
    sfr_lock_drop(&arena_lock);
}
