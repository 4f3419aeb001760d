/* Memory for keys, and the other things only the operating system can give.
 *
 * Rule 1: secrets live in these pages and nowhere else. The pages are left out of core dumps,
 *         locked in memory as far as the limits allow, and a slot is wiped when it is freed.
 * Rule 2: after fork, whatever a vanished thread held is void: the state page below is wiped by
 *         the kernel, so a child starts with no runs under way and another process generation.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sfr_internal.h"

#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif
#ifndef MADV_HUGEPAGE
#define MADV_HUGEPAGE 14
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

void sfr_wipe(void *p, size_t size)
{
    memset(p, 0, size);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

int sfr_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint8_t differing = 0;
    for (size_t i = 0; i < size; i++) differing |= (uint8_t)(a[i] ^ b[i]);
    return (int)(((uint32_t)differing - 1) >> 31);
}

/* ---- randomness ---- */

static int read_urandom(uint8_t *out, size_t size)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    while (size) {
        ssize_t got = read(fd, out, size);
        if (got <= 0 && errno != EINTR) break;
        if (got > 0) out += got, size -= (size_t)got;
    }
    close(fd);
    return size ? -1 : 0;
}

int sfr_random(uint8_t *out, size_t size)
{
    while (size) {
        /* The system call, not its wrapper: glibc has had that only since 2.25. */
        long got = syscall(SYS_getrandom, out, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return read_urandom(out, size);
        out += got, size -= (size_t)got;
    }
    return 0;
}

/* ---- the state page: what must not survive a fork ---- */

typedef struct state_page {
    _Atomic uint32_t generation; /* 0: not given yet, in this process */
    _Atomic uint32_t parity;     /* which of `runs` newcomers count in */
    _Atomic uint64_t runs[2];
    sfr_lock synchronizing;
} state_page;

static state_page plain_page; /* used where the kernel cannot wipe: see forked_plainly */
static state_page *page = &plain_page;
static bool page_is_wiped_on_fork;
static _Atomic uint32_t generations, page_state;
static _Atomic long plain_pid;

const _Atomic uint32_t *sfr_generation_page = &plain_page.generation;

/* qemu-user answers "done" to any advice; a real kernel refuses advice -1. */
static bool wipe_on_fork(void *p, size_t size)
{
    return madvise(p, size, -1) != 0 && madvise(p, size, MADV_WIPEONFORK) == 0;
}

static void make_page(void)
{
    void *p =
        mmap(NULL, sizeof(state_page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return;
    if (!wipe_on_fork(p, sizeof(state_page))) {
        munmap(p, sizeof(state_page));
        return;
    }
    page_is_wiped_on_fork = true;
    page = p;
    sfr_generation_page = &page->generation;
}

static void make_page_once(void)
{
    uint32_t untouched = 0;
    if (atomic_compare_exchange_strong(&page_state, &untouched, 1)) {
        make_page();
        atomic_store(&page_state, 2);
    }
    while (atomic_load(&page_state) != 2) sched_yield();
}

/* Without a wiped page every call asks for the pid (about 120 ns), and the first one after a
 * fork clears what the page would have lost. */
static uint32_t forked_plainly(void)
{
    long before = atomic_load(&plain_pid), now = (long)getpid();
    if (before != now && atomic_compare_exchange_strong(&plain_pid, &before, now)) {
        atomic_store(&plain_page.runs[0], 0);
        atomic_store(&plain_page.runs[1], 0);
        atomic_store(&plain_page.synchronizing.word, 0);
        atomic_fetch_add(&generations, 1);
    }
    return atomic_load(&generations);
}

uint32_t sfr_process_generation_slow(void)
{
    make_page_once();
    if (!page_is_wiped_on_fork) return forked_plainly();
    uint32_t none = 0, fresh = atomic_fetch_add(&generations, 1) + 1;
    return atomic_compare_exchange_strong(&page->generation, &none, fresh) ? fresh : none;
}

/* ---- locks ---- */

bool sfr_turns;

void sfr_callers_take_turns(void)
{
    sfr_turns = true;
}

static void wait_a_little(unsigned turn)
{
    if (turn < 64) {
#ifdef SFR_X86
        __builtin_ia32_pause();
#endif
    } else if (turn < 96) {
        sched_yield();
    } else {
        struct timespec pause = {0, 20000};
        nanosleep(&pause, NULL);
    }
}

void sfr_lock_wait(sfr_lock *lock, uint32_t generation)
{
    for (unsigned turn = 0;; turn++) {
        uint32_t holder = atomic_load_explicit(&lock->word, memory_order_relaxed);
        /* A holder of another generation was a thread of the process we were forked from. */
        if (holder != generation &&
            atomic_compare_exchange_strong_explicit(&lock->word, &holder, generation,
                                                    memory_order_acquire, memory_order_relaxed))
            return;
        wait_a_little(turn);
    }
}

/* ---- runs: who unlinks a key waits for every run that may have seen it ----
 * Newcomers count themselves under the current parity. Synchronize turns the parity and waits
 * for both counts to have been zero since the unlinking, so newcomers cannot starve it. */

unsigned sfr_run_enter(void)
{
    unsigned ticket = atomic_load(&page->parity) & 1;
    atomic_fetch_add(&page->runs[ticket], 1);
    return ticket;
}

void sfr_run_leave(unsigned ticket)
{
    atomic_fetch_sub_explicit(&page->runs[ticket], 1, memory_order_release);
}

static void wait_for_runs(unsigned parity)
{
    for (unsigned turn = 0; atomic_load(&page->runs[parity]) != 0; turn++) wait_a_little(turn);
}

void sfr_run_synchronize(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    sfr_lock_take(&page->synchronizing);
    unsigned now = atomic_load(&page->parity) & 1;
    wait_for_runs(now ^ 1);
    atomic_store(&page->parity, now ^ 1);
    wait_for_runs(now);
    sfr_lock_drop(&page->synchronizing);
}

/* ---- slots ---- */

#define LINE 64
#define SLAB ((size_t)64 << 10)
#define HUGE_PAGE ((size_t)2 << 20)
#define SMALL_SLABS 32 /* then huge pages: who has thousands of keys misses the TLB less */
#define LARGEST_SLOT ((size_t)4096)

/* A free slot is all zeros but for its first word, the next free slot. */
typedef struct slot {
    struct slot *next;
} slot;

static slot *free_slots[LARGEST_SLOT / LINE + 1];
static size_t slabs;
_Atomic bool sfr_arena_is_large;
static sfr_lock arena_lock;

static void *map_anonymous(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void *keep_to_ourselves(void *p, size_t size)
{
    if (!p) return NULL;
    (void)madvise(p, size, MADV_DONTDUMP);
    (void)mlock(p, size); /* best effort: RLIMIT_MEMLOCK is often 8 MiB */
    return p;
}

static void *map_pages(size_t size)
{
    return keep_to_ourselves(map_anonymous(size), size);
}

/* Of twice its size, so that it can be aligned; what is over goes back. */
static void *map_huge_page(void)
{
    uint8_t *p = map_anonymous(2 * HUGE_PAGE);
    if (!p) return NULL;
    size_t before = -(uintptr_t)p & (HUGE_PAGE - 1);
    if (before) munmap(p, before);
    munmap(p + before + HUGE_PAGE, HUGE_PAGE - before);
    (void)madvise(p + before, HUGE_PAGE, MADV_HUGEPAGE);
    return keep_to_ourselves(p + before, HUGE_PAGE);
}

static size_t slot_size(size_t size)
{
    return (size + LINE - 1) / LINE * LINE;
}

static slot *cut_slab(size_t each)
{
    size_t size = slabs < SMALL_SLABS ? SLAB : HUGE_PAGE;
    uint8_t *slab = size == SLAB ? map_pages(SLAB) : map_huge_page();
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
    if (each > LARGEST_SLOT) return map_pages(each);
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
