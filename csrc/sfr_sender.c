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

/* The first cache line is all that a frame touches. */
struct sfr_sender {
    sfr_lock lock;
    uint32_t generation;   /* of the process that made it */
    sfr_key *_Atomic key;  /* NULL: closed */
    _Atomic uint64_t next; /* written under the lock, read also without */
    uint64_t last;         /* counters next..last are left, unless spent */
    uint64_t blocks;
    uint64_t kid;
    uint64_t kid_word;     /* the header's first word but for the CTR, if it leaves a byte for that */
    uint32_t max_frame;
    uint8_t tag_size, kid_bytes;
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

SFR_INLINE const sfr_key *key_of(const sfr_sender *s)
{
    return atomic_load_explicit(&s->key, memory_order_relaxed);
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
    s->kid_word = sfr_kid_word(kid), s->kid_bytes = (uint8_t)sfr_field_bytes(kid);
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
    sfr_object_take(&s->lock);
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
    if (!key_of(s)) return SFR_E_RETIRED;
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
    sfr_object_take(&s->lock);
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
    sfr_object_take(&s->lock);
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
    sfr_object_take(&s->lock);
    uint64_t blocks = s->blocks;
    sfr_lock_drop(&s->lock);
    return blocks;
}

void sfr_sender_set_blocks(sfr_sender *s, uint64_t blocks)
{
    sfr_object_take(&s->lock);
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

SFR_INLINE size_t header_of(const sfr_sender *s, uint64_t ctr, uint64_t words[3])
{
    unsigned ctr_bytes = sfr_field_bytes(ctr);
    if (SFR_UNLIKELY(s->kid_bytes + ctr_bytes >= 7)) return sfr_header_words(s->kid, ctr, words);
    words[0] = s->kid_word | sfr_ctr_bits(ctr, ctr_bytes, 8 + 8 * s->kid_bytes);
    words[1] = words[2] = 0;
    return 1 + s->kid_bytes + ctr_bytes;
}

/* With the lock held: checks all, then takes a counter. `room` is what `out` offers,
 * SIZE_MAX when there is no `out` yet. Leaves the header's words and size. */
SFR_INLINE int reserve(sfr_sender *s, sfr_frame *f, size_t room, uint64_t words[3],
                       size_t *header_size)
{
    int status = refusal(s);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    *header_size = header_of(s, peek_ctr(s), words);
    size_t size = f->in_size + *header_size + s->tag_size;
    uint64_t blocks = blocks_of(f, *header_size), used = s->blocks;
    if (SFR_UNLIKELY(size > room)) return SFR_E_ROOM;
    if (SFR_UNLIKELY(blocks > KEY_BUDGET - used)) return SFR_E_KEY_EXHAUSTED;
    f->rekey_due = used < KEY_BUDGET / 2 && used + blocks >= KEY_BUDGET / 2;
    s->blocks = used + blocks;
    f->kid = s->kid;
    f->ctr = take_ctr(s);
    f->out_size = size;
    return SFR_OK;
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

/* Senders of a batch lie all over memory: fetched a few rows ahead, and from them their keys. */
SFR_INLINE void prefetch_sender(sfr_sender *const *senders, size_t i, size_t count)
{
    enum { AHEAD = 8 };
    if (i + AHEAD < count) __builtin_prefetch(senders[i + AHEAD]);
}

SFR_INLINE void prefetch_key(sfr_sender *const *senders, size_t i, size_t count)
{
    enum { AHEAD = 4 };
    if (i + AHEAD < count)
        sfr_key_prefetch(key_of(senders[i + AHEAD]));
}

size_t sfr_protected_size(sfr_sender *s, size_t frame_size, size_t ahead)
{
    uint64_t next = peek_ctr(s), ctr = next + ahead < next ? UINT64_MAX : next + ahead;
    return frame_size + 1 + s->kid_bytes + sfr_field_bytes(ctr) + s->tag_size;
}

/* Whether the sender's next `count` counters are leased and their headers are of one size. */
SFR_INLINE bool steady_for(const sfr_sender *s, uint64_t ctr, size_t count)
{
    return s->last - ctr >= count && sfr_field_bytes(ctr) == sfr_field_bytes(ctr + count);
}

size_t sfr_check_many(sfr_sender *const *senders, sfr_frame *frames, size_t count, int *steady)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        prefetch_sender(senders, i, count);
        int status = check_frame(s, &frames[i]);
        if (SFR_LIKELY(status == SFR_OK)) status = refusal(s);
        frames[i].status = status;
        if (SFR_UNLIKELY(status != SFR_OK)) return i;
        all &= steady_for(s, peek_ctr(s), count);
        frames[i].out_size = sfr_protected_size(s, frames[i].in_size, count);
    }
    *steady = all;
    return count;
}

/* One frame, with `out` at hand: everything that may be in the way, then the counter. */
SFR_INLINE int reserve_into(sfr_sender *s, sfr_frame *f, uint64_t words[3], size_t *header_size)
{
    int status = check_overlap(s, f);
    return SFR_LIKELY(status == SFR_OK) ? reserve(s, f, f->out_size, words, header_size) : status;
}

int sfr_reserve(sfr_sender *s, sfr_frame *f)
{
    uint64_t words[3];
    size_t header_size;
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) {
        sfr_object_take(&s->lock);
        status = reserve_into(s, f, words, &header_size);
        sfr_lock_drop(&s->lock);
    }
    if (SFR_UNLIKELY(status != SFR_OK)) f->out_size = 0;
    return f->status = status;
}

size_t sfr_reserve_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    uint64_t words[3];
    size_t header_size;
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        int status = check_frame(s, &frames[i]);
        prefetch_sender(senders, i, count);
        if (SFR_LIKELY(status == SFR_OK)) {
            sfr_object_take(&s->lock);
            status = reserve(s, &frames[i], SIZE_MAX, words, &header_size);
            sfr_lock_drop(&s->lock);
        }
        frames[i].status = status;
        if (SFR_UNLIKELY(status != SFR_OK)) return i;
    }
    return count;
}

/* ---- seal ---- */

/* Moves the clear bytes, writes the header, and describes the rest to a kernel. The move comes
 * first: in place, the clear bytes lie where the header will. */
SFR_INLINE void make_row(sfr_row *row, const sfr_key *key, const sfr_frame *f,
                         const uint64_t words[3], size_t header_size)
{
    uint8_t *header = f->out + f->clear;
    if (f->clear) memmove(f->out, f->in, f->clear);
    bool in_place = f->in + f->clear == header + header_size;
    if (SFR_LIKELY(header_size <= 8 && f->out_size >= f->clear + 8 && !in_place))
        sfr_store64(header, words[0]); /* payload and tag overwrite the surplus */
    else
        memcpy(header, words, header_size);
    sfr_row_nonce(row, key, f->ctr);
    sfr_row_aad(row, words, header_size, f->out, f);
    row->in = f->in + f->clear;
    row->out = header + header_size;
    row->size = f->in_size - f->clear;
    row->tag.write = row->out + row->size;
    row->status = SFR_OK;
}

SFR_INLINE void seal_row(sfr_row *row)
{
    sfr_row *rows[1] = {row};
    row->key->ops->seal(rows, 1);
}

/* Holds the lock on entry and on return. */
SFR_INLINE int protect_locked(sfr_sender *s, sfr_frame *f)
{
    sfr_row row;
    uint64_t words[3];
    size_t header_size;
    int status = reserve_into(s, f, words, &header_size);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    make_row(&row, key_of(s), f, words, header_size);
    if (SFR_LIKELY(row.size <= SFR_BRIEF)) {
        seal_row(&row);
        return SFR_OK;
    }
    unsigned ticket = sfr_run_enter();
    sfr_lock_drop(&s->lock);
    seal_row(&row);
    sfr_run_leave(ticket);
    sfr_object_take(&s->lock);
    return SFR_OK;
}

int sfr_protect(sfr_sender *s, sfr_frame *f)
{
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) {
        sfr_object_take(&s->lock);
        status = protect_locked(s, f);
        sfr_lock_drop(&s->lock);
    }
    if (SFR_UNLIKELY(status != SFR_OK)) f->out_size = 0;
    return f->status = status;
}

/* ---- a batch ---- */

/* With the lock held: a counter, and the row that uses it. */
SFR_INLINE int plan(sfr_sender *s, sfr_frame *f, sfr_row *row)
{
    uint64_t words[3];
    size_t header_size;
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) status = reserve(s, f, f->out_size, words, &header_size);
    if (SFR_LIKELY(status == SFR_OK)) make_row(row, key_of(s), f, words, header_size);
    return f->status = status;
}

/* Returns how many frames it sealed; the next one's status says why it was refused. */
static size_t protect_chunk(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    sfr_row rows[SFR_CHUNK];
    size_t planned = 0;
    unsigned ticket = sfr_run_enter();
    for (; planned < count; planned++) {
        prefetch_key(senders, planned, count);
        sfr_object_take(&senders[planned]->lock);
        int status = plan(senders[planned], &frames[planned], &rows[planned]);
        sfr_lock_drop(&senders[planned]->lock);
        if (SFR_UNLIKELY(status != SFR_OK)) break;
    }
    sfr_run(rows, planned, true);
    sfr_run_leave(ticket);
    return planned;
}

size_t sfr_protect_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    for (size_t at = 0, some, done; at < count; at += some) {
        some = count - at < SFR_CHUNK ? count - at : SFR_CHUNK;
        done = protect_chunk(senders + at, frames + at, some);
        if (SFR_UNLIKELY(done < some)) return at + done;
    }
    return count;
}

/* A sender closed since the frame was reserved, or a fork in between: the counter is lost, and
 * nothing is sealed. */
static int plan_reserved(sfr_sender *s, const sfr_frame *f, sfr_row *row)
{
    uint64_t words[3];
    sfr_key *key = atomic_load(&s->key);
    if (!key) return SFR_E_RETIRED;
    if (s->generation != sfr_process_generation()) return SFR_E_FORKED;
    size_t header_size = header_of(s, f->ctr, words);
    make_row(row, key, f, words, header_size);
    return SFR_OK;
}

static void seal_chunk(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    sfr_row rows[SFR_CHUNK];
    size_t planned = 0;
    unsigned ticket = sfr_run_enter();
    for (size_t i = 0; i < count; i++) {
        prefetch_key(senders, i, count);
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
