/* Batches of frames: check, protect, and protect in two steps. */
#include "frame/sender_batch.h"

/* ---- check ---- */

SFR_INLINE uint64_t most_blocks(const sfr_frame *f)
{
    return (f->in_size + f->metadata_size) / 16 + 5; /* a header, three ends and J0 */
}

/* With the lock held. */
SFR_INLINE int check(sfr_sender *s, sfr_frame *f, size_t count, uint32_t generation, bool *all)
{
    int status = check_frame(s, f);
    if (SFR_UNLIKELY(status == SFR_OK && !ready(s, generation))) status = sfr_sender_refusal(s);
    f->status = status;
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    f->out_size = f->in_size + mark_size_of(s) + s->tag_size;
    if (SFR_LIKELY(last_alike(s) - peek_ctr(s) >= count && most_blocks(f) * count < s->blocks_left))
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

/* ---- protect ---- */

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

/* ---- in two steps ---- */

size_t sfr_reserve_many(sfr_sender *const *senders, sfr_frame *frames, size_t count)
{
    const uint32_t generation = sfr_process_generation();
    sfr_mark m;
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        int status = check_frame(s, &frames[i]);
        prefetch_sender(senders, i, count);
        if (SFR_LIKELY(status == SFR_OK)) {
            sfr_object_take(&s->lock);
            status = reserve(s, &frames[i], SIZE_MAX, generation, &m, is_plain(s, &frames[i]));
            sfr_object_drop(&s->lock);
        }
        frames[i].status = status;
        if (SFR_UNLIKELY(status != SFR_OK)) return i;
    }
    return count;
}

/* If the sender was closed since the frame was reserved, or the process forked, the counter is lost
 * and nothing is sealed. */
static int plan_reserved(sfr_sender *s, const sfr_frame *f, sfr_row *row)
{
    if (!atomic_load(&s->key)) return SFR_E_RETIRED;
    if (s->generation != sfr_process_generation()) return SFR_E_FORKED;
    const sfr_mark m = sfr_format_mark(s->kid, f->ctr, s->stream);
    make_row(row, s, f, &m);
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
