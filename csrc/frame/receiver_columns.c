/* Columns: plain frames of many receivers, opened from one buffer into another. */
#include "frame/receiver_batch.h"

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

/* What a row's plan leaves for its commit. */
typedef struct planned {
    rx_key *key; /* NULL: refused, for the reason `why`; it has no sfr_row */
    uint64_t ctr;
    uint64_t kid; /* of a refused row, as its room and `why` */
    int32_t room;
    uint8_t why;
} planned;

typedef struct open_chunk {
    sfr_row rows[SFR_CHUNK];
    planned plans[SFR_CHUNK];
    size_t planned;
} open_chunk;

/* Plans the usual row, whose header is the predicted one; NULL for any other. The compiler keeps the
 * frame in registers, because no address of it leaves this function. */
SFR_INLINE rx_key *plan_usual(const sfr_receiver *r, sfr_span in, uint8_t *out, size_t room,
                              sfr_row *row, uint64_t *ctr)
{
    sfr_frame f = {.in = in.data, .in_size = in.size, .out = out};
    parsed p;
    rx_key *k = match_prediction(r, &f, &p);
    if (SFR_UNLIKELY(!k || p.size > room)) return NULL;
    make_row(row, r, k, &f, &p);
    *ctr = f.ctr;
    return k;
}

/* Plans any other row. Out of line, because inlined it would cost the usual row registers. */
static __attribute__((noinline)) size_t plan_other(sfr_receiver *r, sfr_span in, uint8_t *out,
                                                   size_t room, sfr_row *row, planned *to)
{
    sfr_frame f = {.in = in.data, .in_size = in.size, .out = out, .out_size = room};
    parsed p = {.size = 0};
    to->key = NULL;
    int status = plan_batched(r, &f, row, &to->key, &p, true, false);
    if (status != SFR_OK && status != SFR_UNKNOWN_KEY) p.size = 0;
    to->why = (uint8_t)(status < 0 ? SFR_MALFORMED : status);
    to->kid = f.kid, to->ctr = f.ctr;
    to->room = (int32_t)p.size;
    return p.size;
}

/* Plans a chunk, rows back to back. Returns where the next row's room begins. */
SFR_INLINE uint8_t *plan_columns(sfr_receiver *const *receivers, const sfr_rows_in in, size_t count,
                                 uint8_t *out, const uint8_t *end, open_chunk *c, const bool alone)
{
    sfr_row *row = c->rows;
    planned *to = c->plans;
    for (size_t i = 0; i < count; i++, to++) {
        sfr_receiver *r = receivers[i];
        const sfr_span given = {sfr_row_start(&in, i), (size_t)in.lengths[i]};
        const size_t room = (size_t)(end - out);
        prefetch_recent(receivers, i, count);
        rx_key *k = alone ? plan_usual(r, given, out, room, row, &to->ctr) : NULL;
        if (SFR_LIKELY(k != NULL)) {
            to->key = k;
            out += (row++)->size;
            continue;
        }
        out += plan_other(r, given, out, room, row, to);
        row += to->key != NULL;
    }
    c->planned = (size_t)(row - c->rows);
    return out;
}

/* With the lock held. The data hold nothing but frames and zeros. An unknown KID is counted even if
 * the receiver defers, because columns do not name it to the caller. */
static void settle_refused(sfr_receiver *r, const planned *p, const sfr_rows_out to, size_t i,
                           uint8_t *out, size_t room, int status)
{
    if (status == SFR_MALFORMED) r->malformed++;
    if (status == SFR_UNKNOWN_KEY) sfr_note_stranger(r, p->key ? p->key->kid : p->kid, p->ctr);
    memset(out, 0, room);
    to.status[i] = (uint8_t)status;
    to.kid[i] = to.ctr[i] = 0;
    to.lengths[i] = 0;
}

/* Returns the number of frames refused. */
SFR_INLINE size_t commit_columns(sfr_receiver *const *receivers, size_t count, uint8_t *out,
                                 int64_t offset, const sfr_rows_out to, const open_chunk *c,
                                 const bool alone)
{
    size_t refused = 0;
    const sfr_row *row = c->rows;
    memset(to.status, SFR_OK, count);
    for (size_t i = 0; i < count; i++) {
        const planned *p = &c->plans[i];
        sfr_receiver *r = receivers[i];
        rx_key *k = p->key;
        size_t size;
        int status;
        if (!alone) sfr_lock_take(&r->lock);
        to.offsets[i] = offset;
        if (SFR_LIKELY(k != NULL)) {
            to.lengths[i] = (int32_t)(size = row->size);
            to.kid[i] = k->kid;
            to.ctr[i] = p->ctr;
            status = commit(r, k, p->ctr, (row++)->status);
        } else {
            size = (size_t)p->room;
            status = p->why;
        }
        if (SFR_UNLIKELY(status != SFR_OK))
            settle_refused(r, p, to, i, out + offset, size, status), refused++;
        if (!alone) sfr_lock_drop(&r->lock);
        offset += (int64_t)size;
    }
    return refused;
}

SFR_INLINE size_t open_columns(sfr_receiver *const *receivers, const sfr_rows_in given, size_t some,
                               uint8_t *out, size_t *at, size_t room, const sfr_rows_out here,
                               const bool alone)
{
    open_chunk c;
    const size_t from = *at;
    uint8_t *next = plan_columns(receivers, given, some, out + from, out + room, &c, alone);
    sfr_run(c.rows, c.planned, false);
    *at = (size_t)(next - out);
    return commit_columns(receivers, some, out, (int64_t)from, here, &c, alone);
}

/* Two copies of the code: whether callers are serialized is asked once, not for every row. */
static size_t open_alone(sfr_receiver *const *receivers, const sfr_rows_in given, size_t some,
                         uint8_t *out, size_t *at, size_t room, const sfr_rows_out here)
{
    return open_columns(receivers, given, some, out, at, room, here, true);
}

static size_t open_shared(sfr_receiver *const *receivers, const sfr_rows_in given, size_t some,
                          uint8_t *out, size_t *at, size_t room, const sfr_rows_out here)
{
    unsigned ticket = sfr_read_enter();
    size_t refused = open_columns(receivers, given, some, out, at, room, here, false);
    sfr_read_leave(ticket);
    return refused;
}

size_t sfr_unprotect_columns(sfr_receiver *const *receivers, const sfr_rows_in *in, size_t count,
                             uint8_t *out, size_t *room, const sfr_rows_out *to)
{
    size_t refused = 0, at = 0;
    for (size_t row = 0, some; row < count; row += some) {
        some = count - row < SFR_CHUNK ? count - row : SFR_CHUNK;
        const sfr_rows_in given = sfr_rows_from(in, row);
        const sfr_rows_out here = sfr_rows_to(to, row);
        if (sfr_arena_is_large) fetch_keys(receivers + row, &given, some);
        refused += (sfr_serialized ? open_alone : open_shared)(receivers + row, given, some, out,
                                                               &at, *room, here);
    }
    *room = at;
    return refused;
}
