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
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

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

static state_page unwiped_page; /* where the kernel cannot wipe, its generation stays 0 */
static state_page *page;        /* NULL there */
static _Atomic uint32_t generations, page_state;

const _Atomic uint32_t *sfr_generation_page = &unwiped_page.generation;

static void *map_anonymous(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* qemu-user answers "done" to any advice; a real kernel refuses advice -1. */
static bool wipe_on_fork(void *p, size_t size)
{
    return madvise(p, size, -1) != 0 && madvise(p, size, MADV_WIPEONFORK) == 0;
}

/* ---- the process, where the kernel wipes no page ----
 * Each look then takes a system call (about 400 ns), and the first one in a new process makes a
 * record for it. A fork through libc drops the record. Any other fork shows in a timer that never
 * rings: a child has none of its parent's timers, and the interval tells ours from others. A
 * process id alone does not tell: it is given again, and is 1 in every namespace. */

typedef struct process {
    state_page page;
    uint32_t generation;
    int timer;
    uint64_t interval; /* in nanoseconds; 0: no timer was to be had, and the process id must do */
    long pid;
} process;

static process *_Atomic unwiped;
static process without_memory = {.generation = UINT32_MAX}; /* no sender is of this generation */

static void forget_process(void)
{
    atomic_store(&unwiped, NULL);
}

static uint64_t interval_of(int timer)
{
    struct itimerspec set = {0};
    if (syscall(SYS_timer_gettime, timer, &set) != 0) return 0;
    return (uint64_t)set.it_interval.tv_sec * 1000000000u + (uint64_t)set.it_interval.tv_nsec;
}

/* Two years or more, to the random nanosecond. */
static void set_timer(process *p)
{
    struct sigevent quiet = {.sigev_notify = SIGEV_NONE};
    uint64_t interval = 0;
    if (sfr_random((uint8_t *)&interval, 6) ||
        syscall(SYS_timer_create, CLOCK_MONOTONIC, &quiet, &p->timer))
        return;
    interval += (uint64_t)1 << 56;
    struct timespec time = {(time_t)(interval / 1000000000u), (long)(interval % 1000000000u)};
    struct itimerspec setting = {time, time};
    if (!syscall(SYS_timer_settime, p->timer, 0, &setting, NULL) &&
        interval_of(p->timer) == interval)
        p->interval = interval;
    else
        syscall(SYS_timer_delete, p->timer);
}

static bool is_this_one(const process *p)
{
    if (!p) return false;
    return p->interval ? interval_of(p->timer) == p->interval : p->pid == (long)getpid();
}

/* A record that lost the race to be the first is left: another thread may be looking at it. */
static process *this_process(void)
{
    process *before = atomic_load(&unwiped), *fresh;
    if (is_this_one(before)) return before;
    if (!(fresh = map_anonymous(sizeof *fresh))) return &without_memory;
    fresh->pid = (long)getpid();
    fresh->generation = atomic_fetch_add(&generations, 1) + 1;
    set_timer(fresh);
    return atomic_compare_exchange_strong(&unwiped, &before, fresh) ? fresh : before;
}

static void make_page(void)
{
    void *p = map_anonymous(sizeof(state_page));
    if (p && wipe_on_fork(p, sizeof(state_page))) {
        page = p;
        sfr_generation_page = &page->generation;
        return;
    }
    if (p) munmap(p, sizeof(state_page));
    (void)pthread_atfork(NULL, NULL, forget_process);
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

uint32_t sfr_process_generation_slow(void)
{
    make_page_once();
    if (!page) return this_process()->generation;
    uint32_t none = 0, fresh = atomic_fetch_add(&generations, 1) + 1;
    return atomic_compare_exchange_strong(&page->generation, &none, fresh) ? fresh : none;
}

static state_page *state(void)
{
    return page ? page : &this_process()->page;
}

/* ---- locks ---- */

bool sfr_serialized;

void sfr_serialize_callers(void)
{
    sfr_serialized = true;
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

unsigned sfr_read_enter(void)
{
    state_page *now = state();
    unsigned ticket = atomic_load(&now->parity) & 1;
    atomic_fetch_add(&now->runs[ticket], 1);
    return ticket;
}

void sfr_read_leave(unsigned ticket)
{
    atomic_fetch_sub_explicit(&state()->runs[ticket], 1, memory_order_release);
}

static void wait_for_runs(const state_page *now, unsigned parity)
{
    for (unsigned turn = 0; atomic_load(&now->runs[parity]) != 0; turn++) wait_a_little(turn);
}

void sfr_read_synchronize(void)
{
    state_page *now = state();
    atomic_thread_fence(memory_order_seq_cst);
    sfr_lock_take(&now->synchronizing);
    unsigned parity = atomic_load(&now->parity) & 1;
    wait_for_runs(now, parity ^ 1);
    atomic_store(&now->parity, parity ^ 1);
    wait_for_runs(now, parity);
    sfr_lock_drop(&now->synchronizing);
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

static _Atomic size_t unlocked, dumped;

/* Best effort, and whoever asks is told: RLIMIT_MEMLOCK is often 8 MiB. */
static void *keep_to_ourselves(void *p, size_t size)
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
