/* Sender, one frame: reserve -> seal.
 *
 * Rule 1: a counter is taken under the lock, before the frame is touched, and never given back.
 * Rule 2: everything that can refuse a frame (closed, forked, lease, key budget, sizes) refuses it
 *         before a counter is taken.
 */
#include "frame/seal.h"

size_t sfr_protect_size(sfr_sender *s, size_t frame_size, size_t preceding)
{
    uint64_t next = peek_ctr(s), ctr = next + preceding < next ? UINT64_MAX : next + preceding;
    return frame_size + sfr_format_size(s->kid, ctr) + s->tag_size;
}

int sfr_reserve(sfr_sender *s, sfr_frame *f)
{
    sfr_mark m;
    int status = check_frame(s, f);
    if (SFR_LIKELY(status == SFR_OK)) {
        sfr_object_take(&s->lock);
        status = reserve_into(s, f, &m, is_plain(s, f));
        sfr_object_drop(&s->lock);
    }
    if (SFR_UNLIKELY(status != SFR_OK)) f->out_size = 0;
    return f->status = status;
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
    sfr_mark m;
    if (plain) assume_plain(f);
    int status = reserve_into(s, f, &m, plain);
    if (SFR_UNLIKELY(status != SFR_OK)) {
        sfr_object_drop(&s->lock);
        return refused(f, status);
    }
    make_row(&row, s, f, &m);
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
