/* Receiver: parse -> resolve -> open -> commit.
 *
 * Rule 1: parse and resolve only look. Windows, statistics of a key and provisional marks change
 *         in commit, after a tag has verified.
 * Rule 2: what a forged header can move is bounded: two frame counts, sixteen remembered KIDs, and
 *         what frame/reach.c says of keys that can be derived.
 * Rule 3: commit judges in row order, window first, so a batch equals the same single calls.
 * Rule 4: a frame that is refused after its key ran leaves zeros.
 */
#include <stdlib.h>

#include "frame/receiver.h"

/* ---- the replay window: RFC 9605 9.3 MAY, in the manner of RFC 3711 3.3.2 ---- */

SFR_INLINE int window_judge(const sfr_receiver *r, const rx_key *k, uint64_t ctr)
{
    if (!r->window || !k->any || ctr > k->top) return SFR_OK;
    if (k->top - ctr >= r->window) return SFR_TOO_OLD;
    uint64_t bit = ctr & (r->window_bits - 1);
    return k->seen[bit / 64] >> (bit % 64) & 1 ? SFR_REPLAYED : SFR_OK;
}

/* Clears the bits of the CTRs between the old top and the new one. */
static void window_skip(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    if (ctr - k->top > r->window_bits) {
        memset(k->seen, 0, r->window_bits / 8);
        return;
    }
    for (uint64_t skipped = k->top + 1; skipped != ctr; skipped++) {
        uint64_t bit = skipped & (r->window_bits - 1);
        k->seen[bit / 64] &= ~((uint64_t)1 << bit % 64);
    }
}

SFR_INLINE void window_mark(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    if (r->window) {
        /* Not top + 1: that is 0 after the last CTR there is. */
        if (SFR_UNLIKELY(k->any && ctr > k->top && ctr - k->top > 1)) window_skip(r, k, ctr);
        uint64_t bit = ctr & (r->window_bits - 1);
        k->seen[bit / 64] |= (uint64_t)1 << bit % 64;
    }
    if (!k->any || ctr > k->top) k->top = ctr;
    k->any = true;
}

/* ---- what refused frames look like: for names in reports, and nothing else ---- */

#define TRAIL_STEP 32  /* CTRs that loss or layers left out may skip */
#define TRAIL_LATE 256 /* how far back a frame is of the same run: all that one byte can be */
#define TRAIL_STUCK 16 /* late frames in a row, then the run goes on from where they are */

/* Whether this CTR goes on from one before. */
static __attribute__((noinline)) bool trail_follow(trail *t, uint64_t ctr)
{
    uint32_t top = (uint32_t)ctr;
    int32_t step = 0;
    size_t run = 0;
    for (; run < t->runs; run++) {
        step = (int32_t)(top - t->top[run]);
        if (step >= -TRAIL_LATE && step <= TRAIL_STEP) break;
    }
    const bool known = run < t->runs, advanced = known && step > 0;
    if (known && !advanced && ++t->late < TRAIL_STUCK)
        top = t->top[run];
    else
        t->late = 0;
    if (!known && t->runs < TRAIL_RUNS) t->runs++;
    memmove(&t->top[1], t->top, (known ? run : t->runs - 1u) * sizeof *t->top);
    t->top[0] = top;
    return advanced;
}

SFR_INLINE int judge(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    int status = window_judge(r, k, ctr);
    if (SFR_UNLIKELY(status != SFR_OK)) {
        *(status == SFR_REPLAYED ? &k->replayed : &k->too_old) += 1;
        k->advanced += trail_follow(&k->refused, ctr);
    }
    return status;
}

/* ---- parse and resolve ---- */

/* A KID keeps its place for so many unknown frames: in a call of more members than there are places
 * each would else push out the next before that one comes again. After so many it is gone. */
#define STRANGER_STAYS 128
#define STRANGER_GONE 1024

static uint64_t worth(const sfr_receiver *r, const struct stranger *s)
{
    return (int64_t)(r->unknown - s->latest) < STRANGER_GONE ? s->frames : 0;
}

/* Strangers lie in the order they came in, so that of those with the fewest frames the oldest makes
 * room. NULL where it is not to. */
static struct stranger *make_room(const sfr_receiver *r, uint64_t kid)
{
    struct stranger *const s = r->strangers, *const end = s + SFR_UNKNOWN_TRACKED, *least = s;
    for (struct stranger *at = s + 1; at < end; at++)
        if (worth(r, at) < worth(r, least)) least = at;
    if (worth(r, least) && (int64_t)(r->unknown - least->latest) < STRANGER_STAYS) return NULL;
    memmove(least, least + 1, (size_t)(end - least - 1) * sizeof *s);
    end[-1] = (struct stranger){.kid = kid};
    return &end[-1];
}

static void note_stranger(sfr_receiver *r, uint64_t kid, uint64_t ctr)
{
    r->unknown++;
    if (!r->strangers) r->strangers = calloc(SFR_UNKNOWN_TRACKED, sizeof *r->strangers);
    struct stranger *s = r->strangers;
    if (!s) return;
    struct stranger *const end = s + SFR_UNKNOWN_TRACKED;
    while (s < end && SFR_LIKELY(s->kid != kid || !s->frames)) s++;
    if (s == end && !(s = make_room(r, kid))) return;
    s->frames++;
    s->latest = r->unknown;
    s->advanced += trail_follow(&s->unknown, ctr);
}

/* What parse found: the header's words and size, and the payload's. */
typedef struct parsed {
    uint64_t words[3];
    size_t header_size, size;
} parsed;

/* The receiver's constants and the caller's frame only: safe without the lock. Fills f->kid and
 * f->ctr. */
SFR_INLINE int parse(const sfr_receiver *r, sfr_frame *f, parsed *p)
{
    size_t tag = r->tag_size;
    sfr_header header;
    if (SFR_UNLIKELY(f->in_size < tag || f->clear >= f->in_size - tag)) return SFR_MALFORMED;
    size_t left = f->in_size - tag - f->clear;
    if (SFR_UNLIKELY(sfr_header_read(f->in + f->clear, left, r->strict, p->words, &header)))
        return SFR_MALFORMED;
    f->kid = header.kid;
    f->ctr = header.ctr;
    p->header_size = header.size;
    p->size = left - header.size;
    if (SFR_UNLIKELY(f->clear + p->size > r->max_frame)) return SFR_MALFORMED;
    return SFR_OK;
}

/* The usual frame: of the key that the last frame had, with a header like those before it, of one
 * word. One look tells. NULL for any other, which parse and find will tell. Not where others may
 * change the key meanwhile. */
SFR_INLINE rx_key *match_prediction(const sfr_receiver *r, sfr_frame *f, parsed *p)
{
    rx_key *k = atomic_load_explicit(&r->recent, memory_order_relaxed);
    const size_t tag = r->tag_size, least = sizeof(uint64_t) + tag;
    if (SFR_UNLIKELY(!k || f->in_size < least || f->clear > f->in_size - least)) return NULL;
    uint64_t word = sfr_header_load_first(f->in + f->clear, sizeof(uint64_t));
    uint64_t unlike = word ^ k->head, rest = unlike >> k->ctr_at, ctr = rest & k->ctr_mask;
    if (SFR_UNLIKELY(rest << k->ctr_at != unlike || (uint8_t)ctr < k->first_byte)) return NULL;
    p->words[0] = k->head | ctr << k->ctr_at;
    p->words[1] = p->words[2] = 0;
    p->header_size = k->header_size;
    p->size = f->in_size - tag - f->clear - p->header_size;
    f->kid = k->kid;
    f->ctr = sfr_be64(ctr) >> (64 - k->ctr_bits);
    return SFR_LIKELY(f->clear + p->size <= r->max_frame) ? k : NULL;
}

/* With the lock held: the headers that recall is to know from now on. None while ctr_mask is 0, since
 * first_byte is not. */
static __attribute__((noinline)) void predict_headers(rx_key *k, uint64_t ctr)
{
    unsigned kid_bytes = sfr_field_bytes(k->kid), bytes = sfr_field_bytes(ctr);
    k->ctr_mask = 0;
    if (!bytes || kid_bytes + bytes >= sizeof(uint64_t)) return;
    k->ctr_mask = UINT64_MAX >> (64 - 8 * bytes);
    k->head = sfr_kid_word(k->kid) | 0x08 | (bytes - 1);
    k->ctr_at = (uint8_t)(8 + 8 * kid_bytes), k->ctr_bits = (uint8_t)(8 * bytes);
    k->first_byte = bytes == 1 ? 8 : 1;
    k->header_size = (uint8_t)(1 + kid_bytes + bytes);
}

SFR_INLINE int check_out(const sfr_frame *f, const parsed *p)
{
    size_t size = f->clear + p->size;
    if (SFR_UNLIKELY(size > f->out_size)) return SFR_E_ROOM;
    if (SFR_UNLIKELY(sfr_overlap(f->metadata, f->metadata_size, f->out, size)))
        return SFR_E_OVERLAP;
    if (SFR_LIKELY(!sfr_overlap(f->in, f->in_size, f->out, size))) return SFR_OK;
    return f->out == f->in + p->header_size ? SFR_OK : SFR_E_OVERLAP;
}

/* Moves the clear bytes and describes the rest to a kernel. The tag and the payload are the
 * kernel's to read, once; clear bytes are authenticated as they lie in `out`. */
SFR_INLINE void make_row(sfr_row *row, const sfr_receiver *r, const rx_key *k, const sfr_frame *f,
                         const parsed *p)
{
    const uint8_t *payload = f->in + f->clear + p->header_size;
    if (f->clear) memmove(f->out, f->in, f->clear);
    sfr_row_nonce(row, key_of(r, k), k->summary, f->ctr);
    sfr_row_aad(row, p->words, p->header_size, f->out, f);
    row->in = payload;
    row->out = f->out + f->clear;
    row->size = p->size;
    row->tag.read = payload + p->size;
}

/* A frame refused before its key ran: whatever `out` held is not to pass for plaintext, unless
 * `out` holds the ciphertext itself, which the caller may want to try again. */
static void refuse(sfr_frame *f, int status)
{
    size_t size = f->in_size < f->out_size ? f->in_size : f->out_size;
    if (status > 0 && size && !sfr_overlap(f->in, f->in_size, f->out, size))
        memset(f->out, 0, size);
    f->out_size = 0;
    f->status = status;
}

/* ---- commit ---- */

/* Only frames that open earn anything: a forged one must not. */
SFR_INLINE void earn(sfr_receiver *r)
{
    if (SFR_UNLIKELY(++r->seen % FRAMES_PER_ALLOWANCE == 0) && r->allowance < ALLOWANCE)
        r->allowance++;
}

static void count_failure(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    k->auth_failed++;
    k->advanced += trail_follow(&k->refused, ctr);
    if (r->tag_size == SHORT_TAG && k->auth_failed >= SHORT_TAG_FAILURES) k->closed = true;
}

static void confirm(sfr_receiver *r, rx_key *k)
{
    if (k->kind == SFR_KEY_ASKED) sfr_asked_drop(r, k);
    k->kind = SFR_KEY_GIVEN, k->confirmed = true;
    k->next = r->news, r->news = k;
    r->pending++;
}

/* With the lock held, in row order. Returns the frame's final status. */
SFR_INLINE int commit(sfr_receiver *r, rx_key *k, uint64_t ctr, int opened)
{
    if (SFR_UNLIKELY(k->removed)) return SFR_UNKNOWN_KEY;
    int status = judge(r, k, ctr);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    if (SFR_UNLIKELY(opened != SFR_OK || k->closed)) {
        count_failure(r, k, ctr);
        return SFR_AUTH_FAILED;
    }
    window_mark(r, k, ctr);
    earn(r);
    if (SFR_UNLIKELY(atomic_load_explicit(&r->recent, memory_order_relaxed) != k))
        atomic_store_explicit(&r->recent, k, memory_order_release);
    if (SFR_UNLIKELY(ctr > k->ctr_mask)) predict_headers(k, ctr);
    k->opened++;
    if (SFR_UNLIKELY(k->kind != SFR_KEY_GIVEN)) confirm(r, k);
    return SFR_OK;
}

/* RFC 9605 4.4.4 MUST: discarded. What of `out` holds no frame holds zeros. */
SFR_INLINE int finish(sfr_frame *f, size_t size, int status)
{
    f->status = status;
    f->out_size = f->clear + size;
    if (SFR_UNLIKELY(status != SFR_OK)) {
        if (f->out_size) memset(f->out, 0, f->out_size);
        f->out_size = 0;
    }
    return status;
}

/* Receivers of a batch lie all over memory: fetched a few rows ahead. */
SFR_INLINE void prefetch_receiver(sfr_receiver *const *receivers, size_t i, size_t count)
{
    enum { PREFETCH_ROWS = 8 };
    if (i + PREFETCH_ROWS < count) __builtin_prefetch(receivers[i + PREFETCH_ROWS]);
}

SFR_INLINE void prefetch_recent(sfr_receiver *const *receivers, size_t i, size_t count)
{
    enum { PREFETCH_ROWS = 6 };
    if (i + PREFETCH_ROWS < count)
        __builtin_prefetch(
            atomic_load_explicit(&receivers[i + PREFETCH_ROWS]->recent, memory_order_relaxed));
}

/* And so do keys, where they are too many for the cache: that of the last frame is the likely one. */
SFR_INLINE void fetch_key(const sfr_receiver *r, const sfr_ops *like, size_t size)
{
    const rx_key *k = atomic_load_explicit(&r->recent, memory_order_relaxed);
    if (!sfr_arena_is_large || !k) return;
    __builtin_prefetch(k);
    sfr_key_fetch(key_of(r, k), like, size);
}

SFR_INLINE const sfr_ops *ops_of(const sfr_receiver *r)
{
    return r->kernel->ops[sfr_suite_family(r->suite)];
}

/* ---- one frame ---- */

/* With the lock held: all that can be known before the key runs. Only looks at `out`. */
SFR_INLINE int plan(sfr_receiver *r, sfr_frame *f, parsed *p, rx_key **key)
{
    rx_key *k = *key = match_prediction(r, f, p);
    int status = SFR_LIKELY(k != NULL) ? SFR_OK : parse(r, f, p);
    if (SFR_UNLIKELY(status != SFR_OK)) {
        r->malformed++;
        return status;
    }
    status = check_out(f, p);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    if (SFR_UNLIKELY(!k)) k = *key = find(r, f->kid);
    if (SFR_UNLIKELY(!k)) {
        note_stranger(r, f->kid, f->ctr);
        return SFR_UNKNOWN_KEY;
    }
    return judge(r, k, f->ctr);
}

SFR_INLINE void open_row(sfr_row *row)
{
    sfr_row *rows[1] = {row};
    row->key->ops->open(rows, 1);
}

/* With the lock held. A frame that cannot be opened is refused here. */
SFR_INLINE int screen(sfr_receiver *r, sfr_frame *f, parsed *p, rx_key **key)
{
    int status = SFR_UNLIKELY(r->closed) ? SFR_E_RETIRED : plan(r, f, p, key);
    if (SFR_LIKELY(status == SFR_OK)) return status;
    refuse(f, status);
    return status;
}

int sfr_screen(sfr_receiver *r, sfr_frame *f)
{
    parsed p;
    rx_key *k;
    sfr_object_take(&r->lock);
    int status = screen(r, f, &p, &k);
    sfr_object_drop(&r->lock);
    return status;
}

SFR_INLINE void unprotect_locked(sfr_receiver *r, sfr_frame *f)
{
    sfr_row row;
    parsed p;
    rx_key *k;
    if (SFR_UNLIKELY(screen(r, f, &p, &k) != SFR_OK)) return;
    make_row(&row, r, k, f, &p);
    unsigned ticket = 0;
    bool brief = row.size <= SFR_BRIEF;
    if (SFR_UNLIKELY(!brief)) ticket = sfr_object_read_enter(), sfr_object_drop(&r->lock);
    open_row(&row);
    if (SFR_UNLIKELY(!brief)) sfr_object_take(&r->lock);
    finish(f, row.size, commit(r, k, f->ctr, row.status));
    if (SFR_UNLIKELY(!brief)) sfr_object_read_leave(ticket);
}

int sfr_unprotect(sfr_receiver *r, sfr_frame *f)
{
    sfr_object_take(&r->lock);
    unprotect_locked(r, f);
    sfr_object_drop(&r->lock);
    return f->status;
}

size_t sfr_unprotect_size(const sfr_receiver *r, const uint8_t *in, size_t in_size, size_t clear)
{
    if (SFR_UNLIKELY(in_size < r->tag_size || clear >= in_size - r->tag_size)) return 0;
    size_t left = in_size - r->tag_size - clear, header = sfr_header_length(in[clear]);
    return SFR_UNLIKELY(header > left || clear + left - header > r->max_frame)
               ? 0
               : clear + left - header;
}

size_t sfr_unprotect_many_size(sfr_receiver *const *receivers, sfr_frame *frames, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        sfr_frame *f = &frames[i];
        prefetch_receiver(receivers, i, count);
        fetch_key(receivers[i], ops_of(receivers[0]), f->in_size);
        total += f->out_size = sfr_unprotect_size(receivers[i], f->in, f->in_size, f->clear);
    }
    return total;
}

/* ---- a batch ---- */

typedef struct chunk {
    sfr_row rows[SFR_CHUNK];
    rx_key *keys[SFR_CHUNK]; /* of each frame; NULL: refused in plan, it has no row */
    size_t planned;
} chunk;

/* Without the lock: parse and resolve, no more. Whether it is a replay is for commit to say.
 * `apart`: in and out are known not to overlap. A frame that was screened may have another header
 * by now, so that it no longer lies exactly in place. `alone`: nobody else uses the receiver. */
SFR_INLINE int plan_batched(sfr_receiver *r, sfr_frame *f, sfr_row *row, rx_key **key, parsed *p,
                            bool apart, bool alone)
{
    rx_key *k = alone ? match_prediction(r, f, p) : NULL;
    int status = SFR_LIKELY(k != NULL) ? SFR_OK : parse(r, f, p);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    if (!apart) status = check_out(f, p);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    if (SFR_UNLIKELY(f->clear + p->size > f->out_size)) return SFR_E_ROOM;
    if (SFR_UNLIKELY(!k)) k = find(r, f->kid);
    if (SFR_UNLIKELY(!k)) return SFR_UNKNOWN_KEY;
    make_row(row, r, k, f, p);
    *key = k;
    return SFR_OK;
}

/* Serialized callers have exclusive access, except during sfr_open_many. */
SFR_INLINE void plan_chunk(sfr_receiver *const *receivers, sfr_frame *frames, size_t count,
                           chunk *c, bool apart)
{
    const bool alone = apart && sfr_serialized;
    parsed p;
    c->planned = 0;
    for (size_t i = 0; i < count; i++) {
        sfr_frame *f = &frames[i];
        c->keys[i] = NULL;
        f->status =
            plan_batched(receivers[i], f, &c->rows[c->planned], &c->keys[i], &p, apart, alone);
        c->planned += f->status == SFR_OK;
    }
}

static void commit_refused(sfr_receiver *r, sfr_frame *f)
{
    if (f->status == SFR_MALFORMED) r->malformed++;
    if (f->status == SFR_UNKNOWN_KEY) note_stranger(r, f->kid, f->ctr);
    refuse(f, f->status);
}

/* Returns how many frames were refused. */
static size_t commit_chunk(sfr_receiver *const *receivers, sfr_frame *frames, size_t count,
                           chunk *c)
{
    size_t refused = 0;
    const sfr_row *row = c->rows;
    for (size_t i = 0; i < count; i++) {
        sfr_receiver *r = receivers[i];
        sfr_frame *f = &frames[i];
        sfr_object_take(&r->lock);
        if (SFR_UNLIKELY(!c->keys[i]))
            commit_refused(r, f);
        else
            finish(f, row->size, commit(r, c->keys[i], f->ctr, row->status)), row++;
        sfr_object_drop(&r->lock);
        refused += f->status != SFR_OK;
    }
    return refused;
}

size_t sfr_unprotect_many(sfr_receiver *const *receivers, sfr_frame *frames, size_t count)
{
    size_t refused = 0;
    chunk c;
    for (size_t at = 0, some; at < count; at += some) {
        some = count - at < SFR_CHUNK ? count - at : SFR_CHUNK;
        unsigned ticket = sfr_object_read_enter();
        plan_chunk(receivers + at, frames + at, some, &c, true);
        sfr_run(c.rows, c.planned, false);
        refused += commit_chunk(receivers + at, frames + at, some, &c);
        sfr_object_read_leave(ticket);
    }
    return refused;
}

/* ---- columns ---- */

size_t sfr_unprotect_columns_size(const sfr_rows_in *in, size_t count)
{
    return sfr_rows_size(in, count);
}

static void fetch_keys(sfr_receiver *const *receivers, const sfr_rows_in *in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        prefetch_receiver(receivers, i, count);
        fetch_key(receivers[i], ops_of(receivers[0]), (size_t)in->lengths[i]);
    }
}

/* Plans a chunk, rows back to back. What commit needs of a row waits in its columns: KID, CTR, why
 * it has no key and, as its length, its room. Returns where the next row's room begins. */
static uint8_t *plan_columns(sfr_receiver *const *receivers, const sfr_rows_in in, size_t count,
                             uint8_t *out, const uint8_t *end, const sfr_rows_out to, chunk *c)
{
    const bool alone = sfr_serialized;
    c->planned = 0;
    for (size_t i = 0; i < count; i++) {
        prefetch_recent(receivers, i, count);
        sfr_frame f = {.in = sfr_row_start(&in, i), .in_size = (size_t)in.lengths[i], .out = out};
        parsed p = {.size = 0};
        f.out_size = (size_t)(end - out);
        c->keys[i] = NULL;
        int status =
            plan_batched(receivers[i], &f, &c->rows[c->planned], &c->keys[i], &p, true, alone);
        c->planned += status == SFR_OK;
        to.status[i] = (uint8_t)(status < 0 ? SFR_MALFORMED : status);
        to.lengths[i] = status == SFR_OK || status == SFR_UNKNOWN_KEY ? (int32_t)p.size : 0;
        to.kid[i] = f.kid;
        to.ctr[i] = f.ctr;
        out += to.lengths[i];
    }
    return out;
}

static int refuse_row(sfr_receiver *r, int status, uint64_t kid, uint64_t ctr)
{
    sfr_frame f = {.status = status, .kid = kid, .ctr = ctr};
    commit_refused(r, &f);
    return status;
}

/* Nothing but frames and zeros in the data. */
SFR_INLINE void settle(const sfr_rows_out to, size_t i, uint8_t *out, int status)
{
    to.status[i] = (uint8_t)status;
    if (SFR_LIKELY(status == SFR_OK)) return;
    memset(out, 0, (size_t)to.lengths[i]);
    to.kid[i] = to.ctr[i] = 0;
    to.lengths[i] = 0;
}

static size_t commit_columns(sfr_receiver *const *receivers, size_t count, uint8_t *out,
                             int64_t offset, const sfr_rows_out to, const chunk *c)
{
    size_t refused = 0;
    const sfr_row *row = c->rows;
    for (size_t i = 0; i < count; i++) {
        sfr_receiver *r = receivers[i];
        const int32_t room = to.lengths[i];
        sfr_object_take(&r->lock);
        int status = SFR_LIKELY(c->keys[i] != NULL)
                         ? commit(r, c->keys[i], to.ctr[i], (row++)->status)
                         : refuse_row(r, to.status[i], to.kid[i], to.ctr[i]);
        sfr_object_drop(&r->lock);
        settle(to, i, out, status);
        refused += status != SFR_OK;
        to.offsets[i] = offset;
        out += room, offset += room;
    }
    return refused;
}

size_t sfr_unprotect_columns(sfr_receiver *const *receivers, const sfr_rows_in *in, size_t count,
                             uint8_t *out, size_t *room, const sfr_rows_out *to)
{
    chunk c;
    size_t refused = 0;
    uint8_t *at = out, *next;
    for (size_t row = 0, some; row < count; row += some, at = next) {
        some = count - row < SFR_CHUNK ? count - row : SFR_CHUNK;
        const sfr_rows_in given = sfr_rows_from(in, row);
        const sfr_rows_out here = sfr_rows_to(to, row);
        unsigned ticket = sfr_object_read_enter();
        if (sfr_arena_is_large) fetch_keys(receivers + row, &given, some);
        next = plan_columns(receivers + row, given, some, at, out + *room, here, &c);
        sfr_run(c.rows, c.planned, false);
        refused += commit_columns(receivers + row, some, at, at - out, here, &c);
        sfr_object_read_leave(ticket);
    }
    *room = (size_t)(at - out);
    return refused;
}

/* ---- a batch in two halves ----
 * Between them keys may go, so a key is named by the order it came in. */

void sfr_open_many(sfr_receiver *const *receivers, sfr_frame *frames, size_t count)
{
    chunk c;
    for (size_t at = 0, some; at < count; at += some) {
        some = count - at < SFR_CHUNK ? count - at : SFR_CHUNK;
        unsigned ticket = sfr_read_enter();
        plan_chunk(receivers + at, frames + at, some, &c, false);
        sfr_run(c.rows, c.planned, false);
        const sfr_row *row = c.rows;
        for (size_t i = 0; i < some; i++) {
            sfr_frame *f = &frames[at + i];
            f->opened_by = c.keys[i] ? c.keys[i]->born : 0;
            if (!c.keys[i]) continue;
            f->status = row->status;
            f->out_size = f->clear + row->size;
            row++;
        }
        sfr_read_leave(ticket);
    }
}

static void commit_opened(sfr_receiver *r, sfr_frame *f)
{
    if (!f->opened_by) {
        commit_refused(r, f);
        return;
    }
    rx_key *k = find(r, f->kid);
    if (k && k->born == f->opened_by)
        finish(f, f->out_size - f->clear, commit(r, k, f->ctr, f->status));
    else
        finish(f, f->out_size - f->clear, SFR_UNKNOWN_KEY);
}

size_t sfr_commit_many(sfr_receiver *const *receivers, sfr_frame *frames, size_t count)
{
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        sfr_object_take(&receivers[i]->lock);
        commit_opened(receivers[i], &frames[i]);
        sfr_object_drop(&receivers[i]->lock);
        refused += frames[i].status != SFR_OK;
    }
    return refused;
}

/* ---- reports ---- */

void sfr_receiver_recognize(sfr_receiver *r, uint64_t kid)
{
    struct stranger *const s = r->strangers;
    sfr_object_take(&r->lock);
    r->unknown--;
    for (size_t i = 0; s && i < SFR_UNKNOWN_TRACKED; i++) {
        if (s[i].kid != kid || !s[i].frames) continue;
        if (--s[i].frames == 0) {
            memmove(&s[1], &s[0], i * sizeof *s);
            s[0] = (struct stranger){0};
        } else if (s[i].advanced > s[i].frames) {
            s[i].advanced = s[i].frames;
        }
        break;
    }
    sfr_object_drop(&r->lock);
}

void sfr_receiver_totals(sfr_receiver *r, sfr_receiver_stats *out)
{
    sfr_object_take(&r->lock);
    out->malformed = r->malformed;
    out->unknown = r->unknown;
    out->keys = r->closed ? 0 : r->count;
    memset(out->unknown_kids, 0, sizeof out->unknown_kids);
    for (size_t i = 0; r->strangers && i < SFR_UNKNOWN_TRACKED; i++) {
        const struct stranger *s = &r->strangers[i];
        out->unknown_kids[i] = (struct sfr_stranger){s->kid, s->frames, s->advanced};
    }
    sfr_object_drop(&r->lock);
}
