/* The receiver: keys, found by KID, each with its window and the headers it expects.
 *
 *     life, keys       frame/keyring.c
 *     unknown KIDs     frame/reach.c, frame/strangers.c, frame/trail.c
 *     parse, resolve   frame/parse.h
 *     judge, commit    frame/window.h, frame/commit.h, frame/commit.c
 *     one frame        frame/receiver.c
 *     batches          frame/receiver_batch.c, frame/receiver_columns.c
 */
#ifndef SFR_RECEIVER_H
#define SFR_RECEIVER_H

#include "formats/mark.h"

/* The counters of a KID's refused frames. A sender's counters rise in small steps; clear media read
 * as headers gives counters that stand still or jump. Two senders may share a KID, and a sender may
 * restart, so several runs are followed. */
#define TRAIL_RUNS 4
typedef struct trail {
    uint32_t top[TRAIL_RUNS]; /* low bits of each run's highest counter, the latest run first */
    uint8_t runs, late;       /* their number; consecutive frames that were behind their run */
} trail;

struct stranger {
    uint64_t kid, frames, advanced;
    uint64_t latest; /* the number, among all unknown frames, of its last one */
    trail unknown;
};

/* A frame touches the first cache line and its bit in the window. */
typedef struct rx_key {
    uint64_t kid;
    /* The headers to expect: see sfr_prediction. */
    uint64_t head, ctr_mask;
    uint64_t top; /* highest CTR opened */
    uint64_t opened;
    sfr_key_summary summary;
    uint8_t mark_size, ctr_at, ctr_bits, first_byte;
    union {
        struct {
            bool any;     /* a frame was opened: top is valid */
            uint8_t kind; /* SFR_KEY_GIVEN, SFR_KEY_AHEAD or SFR_KEY_ASKED */
            bool closed, removed;
        };
        uint32_t flags; /* all four of them: RX_FLOWING for most keys */
    };
    /* The second line. */
    uint64_t auth_failed, replayed, too_old;
    bool confirmed;
    trail refused; /* of its refused frames */
    uint64_t advanced;
    uint64_t born; /* its order of arrival, from 1 */
    uint8_t fingerprint[16];
    struct rx_key *next; /* the one asked for after this one, or confirmed before it */
    uint64_t seen[];     /* ring of bits, one per CTR of the window */
} rx_key;

_Static_assert(offsetof(rx_key, auth_failed) == 64, "what a frame touches is one cache line");

/* Given or confirmed, with a frame opened, neither closed nor removed. */
#define RX_FLOWING (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1u : 1u << 24)
_Static_assert(SFR_KEY_GIVEN == 0 && offsetof(rx_key, any) == offsetof(rx_key, flags),
               "RX_FLOWING is `any` alone");

/* A hash table with open addressing over pointers. Batches read it without a lock, so a slot only
 * ever goes EMPTY -> key -> GONE -> key, and a full table is replaced. */
typedef struct ring {
    rx_key *_Atomic *slots;
    uint32_t mask, taken; /* taken: slots not EMPTY */
} ring;

#define INLINE_SLOTS 4
#define ALLOWANCE 64             /* burst of derivations for KIDs that share */
#define FRAMES_PER_ALLOWANCE 256 /* frames opened that earn one more */
#define ROUND 97                 /* frames until any KID is served: see frame/reach.c */

/* Failures after which a key with a 4-byte tag closes itself: 2^12 tries leave a forger 2^-20. */
#define SHORT_TAG 4
#define SHORT_TAG_FAILURES 4096

/* The first cache line is all that a frame under the recent key touches. */
struct sfr_receiver {
    sfr_lock lock;
    uint8_t tag_size;
    bool strict, closed;
    uint8_t seen; /* frames opened, modulo FRAMES_PER_ALLOWANCE */
    ring *_Atomic keys;
    rx_key *_Atomic recent;       /* found last: for most receivers it is found again */
    uint32_t window, window_bits; /* frames, 0: no window; bits of the ring, a power of two */
    uint32_t max_frame;
    uint32_t key_at; /* bytes from an rx_key to its key */
    uint8_t allowance; /* at most ALLOWANCE */
    bool deferring;    /* unknown KIDs are left to the caller: sfr_receiver_defer */
    _Atomic uint32_t pending; /* how many are unreported */
    const sfr_suite *suite;
    const sfr_kernel *kernel;
    uint32_t count, asked;
    rx_key *asked_first, *asked_last; /* keys asked for, in the order they came */
    rx_key *unreported;               /* keys confirmed, and not fetched yet */
    uint64_t births, malformed, unknown;
    struct stranger *strangers;  /* SFR_UNKNOWN_TRACKED of them, once there is one */
    struct sfr_reaches *reaches; /* NULL until there is one */
    struct sfr_shares *shares;   /* NULL until KIDs have to wait, or failures to be remembered */
    ring first;                  /* most receivers have a key or two: these need no table */
    rx_key *_Atomic first_slots[INLINE_SLOTS];
};

_Static_assert(sizeof(struct sfr_receiver) <= 192, "three cache lines");
_Static_assert(FRAMES_PER_ALLOWANCE == 256, "`seen` counts them in a byte");

rx_key *sfr_ring_find(ring *, uint64_t kid);   /* NULL: none */
void sfr_asked_drop(sfr_receiver *, rx_key *); /* takes it off the list of SFR_KEY_ASKED */

bool sfr_trail_follow(trail *, uint64_t ctr); /* whether this counter continues one before */

/* With the lock held. */
void sfr_note_stranger(sfr_receiver *, uint64_t kid, uint64_t ctr);
int sfr_unknown(sfr_receiver *, uint64_t kid, uint64_t ctr); /* the status of such a frame */
/* Failures of a key with a 4-byte tag outlive a key that makes room. */
void sfr_reach_forget(sfr_receiver *, uint64_t group);
bool sfr_failures_save(sfr_receiver *, const rx_key *); /* false: no memory */
void sfr_failures_restore(const sfr_receiver *, rx_key *);
void sfr_reaches_free(sfr_receiver *);

SFR_INLINE rx_key *find(sfr_receiver *r, uint64_t kid)
{
    rx_key *recent = atomic_load_explicit(&r->recent, memory_order_acquire);
    if (SFR_LIKELY(recent && recent->kid == kid)) return recent;
    return sfr_ring_find(atomic_load_explicit(&r->keys, memory_order_acquire), kid);
}

/* The key lies behind its window, in the same slot of the arena. */
SFR_INLINE const sfr_key *key_of(const sfr_receiver *r, const rx_key *k)
{
    return (const sfr_key *)(const void *)((const uint8_t *)k + r->key_at);
}

#endif
