/* Sender: reserve -> seal.
 *
 * Rule 1: a counter is taken under the lock, before the frame is touched, and never given back.
 * Rule 2: everything that can refuse (closed, forked, lease, key budget, sizes) refuses before a
 *         counter is taken.
 */
#include "frame/frame.h"

/* q + s <= 2^36 blocks keeps GCM's advantage below 2^-57: draft-irtf-cfrg-aead-limits. */
#define KEY_BUDGET ((uint64_t)1 << 36)

typedef struct range {
    uint64_t first, last;
} range;

/* The first cache line is all that a frame touches. */
struct sfr_sender {
    uint32_t ready; /* the process's generation while there are a key and counters for it; else 0 */
    uint32_t salt_head; /* of the key's, a copy: see sfr_key_summary */
    uint64_t salt_tail;
    /* Counters next..same are leased, unless spent, and their headers are alike. Written under the
     * lock, read also without. */
    _Atomic uint64_t next, same;
    uint64_t few; /* AES blocks until the meter comes to `mark`: see charge() */
    uint64_t kid;
    uint64_t head; /* those headers as numbers, most significant byte first, the CTR left out */
    uint32_t max_frame;
    uint8_t tag_size, ops_id;
    _Atomic uint8_t header_size;
    uint8_t head_shift; /* bits of a word above `head`; 64: no field, or a header of more words */
    /* The second line. */
    sfr_lock lock;
    uint32_t generation;  /* of the process that made it */
    sfr_key *_Atomic key; /* NULL: closed */
    bool spent, has_upcoming;
    uint32_t key_size;
    const struct sfr_ops *ops;
    uint64_t last;   /* of the lease */
    range upcoming;  /* the lease after this one */
    uint64_t mark;   /* of the meter: half of KEY_BUDGET, or `leased` */
    uint64_t leased; /* AES blocks that may be used, of KEY_BUDGET */
    uint8_t fingerprint[16];
};

_Static_assert(offsetof(struct sfr_sender, lock) == 64, "what a frame touches is one cache line");

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

SFR_INLINE size_t header_size_of(const sfr_sender *s)
{
    return atomic_load_explicit(&s->header_size, memory_order_relaxed);
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

/* ---- counters ---- */

/* What the headers of a stretch of counters have in common: RFC 9605 4.3. */
static void start_at(sfr_sender *s, uint64_t ctr)
{
    unsigned kid_bytes = sfr_field_bytes(s->kid), ctr_bytes = sfr_field_bytes(ctr);
    unsigned size = 1 + kid_bytes + ctr_bytes;
    uint64_t alike = ctr_bytes ? UINT64_MAX >> (64 - 8 * ctr_bytes) : 7;
    set_ctr(s, ctr);
    atomic_store_explicit(&s->same, alike < s->last ? alike : s->last, memory_order_relaxed);
    atomic_store_explicit(&s->header_size, (uint8_t)size, memory_order_relaxed);
    s->head_shift = ctr_bytes && size <= 8 ? (uint8_t)(64 - 8 * size) : 64;
    if (s->head_shift < 64)
        s->head = sfr_be64(sfr_kid_word(s->kid) | 0x08 | (ctr_bytes - 1)) >> s->head_shift;
}

/* ---- the meter ---- */

static uint64_t blocks_used(const sfr_sender *s)
{
    return s->mark - s->few;
}

/* used <= leased <= KEY_BUDGET. */
static void set_meter(sfr_sender *s, uint64_t used, uint64_t leased)
{
    const uint64_t half = KEY_BUDGET / 2;
    s->leased = leased;
    s->mark = used < half && half < leased ? half : leased;
    s->few = s->mark - used;
}

/* Where the meter would come to its mark or beyond. */
static int charge(sfr_sender *s, uint64_t blocks, int *rekey_due)
{
    uint64_t used = blocks_used(s);
    if (blocks > KEY_BUDGET - used) return SFR_E_KEY_EXHAUSTED;
    if (blocks > s->leased - used) return SFR_E_BLOCKS_ENDED;
    *rekey_due = used < KEY_BUDGET / 2 && used + blocks >= KEY_BUDGET / 2;
    set_meter(s, used + blocks, s->leased);
    return SFR_OK;
}

static bool closed(const sfr_sender *s)
{
    return !atomic_load_explicit(&s->key, memory_order_relaxed);
}

/* After any change of what it stands for. */
static void set_ready(sfr_sender *s)
{
    s->ready = closed(s) || s->spent ? 0 : s->generation;
}

SFR_INLINE bool ready(const sfr_sender *s, uint32_t generation)
{
    return s->ready == generation;
}

static int refusal(const sfr_sender *s)
{
    if (s->generation != sfr_process_generation()) return SFR_E_FORKED;
    if (closed(s)) return SFR_E_RETIRED;
    if (s->spent) return s->last == UINT64_MAX ? SFR_E_CTR_EXHAUSTED : SFR_E_LEASE_ENDED;
    return SFR_OK;
}

/* After the last counter of a stretch. */
static void turn_over(sfr_sender *s, uint64_t ctr)
{
    if (ctr != s->last) {
        start_at(s, ctr + 1);
    } else if (s->has_upcoming) {
        s->last = s->upcoming.last, s->has_upcoming = false;
        start_at(s, s->upcoming.first);
    } else {
        s->spent = true;
        set_ready(s);
    }
}

/* RFC 9605 4.3 MUST: a KID and a CTR together are for one frame. */
SFR_INLINE uint64_t take_ctr(sfr_sender *s)
{
    uint64_t ctr = peek_ctr(s);
    if (SFR_LIKELY(ctr != last_alike(s)))
        set_ctr(s, ctr + 1);
    else
        turn_over(s, ctr);
    return ctr;
}

int sfr_sender_extend(sfr_sender *s, uint64_t first, uint64_t last)
{
    int status = SFR_E_ARGUMENT;
    sfr_object_take(&s->lock);
    if (first <= last && first > s->last && !s->has_upcoming) {
        status = SFR_OK;
        if (s->spent)
            s->spent = false, s->last = last, start_at(s, first);
        else if (first == s->last + 1)
            s->last = last, start_at(s, peek_ctr(s));
        else
            s->upcoming = (range){first, last}, s->has_upcoming = true;
        set_ready(s);
    }
    sfr_object_drop(&s->lock);
    return status;
}

/* ---- life ---- */

static int sender_init(sfr_sender *s, const sfr_secret *secret, const sfr_kernel *kernel)
{
    sfr_key *key = (sfr_key *)(void *)((uint8_t *)s + KEY_AT);
    if (!sfr_key_init(key, secret, kernel, s->kid, s->fingerprint)) return SFR_E_NO_MEMORY;
    uint64_t used; /* by the key's earlier senders in this process, too */
    int status = sfr_registry_open(s->fingerprint, peek_ctr(s), &used);
    if (status != SFR_OK) return status;
    set_meter(s, used, KEY_BUDGET);
    const sfr_key_summary summary = sfr_key_summary_of(key);
    s->tag_size = key->tag_size;
    s->ops = key->ops;
    s->salt_tail = summary.salt_tail, s->salt_head = summary.salt_head, s->ops_id = summary.ops_id;
    atomic_store(&s->key, key);
    set_ready(s);
    return SFR_OK;
}

int sfr_sender_new(sfr_sender **out, const sfr_secret *secret, const sfr_kernel *kernel,
                   uint64_t kid, uint64_t first, uint64_t last, size_t max_frame)
{
    *out = NULL;
    if (!secret || !kernel || first > last || max_frame > SFR_LIMIT_MAX_FRAME)
        return SFR_E_ARGUMENT;
    size_t key_size = sfr_key_size(secret->suite, kernel);
    sfr_sender *s = sfr_arena_alloc(KEY_AT + key_size);
    if (!s) return SFR_E_NO_MEMORY;
    s->generation = sfr_process_generation();
    s->kid = kid, s->last = last, s->max_frame = (uint32_t)max_frame;
    s->key_size = (uint32_t)key_size;
    start_at(s, first);
    int status = sender_init(s, secret, kernel);
    if (status == SFR_OK)
        *out = s;
    else
        sfr_arena_free(s, KEY_AT + key_size);
    return status;
}

void sfr_sender_close(sfr_sender *s)
{
    /* A forked child's copy of the key is wiped like any other; its registry entry stays, since
     * the parent's sender may live on. */
    bool ours = s->generation == sfr_process_generation();
    sfr_object_take(&s->lock);
    sfr_key *key = atomic_exchange(&s->key, NULL);
    set_ready(s);
    sfr_object_drop(&s->lock);
    if (!key) return;
    if (ours) sfr_registry_close(s->fingerprint, peek_ctr(s), s->spent, blocks_used(s));
    sfr_read_synchronize();
    sfr_wipe(key, s->key_size);
    sfr_wipe(&s->salt_head, sizeof s->salt_head);
    sfr_wipe(&s->salt_tail, sizeof s->salt_tail);
}

void sfr_sender_free(sfr_sender *s)
{
    if (!s) return;
    sfr_sender_close(s);
    sfr_arena_free(s, KEY_AT + s->key_size);
}

/* ---- state ---- */

int sfr_sender_next(sfr_sender *s, uint64_t *ctr)
{
    sfr_object_take(&s->lock);
    int status = refusal(s);
    *ctr = peek_ctr(s);
    sfr_object_drop(&s->lock);
    return status;
}

uint64_t sfr_sender_kid(const sfr_sender *s)
{
    return s->kid;
}

uint64_t sfr_sender_blocks(sfr_sender *s)
{
    sfr_object_take(&s->lock);
    uint64_t blocks = blocks_used(s);
    sfr_object_drop(&s->lock);
    return blocks;
}

void sfr_sender_set_blocks(sfr_sender *s, uint64_t blocks)
{
    if (blocks > KEY_BUDGET) blocks = KEY_BUDGET; /* beyond it, what is left would wrap */
    sfr_object_take(&s->lock);
    if (blocks > blocks_used(s)) set_meter(s, blocks, s->leased > blocks ? s->leased : blocks);
    sfr_object_drop(&s->lock);
}

void sfr_sender_lease_blocks(sfr_sender *s, uint64_t last)
{
    sfr_object_take(&s->lock);
    uint64_t used = blocks_used(s);
    if (last > KEY_BUDGET) last = KEY_BUDGET;
    set_meter(s, used, last > used ? last : used);
    sfr_object_drop(&s->lock);
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

typedef struct header {
    uint64_t words[3];
    size_t size;
} header;

SFR_INLINE header any_header(uint64_t kid, uint64_t ctr)
{
    header h;
    h.size = sfr_header_words(kid, ctr, h.words);
    return h;
}

/* A frame whose AAD is its header and that one word: nothing else needs to be looked at. Its code is
 * made apart from what any frame takes. */
SFR_INLINE bool is_plain(const sfr_sender *s, const sfr_frame *f)
{
    return SFR_LIKELY(s->head_shift < 64 && !f->clear && !f->metadata_size);
}

SFR_INLINE void assume_plain(const sfr_frame *f)
{
    if (f->clear || f->metadata_size) __builtin_unreachable();
}

/* The header of a counter from the stretch that `next` is in. */
SFR_INLINE header header_of(const sfr_sender *s, uint64_t ctr, const bool plain)
{
    if (!plain) return any_header(s->kid, ctr);
    size_t size = header_size_of(s);
    if (size > 8) __builtin_unreachable();
    return (header){{sfr_be64((s->head | ctr) << s->head_shift), 0, 0}, size};
}

/* With the lock held: checks all, then takes a counter. `room` is what `out` offers, SIZE_MAX
 * when there is no `out` yet. */
SFR_INLINE int reserve(sfr_sender *s, sfr_frame *f, size_t room, uint32_t generation, header *h,
                       const bool plain)
{
    if (SFR_UNLIKELY(!ready(s, generation))) return refusal(s);
    *h = header_of(s, peek_ctr(s), plain);
    size_t size = f->in_size + h->size + s->tag_size;
    uint64_t blocks = blocks_of(f, h->size);
    if (SFR_UNLIKELY(size > room)) return SFR_E_ROOM;
    int rekey_due = 0;
    if (SFR_UNLIKELY(blocks >= s->few)) {
        int status = charge(s, blocks, &rekey_due);
        if (status != SFR_OK) return status;
    } else {
        s->few -= blocks;
    }
    f->rekey_due = rekey_due;
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
    return f->in == f->out + header_size_of(s) ? SFR_OK : SFR_E_OVERLAP;
}

/* Senders of a batch lie all over memory: fetched a few rows ahead, and from them their keys. */
SFR_INLINE void prefetch_sender(sfr_sender *const *senders, size_t i, size_t count)
{
    enum { PREFETCH_ROWS = 8 };
    if (i + PREFETCH_ROWS < count) __builtin_prefetch(senders[i + PREFETCH_ROWS]);
}

SFR_INLINE const sfr_ops *some_ops(sfr_sender *const *senders, size_t count)
{
    return count ? senders[0]->ops : NULL;
}

SFR_INLINE void fetch_key(const sfr_sender *s, const sfr_ops *like, size_t size)
{
    if (sfr_arena_is_large) sfr_key_fetch(key_of(s), like, size);
}

size_t sfr_protect_size(sfr_sender *s, size_t frame_size, size_t preceding)
{
    uint64_t next = peek_ctr(s), ctr = next + preceding < next ? UINT64_MAX : next + preceding;
    return frame_size + sfr_header_size(s->kid, ctr) + s->tag_size;
}

SFR_INLINE uint64_t most_blocks(const sfr_frame *f)
{
    return (f->in_size + f->metadata_size) / 16 + 5; /* a header, three ends and J0 */
}

/* With the lock held. */
SFR_INLINE int check(sfr_sender *s, sfr_frame *f, size_t count, uint32_t generation, bool *all)
{
    int status = check_frame(s, f);
    if (SFR_UNLIKELY(status == SFR_OK && !ready(s, generation))) status = refusal(s);
    f->status = status;
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    f->out_size = f->in_size + header_size_of(s) + s->tag_size;
    if (SFR_LIKELY(last_alike(s) - peek_ctr(s) >= count && most_blocks(f) * count < s->few))
        return status;
    f->out_size = sfr_protect_size(s, f->in_size, count);
    *all = false;
    return status;
}

size_t sfr_protect_many_size(sfr_sender *const *senders, sfr_frame *frames, size_t count,
                             int *steady)
{
    const uint32_t generation = sfr_process_generation();
    const sfr_ops *like = some_ops(senders, count);
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        prefetch_sender(senders, i, count);
        fetch_key(s, like, frames[i].in_size);
        sfr_object_take(&s->lock);
        int status = check(s, &frames[i], count, generation, &all);
        sfr_object_drop(&s->lock);
        if (SFR_UNLIKELY(status != SFR_OK)) return i;
    }
    *steady = all;
    return count;
}

/* One frame, with `out` at hand: everything that may be in the way, then the counter. */
SFR_INLINE int reserve_into(sfr_sender *s, sfr_frame *f, header *h, const bool plain)
{
    int status = check_overlap(s, f);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    return reserve(s, f, f->out_size, sfr_process_generation(), h, plain);
}

int sfr_reserve(sfr_sender *s, sfr_frame *f)
{
    header h;
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) {
        sfr_object_take(&s->lock);
        status = reserve_into(s, f, &h, is_plain(s, f));
        sfr_object_drop(&s->lock);
    }
    if (SFR_UNLIKELY(status != SFR_OK)) f->out_size = 0;
    return f->status = status;
}

size_t sfr_reserve_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    const uint32_t generation = sfr_process_generation();
    header h;
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        int status = check_frame(s, &frames[i]);
        prefetch_sender(senders, i, count);
        if (SFR_LIKELY(status == SFR_OK)) {
            sfr_object_take(&s->lock);
            status = reserve(s, &frames[i], SIZE_MAX, generation, &h, is_plain(s, &frames[i]));
            sfr_object_drop(&s->lock);
        }
        frames[i].status = status;
        if (SFR_UNLIKELY(status != SFR_OK)) return i;
    }
    return count;
}

/* ---- seal ---- */

/* Where what follows the header is too short to hide more than its bytes, or lies there already. By
 * value: a header whose address is taken would live in memory. */
static __attribute__((noinline)) void put_header(uint8_t *start, header h)
{
    memcpy(start, h.words, h.size);
}

/* Moves the clear bytes, writes the header, and describes the rest to a kernel. The move comes
 * first: in place, the clear bytes lie where the header will. */
SFR_INLINE void make_row(sfr_row *row, const sfr_sender *s, const sfr_frame *f, const header *h)
{
    uint8_t *start = f->out + f->clear, *payload = start + h->size;
    const uint8_t *in = f->in + f->clear;
    if (SFR_UNLIKELY(f->clear)) memmove(f->out, f->in, f->clear);
    if (SFR_LIKELY(f->out_size >= f->clear + SFR_MAX_HEADER && in != payload)) {
        sfr_store64(start, h->words[0]); /* payload and tag overwrite the surplus */
        if (h->size > 8) sfr_store64(start + 8, h->words[1]), start[16] = (uint8_t)h->words[2];
    } else {
        put_header(start, *h);
    }
    sfr_row_nonce(row, key_of(s), summary_of(s), f->ctr);
    sfr_row_aad(row, h->words, h->size, f->out, f);
    row->in = in;
    row->out = payload;
    row->size = f->in_size - f->clear;
    row->tag.write = payload + row->size;
}

SFR_INLINE void seal_row(sfr_row *row)
{
    sfr_row *rows[1] = {row};
    row->key->ops->seal(rows, 1);
}

static int refused(sfr_frame *f, int status)
{
    f->out_size = 0;
    return f->status = status;
}

/* Holds the lock on entry, and not on return. */
SFR_INLINE int protect_locked(sfr_sender *s, sfr_frame *f, const bool plain)
{
    sfr_row row;
    header h;
    if (plain) assume_plain(f);
    int status = reserve_into(s, f, &h, plain);
    if (SFR_UNLIKELY(status != SFR_OK)) {
        sfr_object_drop(&s->lock);
        return refused(f, status);
    }
    make_row(&row, s, f, &h);
    if (SFR_LIKELY(row.size <= SFR_BRIEF)) {
        seal_row(&row);
        sfr_object_drop(&s->lock);
    } else {
        unsigned ticket = sfr_object_read_enter();
        sfr_object_drop(&s->lock);
        seal_row(&row);
        sfr_object_read_leave(ticket);
    }
    return f->status = SFR_OK;
}

static __attribute__((noinline)) int protect_any(sfr_sender *s, sfr_frame *f)
{
    return protect_locked(s, f, false);
}

int sfr_protect(sfr_sender *s, sfr_frame *f)
{
    int status = check_frame(s, f);
    if (SFR_UNLIKELY(status != SFR_OK)) return refused(f, status);
    sfr_object_take(&s->lock);
    return is_plain(s, f) ? protect_locked(s, f, true) : protect_any(s, f);
}

/* ---- a batch ---- */

/* With the lock held: a counter, and the row that uses it. */
SFR_INLINE int plan_as(sfr_sender *s, sfr_frame *f, uint32_t generation, sfr_row *row,
                       const bool plain)
{
    header h;
    if (plain) assume_plain(f);
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) status = reserve(s, f, f->out_size, generation, &h, plain);
    if (SFR_LIKELY(status == SFR_OK)) make_row(row, s, f, &h);
    return f->status = status;
}

static __attribute__((noinline)) int plan_any(sfr_sender *s, sfr_frame *f, uint32_t generation,
                                              sfr_row *row)
{
    return plan_as(s, f, generation, row, false);
}

SFR_INLINE int plan(sfr_sender *s, sfr_frame *f, uint32_t generation, sfr_row *row)
{
    if (is_plain(s, f)) return plan_as(s, f, generation, row, true);
    return plan_any(s, f, generation, row);
}

/* Of a frame that the compiler keeps in registers: one whose address is taken would lie in memory. */
SFR_INLINE int plan_apart(sfr_sender *s, sfr_frame *f, uint32_t generation, sfr_row *row)
{
    if (is_plain(s, f)) return plan_as(s, f, generation, row, true);
    sfr_frame copy = *f;
    plan_any(s, &copy, generation, row);
    *f = copy;
    return f->status;
}

/* Returns how many frames it sealed; the next one's status says why it was refused. */
static size_t protect_chunk(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    sfr_row rows[SFR_CHUNK];
    size_t planned = 0;
    unsigned ticket = sfr_object_read_enter();
    const uint32_t generation = sfr_process_generation();
    for (; planned < count; planned++) {
        sfr_sender *s = senders[planned];
        sfr_object_take(&s->lock);
        int status = plan(s, &frames[planned], generation, &rows[planned]);
        sfr_object_drop(&s->lock);
        if (SFR_UNLIKELY(status != SFR_OK)) break;
    }
    sfr_run(rows, planned, true);
    sfr_object_read_leave(ticket);
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

/* ---- columns ---- */

/* With the lock held: nothing but counters will change while `rows` rows and `blocks` blocks go by,
 * be they all of this sender. */
SFR_INLINE bool steady(const sfr_sender *s, uint32_t generation, size_t rows, uint64_t blocks)
{
    return ready(s, generation) && last_alike(s) - peek_ctr(s) >= rows && blocks < s->few;
}

/* Lengths are int32, those of ciphertexts too. */
SFR_INLINE bool fits(const sfr_sender *s, size_t size)
{
    return size <= s->max_frame && size <= INT32_MAX - SFR_MAX_OVERHEAD;
}

static void fetch_keys(sfr_sender *const *senders, const sfr_rows_in *in, size_t count)
{
    const sfr_ops *like = some_ops(senders, count);
    for (size_t i = 0; i < count; i++) {
        prefetch_sender(senders, i, count);
        sfr_key_fetch(key_of(senders[i]), like, (size_t)in->lengths[i]);
    }
}

size_t sfr_protect_columns_size(sfr_sender *const *senders, const sfr_rows_in *in, size_t count)
{
    const uint32_t generation = sfr_process_generation();
    size_t room = sfr_rows_size(in, count);
    if (room == SIZE_MAX) return 0;
    const uint64_t blocks = 4 * count + room / 16; /* at most: a header, an end and J0 a row */
    bool all = true;
    if (sfr_arena_is_large) fetch_keys(senders, in, count);
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        sfr_object_take(&s->lock);
        room += header_size_of(s) + s->tag_size;
        all &= fits(s, (size_t)in->lengths[i]) && steady(s, generation, count, blocks);
        sfr_object_drop(&s->lock);
    }
    return all ? room : 0;
}

/* Up to a chunk of rows; `end` is where their room ends. They are frames one at a time, which the
 * compiler keeps in registers. Returns how many rows it sealed, and moves `at` behind them. */
static size_t columns_chunk(sfr_sender *const *senders, const sfr_rows_in in, size_t count,
                            const sfr_rows_out to, uint8_t **at, const uint8_t *end, int64_t offset)
{
    sfr_row rows[SFR_CHUNK];
    size_t i = 0;
    uint8_t *out = *at;
    const uint8_t *origin = out - offset;
    unsigned ticket = sfr_object_read_enter();
    const uint32_t generation = sfr_process_generation();
    for (; i < count; i++) {
        sfr_sender *s = senders[i];
        sfr_frame f = {.in = sfr_row_start(&in, i), .in_size = (size_t)in.lengths[i]};
        f.out = out, f.out_size = (size_t)(end - out);
        sfr_object_take(&s->lock);
        int status = plan_apart(s, &f, generation, &rows[i]);
        sfr_object_drop(&s->lock);
        if (SFR_UNLIKELY(status != SFR_OK)) break;
        to.offsets[i] = out - origin;
        to.lengths[i] = (int32_t)f.out_size;
        to.kid[i] = f.kid;
        to.ctr[i] = f.ctr;
        out += f.out_size;
    }
    memset(to.status, SFR_OK, i);
    sfr_run(rows, i, true);
    sfr_object_read_leave(ticket);
    *at = out;
    return i;
}

size_t sfr_protect_columns(sfr_sender *const *senders, const sfr_rows_in *in, size_t count,
                           uint8_t *out, size_t room, const sfr_rows_out *to)
{
    uint8_t *at = out;
    for (size_t row = 0, some, done; row < count; row += some) {
        some = count - row < SFR_CHUNK ? count - row : SFR_CHUNK;
        done = columns_chunk(senders + row, sfr_rows_from(in, row), some, sfr_rows_to(to, row), &at,
                             out + room, at - out);
        if (SFR_UNLIKELY(done < some)) return row + done;
    }
    return count;
}

/* A sender closed since the frame was reserved, or a fork in between: the counter is lost, and
 * nothing is sealed. */
static int plan_reserved(sfr_sender *s, const sfr_frame *f, sfr_row *row)
{
    header h;
    if (!atomic_load(&s->key)) return SFR_E_RETIRED;
    if (s->generation != sfr_process_generation()) return SFR_E_FORKED;
    h.size = sfr_header_words(s->kid, f->ctr, h.words);
    make_row(row, s, f, &h);
    return SFR_OK;
}

static void seal_chunk(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    sfr_row rows[SFR_CHUNK];
    size_t planned = 0;
    unsigned ticket = sfr_read_enter();
    for (size_t i = 0; i < count; i++) {
        frames[i].status = plan_reserved(senders[i], &frames[i], &rows[planned]);
        if (frames[i].status == SFR_OK)
            planned++;
        else
            frames[i].out_size = 0;
    }
    sfr_run(rows, planned, true);
    sfr_read_leave(ticket);
}

void sfr_seal_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    for (size_t at = 0; at < count; at += SFR_CHUNK) {
        size_t some = count - at < SFR_CHUNK ? count - at : SFR_CHUNK;
        seal_chunk(senders + at, frames + at, some);
    }
}
