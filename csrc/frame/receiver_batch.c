/* Batches of frames: unprotect, and unprotect in two steps. */
#include "frame/receiver_batch.h"

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
    if (f->status == SFR_UNKNOWN_KEY) f->status = sfr_unknown(r, f->kid, f->ctr);
    refuse(f, f->status);
}

/* Returns the number of frames refused. */
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
            finish(r, f, row->size, commit(r, c->keys[i], f->ctr, row->status)), row++;
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

/* ---- in two steps ----
 * Keys may be removed between the steps, so a key is named by its order of arrival. */

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
        finish(r, f, f->out_size - f->clear, commit(r, k, f->ctr, f->status));
    else
        finish(r, f, f->out_size - f->clear, SFR_UNKNOWN_KEY);
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
