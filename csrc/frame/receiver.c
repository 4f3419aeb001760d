/* Receiver, one frame: parse -> resolve -> open -> commit.
 *
 * Rule 1: windows and provisional keys change in commit, after a tag has verified, and nowhere else.
 * Rule 2: what a forged header can change is bounded: counts of refused frames, sixteen remembered
 *         KIDs, and what frame/reach.c says of keys that can be derived.
 * Rule 3: commit judges in row order, window first, so a batch equals the same single calls.
 * Rule 4: a frame that is refused after its key ran leaves zeros.
 */
#include "frame/commit.h"

/* With the lock held: everything that can be known before the key runs. Writes nothing to `out`. */
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
    if (SFR_UNLIKELY(!k)) return sfr_unknown(r, f->kid, f->ctr);
    return judge(r, k, f->ctr);
}

SFR_INLINE void open_row(sfr_row *row)
{
    sfr_row *rows[1] = {row};
    row->key->ops->open(rows, 1);
}

/* With the lock held. Refuses a frame that cannot be opened. */
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
    finish(r, f, row.size, commit(r, k, f->ctr, row.status));
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
    size_t left = in_size - r->tag_size - clear;
    size_t mark = sfr_format_length(in + clear, left, in + in_size);
    if (SFR_UNLIKELY(mark > left || clear + left - mark > r->max_frame)) return 0;
    return clear + left - mark;
}
