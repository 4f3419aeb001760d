/* The words every file uses: compiler hints, and integers as they lie in memory.
 *
 * The library runs on little-endian machines; aead/dispatch.c refuses all others. */
#ifndef SFR_WORDS_H
#define SFR_WORDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#define SFR_X86 1
#elif defined(__aarch64__) || defined(_M_ARM64)
#define SFR_ARM64 1
#endif

/* Hidden data that every frame reads: inside the library no access needs to go through a table. */
#define SFR_HIDDEN __attribute__((visibility("hidden")))
#define SFR_INLINE static inline __attribute__((always_inline))
#define SFR_LIKELY(x) __builtin_expect(!!(x), 1)
#define SFR_UNLIKELY(x) __builtin_expect(!!(x), 0)

SFR_INLINE uint64_t sfr_load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
SFR_INLINE void sfr_store64(void *p, uint64_t v) { memcpy(p, &v, 8); }
SFR_INLINE uint32_t sfr_load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
SFR_INLINE void sfr_store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
SFR_INLINE uint64_t sfr_be64(uint64_t v) { return __builtin_bswap64(v); }
SFR_INLINE uint32_t sfr_be32(uint32_t v) { return __builtin_bswap32(v); }

/* x was read from memory that another thread may be writing, and is used more than once. Without
 * this barrier a compiler short of registers may read it again, and the bytes that are opened would
 * not be the bytes that were authenticated. */
#define SFR_READ_ONCE(x) __asm__("" : "+r"(x))
#ifdef SFR_ARM64
#define SFR_READ_ONCE_VECTOR(x) __asm__("" : "+w"(x))
#else
#define SFR_READ_ONCE_VECTOR(x) __asm__("" : "+v"(x))
#endif

typedef struct sfr_span { const uint8_t *data; size_t size; } sfr_span;

#endif
