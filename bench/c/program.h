/* What both programs of this folder do alike: complain, read lists, draw contents, take the time, find
 * our kernels. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

enum { MAX_LIST = 32 };

static void die(const char *what, const char *value)
{
    fprintf(stderr, PROGRAM ": %s: %s\n", what, value);
    exit(1);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void fill_random(uint8_t *out, size_t size)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < size; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        out[i] = (uint8_t)(state >> 32);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void read_list(size_t *list, char *text)
{
    size_t n = 0;
    for (char *word = strtok(text, ","); word && n < MAX_LIST - 1; word = strtok(NULL, ","))
        list[n++] = strtoul(word, NULL, 10);
    list[n] = 0;
}

/* The place of the first kernel from `at` on that this CPU runs; sfr_kernel_count() after the last. */
static size_t next_ready(size_t at)
{
    sfr_init(NULL); /* finds what the CPU has, and is slow at */
    while (at < sfr_kernel_count() && sfr_kernel_state(sfr_kernel_at(at)) != SFR_KERNEL_READY) at++;
    return at;
}

#endif
