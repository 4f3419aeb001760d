/* The sender: a key, its counters and its meter.
 *
 *     counters   sfr_sender_take, sfr_sender_extend    frame/counters.c
 *     life       sfr_sender_new .. sfr_sender_free     frame/sender_life.c
 *     one frame  reserve -> seal                       frame/sender.c
 *     batches    the same, row by row                  frame/sender_batch.c, frame/sender_columns.c
 */
#ifndef SFR_SENDER_H
#define SFR_SENDER_H

#include "formats/mark.h"

/* q + s <= 2^36 blocks keeps GCM's advantage below 2^-57: draft-irtf-cfrg-aead-limits. */
#define KEY_BUDGET ((uint64_t)1 << 36)

typedef struct range {
    uint64_t first, last;
} range;

/* The first cache line is all that a frame touches. */
struct sfr_sender {
    uint32_t ready; /* the process generation while there are a key and counters for it; else 0 */
    uint32_t salt_head; /* of the key's, a copy: see sfr_key_summary */
    uint64_t salt_tail;
    /* Counters next..same are leased, unless spent, and their marks are alike. Written with the
     * lock held, read also without it. */
    _Atomic uint64_t next, same;
    uint64_t blocks_left; /* until the meter is at `meter_end`: see sfr_sender_charge */
    uint64_t kid;
    uint64_t head; /* those marks as big-endian numbers, without the counter: see sfr_stretch */
    uint32_t max_frame;
    uint8_t tag_size, ops_id;
    _Atomic uint8_t mark_size;
    uint8_t head_shift; /* 64: no such word */
    /* The second line. */
    sfr_lock lock;
    uint32_t generation;  /* of the process that made the sender */
    sfr_key *_Atomic key; /* NULL: closed */
    bool spent, has_upcoming;
    uint32_t key_size;
    const struct sfr_ops *ops;
    uint64_t last;   /* counter of the lease */
    range upcoming;  /* the lease after this one */
    uint64_t meter_end; /* where the meter needs care: half of KEY_BUDGET, or `leased` */
    uint64_t leased; /* AES blocks that may be used, of KEY_BUDGET */
    uint64_t stream; /* what marks name beside KID and counter, as an SSRC; SFrame's: nothing */
    uint8_t fingerprint[16];
};

_Static_assert(offsetof(struct sfr_sender, lock) == 64, "what a frame touches is one cache line");

/* sfr_sender_new with a stream, which makes no second sender: the registry knows one for each
 * (base_key, KID), whatever streams they have. */
int sfr_sender_of_stream(sfr_sender **out, const sfr_secret *, const sfr_kernel *, uint64_t kid,
                         uint64_t stream, uint64_t first, uint64_t last, size_t max_frame);

/* With the lock held. frame/counters.c */
void sfr_sender_start_at(sfr_sender *, uint64_t ctr);
void sfr_sender_set_meter(sfr_sender *, uint64_t used, uint64_t leased);
int sfr_sender_charge(sfr_sender *, uint64_t blocks, int *rekey_due);
void sfr_sender_set_ready(sfr_sender *);
int sfr_sender_refusal(const sfr_sender *);
void sfr_sender_turn_over(sfr_sender *, uint64_t ctr);

/* RFC 9605 4.4.1: the next CTR is kept with the key. */
SFR_INLINE uint64_t peek_ctr(const sfr_sender *s)
{
    return atomic_load_explicit(&s->next, memory_order_relaxed);
}

SFR_INLINE void set_ctr(sfr_sender *s, uint64_t ctr)
{
    atomic_store_explicit(&s->next, ctr, memory_order_relaxed);
}

SFR_INLINE uint64_t last_alike(const sfr_sender *s)
{
    return atomic_load_explicit(&s->same, memory_order_relaxed);
}

SFR_INLINE size_t mark_size_of(const sfr_sender *s)
{
    return atomic_load_explicit(&s->mark_size, memory_order_relaxed);
}

SFR_INLINE bool ready(const sfr_sender *s, uint32_t generation)
{
    return s->ready == generation;
}

SFR_INLINE uint64_t blocks_used(const sfr_sender *s)
{
    return s->meter_end - s->blocks_left;
}

/* The key lies behind the sender, in the same slot of the arena. */
#define KEY_AT ((sizeof(sfr_sender) + 63) / 64 * 64)

SFR_INLINE const sfr_key *key_of(const sfr_sender *s)
{
    return (const sfr_key *)(const void *)((const uint8_t *)s + KEY_AT);
}

SFR_INLINE sfr_key_summary summary_of(const sfr_sender *s)
{
    return (sfr_key_summary){s->salt_tail, s->salt_head, s->ops_id};
}

/* RFC 9605 4.3 MUST: a KID and a CTR together are for one frame. */
SFR_INLINE uint64_t take_ctr(sfr_sender *s)
{
    uint64_t ctr = peek_ctr(s);
    if (SFR_LIKELY(ctr != last_alike(s)))
        set_ctr(s, ctr + 1);
    else
        sfr_sender_turn_over(s, ctr);
    return ctr;
}

#endif
