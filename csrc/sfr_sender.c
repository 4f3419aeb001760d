/* Sender: reserve -> seal.
 *
 * Rule 1: a counter is taken under the lock, before the frame is touched, and never given back.
 * Rule 2: everything that can refuse (closed, forked, lease, key budget, sizes) refuses before a
 *         counter is taken.
 */
#include <stdlib.h>

#include "sfr_frame.h"

/* q + s <= 2^36 blocks keeps GCM's advantage below 2^-57: draft-irtf-cfrg-aead-limits. */
#define KEY_BUDGET ((uint64_t)1 << 36)

typedef struct range {
    uint64_t first, last;
} range;

struct sfr_sender {
    sfr_lock lock;
    uint32_t generation;  /* of the process that made it */
    sfr_key *_Atomic key; /* NULL: closed */
    uint64_t kid;
    _Atomic uint64_t next; /* written under the lock, read also without */
    uint64_t last;         /* counters next..last are left, unless spent */
    uint64_t blocks;
    uint32_t max_frame;
    uint8_t tag_size;
    bool spent, has_ahead;
    range ahead; /* the lease after this one */
    uint8_t fingerprint[16];
};

SFR_INLINE uint64_t peek_ctr(sfr_sender *s)
{
    return atomic_load_explicit(&s->next, memory_order_relaxed);
}

SFR_INLINE void set_ctr(sfr_sender *s, uint64_t ctr)
{
    atomic_store_explicit(&s->next, ctr, memory_order_relaxed);
}

/* ---- life ---- */

static int sender_init(sfr_sender *s, const sfr_secret *secret, const sfr_kernel *kernel)
{
    sfr_key *key = sfr_key_new(secret, kernel, s->kid, s->fingerprint);
    if (!key) return SFR_E_NO_MEMORY;
    int status = sfr_registry_open(s->fingerprint, peek_ctr(s));
    if (status != SFR_OK) {
        sfr_key_free(key);
        return status;
    }
    s->tag_size = key->tag_size;
    atomic_store(&s->key, key);
    return SFR_OK;
}

int sfr_sender_new(sfr_sender **out, const sfr_secret *secret, const sfr_kernel *kernel,
                   uint64_t kid, uint64_t first, uint64_t last, size_t max_frame)
{
    *out = NULL;
    if (!secret || !kernel || first > last || max_frame > SFR_LIMIT_MAX_FRAME)
        return SFR_E_ARGUMENT;
    sfr_sender *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (!s) return SFR_E_NO_MEMORY;
    memset(s, 0, sizeof *s);
    s->generation = sfr_process_generation();
    s->kid = kid, s->last = last, s->max_frame = (uint32_t)max_frame;
    set_ctr(s, first);
    int status = sender_init(s, secret, kernel);
    if (status == SFR_OK)
        *out = s;
    else
        free(s);
    return status;
}

void sfr_sender_close(sfr_sender *s)
{
    /* A forked child's copy of the key is wiped like any other; its registry entry stays, since
     * the parent's sender may live on. */
    bool ours = s->generation == sfr_process_generation();
    sfr_lock_take(&s->lock);
    sfr_key *key = atomic_exchange(&s->key, NULL);
    sfr_lock_drop(&s->lock);
    if (!key) return;
    if (ours) {
        /* The counter that a later sender may start with; after the last of all there is none. */
        uint64_t next = peek_ctr(s);
        bool last_of_all = s->spent && next == UINT64_MAX;
        sfr_registry_close(s->fingerprint, next + (s->spent && !last_of_all), last_of_all);
    }
    sfr_run_synchronize();
    sfr_key_free(key);
}

void sfr_sender_free(sfr_sender *s)
{
    if (!s) return;
    sfr_sender_close(s);
    free(s);
}

/* ---- counters ---- */

static int refusal(const sfr_sender *s)
{
    if (s->generation != sfr_process_generation()) return SFR_E_FORKED;
    if (!atomic_load_explicit(&s->key, memory_order_relaxed)) return SFR_E_RETIRED;
    if (s->spent) return s->last == UINT64_MAX ? SFR_E_CTR_EXHAUSTED : SFR_E_LEASE_ENDED;
    return SFR_OK;
}

static uint64_t take_ctr(sfr_sender *s)
{
    uint64_t ctr = peek_ctr(s);
    if (SFR_LIKELY(ctr != s->last)) {
        set_ctr(s, ctr + 1);
    } else if (s->has_ahead) {
        set_ctr(s, s->ahead.first), s->last = s->ahead.last, s->has_ahead = false;
    } else {
        s->spent = true;
    }
    return ctr;
}

int sfr_sender_extend(sfr_sender *s, uint64_t first, uint64_t last)
{
    int status = SFR_E_ARGUMENT;
    sfr_lock_take(&s->lock);
    if (first <= last && first > s->last && !s->has_ahead) {
        status = SFR_OK;
        if (s->spent)
            set_ctr(s, first), s->last = last, s->spent = false;
        else if (first == s->last + 1)
            s->last = last;
        else
            s->ahead = (range){first, last}, s->has_ahead = true;
    }
    sfr_lock_drop(&s->lock);
    return status;
}

int sfr_sender_next(sfr_sender *s, uint64_t *ctr)
{
    sfr_lock_take(&s->lock);
    int status = refusal(s);
    *ctr = peek_ctr(s);
    sfr_lock_drop(&s->lock);
    return status;
}

uint64_t sfr_sender_kid(const sfr_sender *s)
{
    return s->kid;
}

uint64_t sfr_sender_blocks(sfr_sender *s)
{
    sfr_lock_take(&s->lock);
    uint64_t blocks = s->blocks;
    sfr_lock_drop(&s->lock);
    return blocks;
}

void sfr_sender_set_blocks(sfr_sender *s, uint64_t blocks)
{
    sfr_lock_take(&s->lock);
    if (blocks > s->blocks) s->blocks = blocks;
    sfr_lock_drop(&s->lock);
}

/* ---- reserve ---- */

SFR_INLINE int check_frame(const sfr_sender *s, const sfr_frame *f)
{
    if (SFR_UNLIKELY(f->clear > f->in_size)) return SFR_E_ARGUMENT;
    return SFR_UNLIKELY(f->in_size > s->max_frame) ? SFR_E_TOO_LARGE : SFR_OK;
}

SFR_INLINE uint64_t blocks_of(const sfr_frame *f, size_t header_size)
{
    uint64_t aad = (uint64_t)header_size + f->clear + f->metadata_size;
    return (f->in_size - f->clear + 15) / 16 + (aad + 15) / 16 + 1;
}

/* With the lock held: checks all, then takes a counter. `room` is what `out` offers,
 * SIZE_MAX when there is no `out` yet. Leaves the header's words and size. */
SFR_INLINE int reserve(sfr_sender *s, sfr_frame *f, size_t room, uint64_t words[3],
                       size_t *header_size)
{
    int status = refusal(s);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    *header_size = sfr_header_words(s->kid, peek_ctr(s), words);
    size_t size = f->in_size + *header_size + s->tag_size;
    uint64_t blocks = blocks_of(f, *header_size);
    if (SFR_UNLIKELY(size > room)) return SFR_E_ROOM;
    if (SFR_UNLIKELY(blocks > KEY_BUDGET - s->blocks)) return SFR_E_KEY_EXHAUSTED;
    f->rekey_due = s->blocks < KEY_BUDGET / 2 && s->blocks + blocks >= KEY_BUDGET / 2;
    s->blocks += blocks;
    f->kid = s->kid;
    f->ctr = take_ctr(s);
    f->out_size = size;
    return SFR_OK;
}

/* Senders of a batch lie all over memory: fetched a few rows ahead. */
SFR_INLINE void prefetch_sender(sfr_sender *const *senders, size_t i, size_t count)
{
    enum { AHEAD = 8 };
    if (i + AHEAD < count) __builtin_prefetch(senders[i + AHEAD]);
}

size_t sfr_check_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        prefetch_sender(senders, i, count);
        int status = check_frame(senders[i], &frames[i]);
        if (SFR_LIKELY(status == SFR_OK)) status = refusal(senders[i]);
        frames[i].status = status;
        if (SFR_UNLIKELY(status != SFR_OK)) return i;
    }
    return count;
}

size_t sfr_reserve_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    uint64_t words[3];
    size_t header_size;
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        int status = check_frame(s, &frames[i]);
        if (SFR_LIKELY(status == SFR_OK)) {
            sfr_lock_take(&s->lock);
            status = reserve(s, &frames[i], SIZE_MAX, words, &header_size);
            sfr_lock_drop(&s->lock);
        }
        frames[i].status = status;
        if (SFR_UNLIKELY(status != SFR_OK)) return i;
    }
    return count;
}

size_t sfr_protected_size(sfr_sender *s, size_t frame_size, size_t ahead)
{
    uint64_t next = peek_ctr(s), ctr = next + ahead < next ? UINT64_MAX : next + ahead;
    return frame_size + sfr_header_size(s->kid, ctr) + s->tag_size;
}

/* ---- seal ---- */

/* Moves the clear bytes, writes the header, and describes the rest to a kernel. The move comes
 * first: in place, the clear bytes lie where the header will. */
SFR_INLINE void make_row(sfr_row *row, const sfr_key *key, const sfr_frame *f, size_t header_size)
{
    uint8_t *header = f->out + f->clear;
    if (f->clear) memmove(f->out, f->in, f->clear);
    bool in_place = f->in + f->clear == header + header_size;
    if (SFR_LIKELY(header_size <= 8 && f->out_size >= f->clear + 8 && !in_place))
        sfr_store64(header, row->header[0]); /* payload and tag overwrite the surplus */
    else
        memcpy(header, row->header, header_size);
    sfr_row_nonce(row, key, f->ctr);
    sfr_row_aad(row, header_size, f->out, f->clear, f->metadata, f->metadata_size);
    row->in = f->in + f->clear;
    row->out = header + header_size;
    row->size = f->in_size - f->clear;
    row->tag.write = row->out + row->size;
    row->status = SFR_OK;
}

SFR_INLINE int check_overlap(sfr_sender *s, const sfr_frame *f)
{
    size_t size = f->in_size + SFR_MAX_HEADER + s->tag_size;
    if (size > f->out_size) size = f->out_size;
    if (SFR_UNLIKELY(sfr_overlap(f->metadata, f->metadata_size, f->out, size)))
        return SFR_E_OVERLAP;
    if (SFR_LIKELY(!sfr_overlap(f->in, f->in_size, f->out, size))) return SFR_OK;
    size_t header_size = sfr_header_size(s->kid, peek_ctr(s));
    return f->in == f->out + header_size ? SFR_OK : SFR_E_OVERLAP;
}

SFR_INLINE void seal_row(sfr_row *row)
{
    sfr_row *rows[1] = {row};
    row->key->ops->seal(rows, 1);
}

/* Holds the lock on entry and on return. */
static int protect_locked(sfr_sender *s, sfr_frame *f)
{
    sfr_row row;
    size_t header_size = 0;
    int status = check_overlap(s, f);
    if (SFR_LIKELY(status == SFR_OK)) status = reserve(s, f, f->out_size, row.header, &header_size);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    make_row(&row, atomic_load_explicit(&s->key, memory_order_relaxed), f, header_size);
    if (SFR_LIKELY(row.size <= SFR_BRIEF)) {
        seal_row(&row);
        return SFR_OK;
    }
    unsigned ticket = sfr_run_enter();
    sfr_lock_drop(&s->lock);
    seal_row(&row);
    sfr_run_leave(ticket);
    sfr_lock_take(&s->lock);
    return SFR_OK;
}

int sfr_protect(sfr_sender *s, sfr_frame *f)
{
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) {
        sfr_lock_take(&s->lock);
        status = protect_locked(s, f);
        sfr_lock_drop(&s->lock);
    }
    if (SFR_UNLIKELY(status != SFR_OK)) f->out_size = 0;
    return f->status = status;
}

/* A sender closed since the frame was reserved, or a fork in between: the counter is lost, and
 * nothing is sealed. */
static int plan_reserved(sfr_sender *s, sfr_frame *f, sfr_row *row)
{
    sfr_key *key = atomic_load(&s->key);
    if (!key) return SFR_E_RETIRED;
    if (s->generation != sfr_process_generation()) return SFR_E_FORKED;
    size_t header_size = sfr_header_words(f->kid, f->ctr, row->header);
    make_row(row, key, f, header_size);
    return SFR_OK;
}

/* Keys of a batch lie all over memory: fetched a few rows ahead. */
SFR_INLINE void prefetch_row(sfr_sender *const *senders, size_t i, size_t count)
{
    enum { AHEAD = 4 };
    if (i + AHEAD < count)
        __builtin_prefetch(atomic_load_explicit(&senders[i + AHEAD]->key, memory_order_relaxed));
}

static void seal_chunk(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    sfr_row rows[SFR_CHUNK];
    size_t planned = 0;
    unsigned ticket = sfr_run_enter();
    for (size_t i = 0; i < count; i++) {
        prefetch_row(senders, i, count);
        frames[i].status = plan_reserved(senders[i], &frames[i], &rows[planned]);
        if (frames[i].status == SFR_OK)
            planned++;
        else
            frames[i].out_size = 0;
    }
    sfr_run(rows, planned, true);
    sfr_run_leave(ticket);
}

void sfr_seal_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    for (size_t at = 0; at < count; at += SFR_CHUNK) {
        size_t some = count - at < SFR_CHUNK ? count - at : SFR_CHUNK;
        seal_chunk(senders + at, frames + at, some);
    }
}
