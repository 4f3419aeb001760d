/* What memory costs: a chain of pointers, one in each cache line, in random order.
 *
 * chain_new makes one of `lines` lines on huge pages, where the library's own keys lie when there
 * are thousands; chain_walk follows `steps` of its pointers, each of which must arrive before the
 * next can be asked for, and says where it stands. */
#define _DEFAULT_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

typedef union line {
    union line *next;
    size_t order;
    uint8_t bytes[64];
} line;

/* One cycle through all lines (Sattolo). */
static void shuffle(line *lines, size_t count)
{
    uint64_t state = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < count; i++) lines[i].order = i;
    for (size_t i = count - 1; i; i--) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        size_t j = state % i, kept = lines[i].order;
        lines[i].order = lines[j].order;
        lines[j].order = kept;
    }
    for (size_t i = 0; i < count; i++) lines[i].next = lines + lines[i].order;
}

void *chain_new(size_t count)
{
    size_t size = count * sizeof(line) + HUGE_PAGE;
    uint8_t *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return NULL;
    line *lines = (line *)(found + (-(uintptr_t)found & (HUGE_PAGE - 1)));
    madvise(found, size, MADV_HUGEPAGE);
    shuffle(lines, count);
    return lines;
}

void *chain_walk(void *at, size_t steps)
{
    const line *here = at;
    while (steps--) here = here->next;
    return (void *)here;
}
