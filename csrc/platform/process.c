/* Noticing a fork, however it was made.
 *
 * Rule: after a fork, whatever threads of the parent held is void. The state of a process is wiped
 *       on fork, so a child starts with no runs under way and a new process generation.
 *
 * Since 4.14, Linux wipes a page on fork when asked to (MADV_WIPEONFORK); reading the generation is
 * then one load. Where the kernel cannot wipe, each check takes a system call (about 400 ns), and
 * the first check in a new process makes a record of that process. A fork through libc drops the
 * record. Any other fork is detected by a timer that never fires: a child inherits no timers, and a
 * random interval tells our timer from others. The process id alone does not suffice, because ids
 * are reused and every namespace has a process 1.
 *
 * macOS has neither wiped pages nor such timers. There, a fork through libc drops the record and
 * any other shows in the process id; programs do not fork without libc. Windows has no fork.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "platform/process.h"

#ifdef _WIN32
static sfr_process_state only = {.generation = 1};

const _Atomic uint32_t *_Atomic sfr_generation_page = &only.generation;

uint32_t sfr_process_generation_slow(void)
{
    return 1;
}

sfr_process_state *sfr_this_process(void)
{
    return &only;
}
#else
#include <pthread.h>
#include <unistd.h>

#include "platform/pages.h"

static sfr_process_state unwiped_page;  /* where the kernel cannot wipe; its generation stays 0 */
static sfr_process_state *_Atomic page; /* that one there; NULL before anyone has looked */
static _Atomic uint32_t generations;

const _Atomic uint32_t *_Atomic sfr_generation_page = &unwiped_page.generation;

/* ---- where the kernel wipes no page ---- */

typedef struct process {
    sfr_process_state state;
    uint32_t generation;
    int timer;
    uint64_t interval; /* in nanoseconds; 0: there is no timer, so the pid decides */
    long pid;
} process;

static process *_Atomic unwiped;
static process without_memory = {.generation = UINT32_MAX}; /* no sender is of this generation */

static void forget_process(void)
{
    atomic_store(&unwiped, NULL);
}

#ifdef __linux__
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "platform/random.h"

static uint64_t interval_of(int timer)
{
    struct itimerspec set = {0};
    if (syscall(SYS_timer_gettime, timer, &set) != 0) return 0;
    return (uint64_t)set.it_interval.tv_sec * 1000000000u + (uint64_t)set.it_interval.tv_nsec;
}

/* The interval is two years or more, random to the nanosecond. */
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
#else
static uint64_t interval_of(int timer)
{
    (void)timer;
    return 0;
}

static void set_timer(process *p)
{
    (void)p; /* its interval stays 0 */
}
#endif

static bool is_this_one(const process *p)
{
    if (!p) return false;
    return p->interval ? interval_of(p->timer) == p->interval : p->pid == (long)getpid();
}

/* A record that lost the race to be the first is leaked: another thread may be looking at it. */
static process *this_process(void)
{
    process *before = atomic_load(&unwiped), *fresh;
    if (is_this_one(before)) return before;
    if (!(fresh = sfr_map_pages(sizeof *fresh))) return &without_memory;
    fresh->pid = (long)getpid();
    fresh->generation = atomic_fetch_add(&generations, 1) + 1;
    set_timer(fresh);
    return atomic_compare_exchange_strong(&unwiped, &before, fresh) ? fresh : before;
}

/* ---- where the kernel wipes a page ---- */

/* Nobody waits here for another thread, which a child that was forked meanwhile would not have:
 * whoever comes makes a page, and the first one stays. */
static sfr_process_state *make_page(void)
{
    sfr_process_state *none = NULL, *fresh = sfr_map_wiped_on_fork(sizeof *fresh);
    if (!fresh) (void)pthread_atfork(NULL, NULL, forget_process);
    if (atomic_compare_exchange_strong(&page, &none, fresh ? fresh : &unwiped_page))
        return atomic_load(&page);
    if (fresh) sfr_unmap_pages(fresh, sizeof *fresh);
    return none;
}

static sfr_process_state *the_page(void)
{
    sfr_process_state *made = atomic_load(&page);
    return SFR_LIKELY(made != NULL) ? made : make_page();
}

uint32_t sfr_process_generation_slow(void)
{
    sfr_process_state *mine = the_page();
    if (mine == &unwiped_page) return this_process()->generation;
    uint32_t none = 0, fresh = atomic_fetch_add(&generations, 1) + 1;
    uint32_t now = atomic_compare_exchange_strong(&mine->generation, &none, fresh) ? fresh : none;
    atomic_store(&sfr_generation_page, &mine->generation);
    return now;
}

sfr_process_state *sfr_this_process(void)
{
    sfr_process_state *mine = the_page();
    return mine == &unwiped_page ? &this_process()->state : mine;
}
#endif
