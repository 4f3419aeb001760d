/* What the files of this library share: the row, the kernel table, the key, the locks.
 *
 * Kernels know rows and keys; they do not know headers, counters or windows.
 * Only aead/dispatch.c asks the CPU; only platform/arena.c asks the operating system. */
#ifndef SFR_INTERNAL_H
#define SFR_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sfr.h"

#if defined(__x86_64__) || defined(_M_X64)
#define SFR_X86 1
#endif

/* What every frame reads: it does not leave the library, so no access need go through a table. */
#define SFR_HIDDEN __attribute__((visibility("hidden")))
#define SFR_INLINE static inline __attribute__((always_inline))
#define SFR_LIKELY(x) __builtin_expect(!!(x), 1)
#define SFR_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- words: the library runs on little-endian machines (dispatch refuses others) ---- */

SFR_INLINE uint64_t sfr_load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
SFR_INLINE void sfr_store64(void *p, uint64_t v) { memcpy(p, &v, 8); }
SFR_INLINE uint32_t sfr_load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
SFR_INLINE void sfr_store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
SFR_INLINE uint64_t sfr_be64(uint64_t v) { return __builtin_bswap64(v); }
SFR_INLINE uint32_t sfr_be32(uint32_t v) { return __builtin_bswap32(v); }

/* x was read from memory that another thread may be writing to, and is used more than once. Without
 * this a compiler short of registers reads it again: what is opened would not be what was
 * authenticated. */
#define SFR_READ_ONCE(x) __asm__("" : "+r"(x))
#define SFR_READ_ONCE_VECTOR(x) __asm__("" : "+v"(x))

/* memset that the compiler may not drop. explicit_bzero is newer than manylinux2014's libc. */
void sfr_wipe(void *p, size_t size);

/* ---- suites in the kernels' words ---- */

/* Rows are bucketed by family: it fixes the number of AES rounds and the MAC. */
typedef enum sfr_family {
    SFR_GCM_128, SFR_GCM_256, SFR_CTR_HMAC_128, SFR_CTR_HMAC_256, SFR_FAMILIES
} sfr_family;

sfr_family sfr_suite_family(const sfr_suite *);

/* ---- the key: immutable once made, so a run needs no lock ---- */

struct sfr_ops;

typedef struct sfr_key {
    const struct sfr_ops *ops;
    uint32_t salt_head;            /* sframe_salt[0..4), memory order */
    uint64_t salt_tail;            /* sframe_salt[4..12), memory order */
    uint8_t tag_size;
    uint8_t ops_id;                /* names `ops`: rows with equal ids run together */
    _Alignas(64) uint8_t state[];  /* ops->state_size bytes, laid out by the kernel */
} sfr_key;

/* ---- the row: one frame as a kernel sees it ----
 * SFrame is one producer of rows; another format may bring its own nonce and AAD. */

typedef struct sfr_span { const uint8_t *data; size_t size; } sfr_span;

#define SFR_AAD_SPANS 3
#define SFR_GATHERED 64

typedef struct sfr_row {
    const sfr_key *key;
    /* nonce || 00000000, two words in memory order: kept as words so that a kernel's 8-byte
     * loads forward from the stores that made them. GCM's J0 is this with block number 1. */
    uint64_t block[2];
    /* The AAD, zero-padded, in the same form, if aad_size <= 16; else the kernel's to work with. */
    uint64_t aad_head[2];
    size_t aad_size;
    const uint8_t *in;
    uint8_t *out;                  /* == in, or disjoint from it */
    size_t size;                   /* of in and of out, without tag */
    union {
        uint8_t *write;            /* seal: key->tag_size bytes go here */
        const uint8_t *read;       /* open: key->tag_size bytes are here */
    } tag;
    int status;                    /* open: SFR_OK or SFR_AUTH_FAILED (then out is all zeros) */
    uint8_t ops_id;                /* copy of key->ops_id: bucketing never touches the key */
    /* Only where aad_size > 16: header, clear bytes, metadata, or all three in the first. */
    sfr_span aad[SFR_AAD_SPANS];
    uint64_t gathered[SFR_GATHERED / 8];   /* the producer's copy, to which aad[0] points */
} sfr_row;

/* ---- kernels ---- */

/* One family on one kernel. All rows of one call are of this family and kernel; keys, lengths
 * and AADs may differ from row to row; rows of like size class come together. Neither function
 * touches a byte outside the row's buffers; it reads each byte of `in` and of the tag once (GCM) or
 * takes a snapshot in `out` first (HMAC, unless in place), and leaves no secret on the stack or in
 * vector registers. */
typedef struct sfr_ops {
    size_t state_size;             /* bytes of sfr_key.state */
    size_t hot_offset, hot_size;   /* what of it a frame of up to 224 bytes reads: fetched early */
    void (*key_init)(void *state, const uint8_t *sframe_key);
    void (*seal)(sfr_row *const *rows, size_t count);
    void (*open)(sfr_row *const *rows, size_t count);
} sfr_ops;

/* Fetches what of a key a frame of `size` bytes reads. `like` are the operations of some other key,
 * likely its own, too: a wrong guess costs time only. */
SFR_INLINE void sfr_key_fetch(const sfr_key *key, const sfr_ops *like, size_t size)
{
    size_t end = like->hot_offset + like->hot_size;
    size_t at = (like->hot_offset + (size < 224 ? 224 - size : 0)) & ~(size_t)63;
    for (; at < end; at += 64) __builtin_prefetch(key->state + at);
}

struct sfr_kernel {
    const char *name;
    uint32_t needs;                /* SFR_CPU_... bits of its own: it needs those below it, too */
    const sfr_ops *ops[SFR_FAMILIES];   /* NULL in the table: the next narrower kernel's */
};

enum {
    SFR_CPU_AESNI = 1 << 0,        /* AES, PCLMULQDQ, SSSE3, SSE4.1 */
    SFR_CPU_VAES256 = 1 << 1,      /* VAES and VPCLMULQDQ, beside SFR_CPU_AVX2 */
    SFR_CPU_VAES512 = 1 << 2,      /* AVX-512 F, BW, DQ, VL as well, and ZMM state saved */
    SFR_CPU_SHANI = 1 << 3,
    SFR_CPU_SLOW_CLMUL = 1 << 4,   /* not what it can do: a 512-bit VPCLMULQDQ takes two cycles */
    SFR_CPU_AVX2 = 1 << 5          /* AVX2, BMI2, and YMM state saved: enough for hashes */
};

uint32_t sfr_cpu(void);            /* the bits above, after caps; 0 before sfr_init */

#ifdef SFR_X86
extern const sfr_ops sfr_gcm128_aesni, sfr_gcm256_aesni;
extern const sfr_ops sfr_gcm128_vaes256, sfr_gcm256_vaes256;
extern const sfr_ops sfr_gcm128_vaes512, sfr_gcm256_vaes512;
extern const sfr_ops sfr_ctr_hmac128_aesni, sfr_ctr_hmac256_aesni;
extern const sfr_ops sfr_ctr_hmac128_vaes256, sfr_ctr_hmac256_vaes256;
extern const sfr_ops sfr_ctr_hmac128_vaes512, sfr_ctr_hmac256_vaes512;
#endif

/* Frames of one class take the same number of 64-byte vectors, J0's block included: 40 bytes
 * is class 1, 160 class 3. Classes above 20 (1264 bytes) are one: SFR_CLASS_LONG. */
#define SFR_CLASS_LONG 21
#define SFR_CLASSES 22
SFR_INLINE size_t sfr_vectors(size_t size) { return (size + 16 + 63) / 64; }
SFR_INLINE unsigned sfr_size_class(size_t size)
{
    size_t vectors = sfr_vectors(size);
    return vectors < SFR_CLASS_LONG ? (unsigned)vectors : SFR_CLASS_LONG;
}

/* Moves the rows of the first one's label to `taken`. Returns how many they are; the others close
 * up. */
SFR_INLINE size_t sfr_take_like(sfr_row **rows, size_t count, sfr_row **taken,
                                size_t (*label)(const sfr_row *))
{
    const size_t first = label(rows[0]);
    size_t taking = 0, left = 0;
    for (size_t i = 0; i < count; i++) {
        sfr_row *row = rows[i];
        if (label(row) == first)
            taken[taking++] = row;
        else
            rows[left++] = row;
    }
    return taking;
}

/* Runs rows of any mix: buckets by (kernel, family, size class), then calls the kernels.
 * count <= SFR_CHUNK. Returns nothing: every opened row carries its status. */
#define SFR_CHUNK 64
void sfr_run(sfr_row *rows, size_t count, bool sealing);
/* Calls of an ops function with two rows or more, since the process began: for tests that
 * must see the interleaved path run. */
extern _Atomic uint64_t sfr_interleaved_calls;

int sfr_self_test(const sfr_kernel *);   /* 0, or the id of the suite that failed */

/* Constant-time comparison of `size` bytes; 1 when equal: RFC 9605 4.4.4 SHOULD. */
int sfr_equal(const uint8_t *a, const uint8_t *b, size_t size);

/* ---- hashes and key schedule ---- */

typedef struct sfr_sha256 { uint32_t h[8]; } sfr_sha256;      /* midstate only */
typedef struct sfr_sha512 { uint64_t h[8]; } sfr_sha512;

void sfr_sha256_blocks(sfr_sha256 *, const uint8_t *data, size_t blocks);   /* 64 bytes each */
void sfr_sha512_blocks(sfr_sha512 *, const uint8_t *data, size_t blocks);   /* 128 bytes each */

/* An HMAC key as the two midstates after its padded blocks. */
typedef struct sfr_hmac_key {
    union {
        struct { sfr_sha256 inner, outer; } s256;
        struct { sfr_sha512 inner, outer; } s512;
    } u;
} sfr_hmac_key;

void sfr_hmac_init(sfr_hmac_key *, int nh, const uint8_t *key, size_t size);   /* nh: 32 or 64 */
void sfr_hmac(const sfr_hmac_key *, int nh, const sfr_span *parts, size_t count, uint8_t *out);

#define SFR_MAX_NK 96
#define SFR_NN 12

struct sfr_secret {
    const sfr_suite *suite;
    sfr_hmac_key prk;              /* HMAC keyed with sframe_secret: all that Expand needs */
};

/* RFC 9605 4.4.2: sframe_key (suite->nk bytes) and sframe_salt for one KID. */
void sfr_derive(const sfr_secret *, uint64_t kid, uint8_t sframe_key[SFR_MAX_NK],
                uint8_t sframe_salt[SFR_NN]);

/* The whole key of one KID on one kernel, in memory of the arena: its owner lies in front of it,
 * so that both are found at once. fingerprint names (sframe_key, sframe_salt) under a secret of
 * this process: equal keys have equal ones. False without memory or randomness for that secret. */
size_t sfr_key_size(const sfr_suite *, const sfr_kernel *);
bool sfr_key_init(sfr_key *, const sfr_secret *, const sfr_kernel *, uint64_t kid,
                  uint8_t fingerprint[16]);

/* ---- arena: pages that are not in core dumps, locked best effort, wiped ---- */

extern SFR_HIDDEN _Atomic bool sfr_arena_is_large; /* what it holds has outgrown the L2 cache */
void *sfr_arena_alloc(size_t size);            /* zeroed, 64-byte aligned; NULL without memory */
void sfr_arena_free(void *, size_t size);      /* wipes */
int sfr_random(uint8_t *out, size_t size);     /* 0, or -1: the system has no randomness to give */

/* The process as fork sees it: a number that is another one in a forked child, however it was
 * forked. It lives in a page the kernel wipes on fork; where there is none the page reads 0
 * and the slow way asks getpid. */
extern SFR_HIDDEN const _Atomic uint32_t *sfr_generation_page;
uint32_t sfr_process_generation_slow(void);
SFR_INLINE uint32_t sfr_process_generation(void)
{
    uint32_t generation = atomic_load_explicit(sfr_generation_page, memory_order_relaxed);
    return SFR_LIKELY(generation) ? generation : sfr_process_generation_slow();
}

/* ---- locks ---- */

/* One word; the holder's process generation, 0 when free. Held for nanoseconds (never during
 * a long frame); a lock inherited through fork from a thread that is gone is taken over. */
typedef struct sfr_lock { _Atomic uint32_t word; } sfr_lock;

void sfr_lock_wait(sfr_lock *, uint32_t generation);
SFR_INLINE void sfr_lock_take(sfr_lock *lock)
{
    uint32_t free_word = 0, mine = sfr_process_generation();
    if (SFR_UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &lock->word, &free_word, mine, memory_order_acquire, memory_order_relaxed)))
        sfr_lock_wait(lock, mine);
}
SFR_INLINE void sfr_lock_drop(sfr_lock *lock)
{
    atomic_store_explicit(&lock->word, 0, memory_order_release);
}

/* The lock of one sender or receiver: none where callers are serialized. It saves a locked instruction,
 * 20 cycles for which all that follows waits. */
extern SFR_HIDDEN bool sfr_serialized;
SFR_INLINE void sfr_object_take(sfr_lock *lock)
{
    if (SFR_UNLIKELY(!sfr_serialized)) sfr_lock_take(lock);
}
SFR_INLINE void sfr_object_drop(sfr_lock *lock)
{
    if (SFR_UNLIKELY(!sfr_serialized)) sfr_lock_drop(lock);
}

/* Batches run without locks. A run reads keys between enter and leave; who unlinks a key waits
 * in synchronize until every run that might have seen it has left, then wipes it. */
unsigned sfr_read_enter(void);
void sfr_read_leave(unsigned ticket);
/* The same for what begins and ends within one serialized call: there nobody else can unlink a key. */
SFR_INLINE unsigned sfr_object_read_enter(void)
{
    return SFR_LIKELY(sfr_serialized) ? 0 : sfr_read_enter();
}
SFR_INLINE void sfr_object_read_leave(unsigned ticket)
{
    if (SFR_UNLIKELY(!sfr_serialized)) sfr_read_leave(ticket);
}
void sfr_read_synchronize(void);

#endif
