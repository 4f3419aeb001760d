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

/* Plans a chunk, rows back to back. The columns keep what commit needs of a row: KID, CTR, why it
 * has no key and, as its length, its room. Returns where the next row's room begins. */
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

/* The data hold nothing but frames and zeros. */
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
