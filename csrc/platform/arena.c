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
#include "platform/arena.h"

#include "platform/locks.h"
#include "platform/pages.h"
#include "platform/secrets.h"

#define LINE 64
#define SLAB ((size_t)64 << 10)
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

static size_t slot_size(size_t size)
{
    return (size + LINE - 1) / LINE * LINE;
}

static slot *cut_slab(size_t each)
{
    size_t size = slabs < SMALL_SLABS ? SLAB : SFR_HUGE_PAGE;
    uint8_t *slab = size == SLAB ? sfr_map_private(SLAB) : sfr_map_private_huge();
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
    if (each > LARGEST_SLOT) return sfr_map_private(each);
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
        sfr_unmap_pages(p, each);
        return;
    }
    slot *s = p;
    sfr_lock_take(&arena_lock);
    s->next = free_slots[each / LINE];
    free_slots[each / LINE] = s;
    sfr_lock_drop(&arena_lock);
}
