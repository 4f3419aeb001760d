/* Memory straight from the operating system. This is the only file that asks for any.
 *
 * Rule: a secret's page that the system did not lock, or did not exclude from core dumps, is
 *       counted and reported, never ignored. The limit on locked memory (RLIMIT_MEMLOCK, the working
 *       set on Windows) is often a few MiB, and neither macOS nor Windows can exclude a page from a
 *       dump.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "platform/pages.h"

#include "sfr_keys.h"

static _Atomic size_t unlocked, dumped;

size_t sfr_memory_unlocked(void)
{
    return atomic_load_explicit(&unlocked, memory_order_relaxed);
}

size_t sfr_memory_dumped(void)
{
    return atomic_load_explicit(&dumped, memory_order_relaxed);
}

/* ---- each system: map, unmap, lock, exclude from dumps; false if it could not ---- */

#ifdef _WIN32
#include <windows.h>

void *sfr_map_pages(size_t size)
{
    return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void sfr_unmap_pages(void *p, size_t size)
{
    (void)size;
    (void)VirtualFree(p, 0, MEM_RELEASE);
}

static bool lock_pages(void *p, size_t size)
{
    return VirtualLock(p, size) != 0;
}
#else
#include <sys/mman.h>

void *sfr_map_pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void sfr_unmap_pages(void *p, size_t size)
{
    munmap(p, size);
}

static bool lock_pages(void *p, size_t size)
{
    return mlock(p, size) == 0;
}
#endif

#ifdef __linux__
#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif
#ifndef MADV_HUGEPAGE
#define MADV_HUGEPAGE 14
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static bool keep_out_of_dumps(void *p, size_t size)
{
    return madvise(p, size, MADV_DONTDUMP) == 0;
}

/* Maps twice the size, so that an aligned part can be kept, and returns the rest. */
static void *map_huge_page(void)
{
    uint8_t *p = sfr_map_pages(2 * SFR_HUGE_PAGE);
    if (!p) return NULL;
    size_t before = -(uintptr_t)p & (SFR_HUGE_PAGE - 1);
    if (before) munmap(p, before);
    munmap(p + before + SFR_HUGE_PAGE, SFR_HUGE_PAGE - before);
    (void)madvise(p + before, SFR_HUGE_PAGE, MADV_HUGEPAGE);
    return p + before;
}

/* qemu-user accepts any advice and ignores it; a real kernel refuses advice -1. */
static bool wipe_on_fork(void *p, size_t size)
{
    return madvise(p, size, -1) != 0 && madvise(p, size, MADV_WIPEONFORK) == 0;
}
#else
static bool keep_out_of_dumps(void *p, size_t size)
{
    (void)p, (void)size;
    return false;
}

static void *map_huge_page(void)
{
    return sfr_map_pages(SFR_HUGE_PAGE);
}

static bool wipe_on_fork(void *p, size_t size)
{
    (void)p, (void)size;
    return false;
}
#endif

/* ---- all systems ---- */

static void *keep_private(void *p, size_t size)
{
    if (!p) return NULL;
    if (!keep_out_of_dumps(p, size)) atomic_fetch_add(&dumped, size);
    if (!lock_pages(p, size)) atomic_fetch_add(&unlocked, size);
    return p;
}

void *sfr_map_private(size_t size)
{
    return keep_private(sfr_map_pages(size), size);
}

void *sfr_map_private_huge(void)
{
    return keep_private(map_huge_page(), SFR_HUGE_PAGE);
}

void *sfr_map_wiped_on_fork(size_t size)
{
    void *p = sfr_map_pages(size);
    if (!p || wipe_on_fork(p, size)) return p;
    sfr_unmap_pages(p, size);
    return NULL;
}
