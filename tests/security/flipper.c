/* A thread that changes bytes while another reads them. It is no Python thread and waits for no
 * lock, so it runs during whatever the other calls. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

static struct {
    uint8_t *data;
    size_t size;
    uint64_t random;
    _Atomic uint64_t flips;
    atomic_bool stop;
    pthread_t thread;
} flipper;

static uint64_t next_random(void)
{
    uint64_t x = flipper.random; /* xorshift64 */
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return flipper.random = x;
}

static void wait_about(uint64_t turns)
{
    for (volatile uint64_t i = 0; i < turns; i++) continue;
}

/* One byte is wrong for a while, then right for a while; then another. Plain stores would wait in
 * the store buffer and be seen both at once. */
static void *flip(void *unused)
{
    while (!atomic_load_explicit(&flipper.stop, memory_order_relaxed)) {
        uint64_t random = next_random();
        uint8_t *byte = flipper.data + (random >> 16) % flipper.size;
        uint8_t mask = (uint8_t)(1u << (random & 7));
        __atomic_fetch_xor(byte, mask, __ATOMIC_SEQ_CST);
        wait_about(random >> 8 & 63);
        __atomic_fetch_xor(byte, mask, __ATOMIC_SEQ_CST);
        wait_about(random >> 14 & 255);
        atomic_fetch_add_explicit(&flipper.flips, 1, memory_order_relaxed);
    }
    return unused;
}

/* On a CPU of its own: beside the reader and not in turns with it. */
int flipper_start(uint8_t *data, size_t size, uint64_t seed, int cpu)
{
    cpu_set_t cpus;
    pthread_attr_t attributes;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus);
    flipper.data = data;
    flipper.size = size;
    flipper.random = seed | 1;
    atomic_store(&flipper.flips, 0);
    atomic_store(&flipper.stop, false);
    return pthread_create(&flipper.thread, &attributes, flip, NULL);
}

uint64_t flipper_flips(void)
{
    return atomic_load_explicit(&flipper.flips, memory_order_relaxed);
}

/* The data are as they were. */
void flipper_stop(void)
{
    atomic_store(&flipper.stop, true);
    pthread_join(flipper.thread, NULL);
}
