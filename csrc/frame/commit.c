/* The uncommon cases of commit, kept out of line. */
#include "frame/commit.h"

/* What commit does with a frame that is not the next of the recent key. */
int sfr_commit_other(sfr_receiver *r, rx_key *k, uint64_t ctr, int opened)
{
    if (SFR_UNLIKELY(k->removed)) return SFR_UNKNOWN_KEY;
    int status = judge(r, k, ctr);
    if (SFR_UNLIKELY(status != SFR_OK)) return status;
    if (SFR_UNLIKELY(opened != SFR_OK || k->closed)) {
        sfr_count_failure(r, k, ctr);
        return SFR_AUTH_FAILED;
    }
    window_mark(r, k, ctr);
    earn(r);
    if (atomic_load_explicit(&r->recent, memory_order_relaxed) != k)
        atomic_store_explicit(&r->recent, k, memory_order_release);
    if (SFR_FORMAT_PREDICTED && SFR_UNLIKELY(ctr > k->ctr_mask)) sfr_predict(k, ctr);
    k->opened++;
    if (SFR_UNLIKELY(k->kind != SFR_KEY_GIVEN)) sfr_confirm(r, k);
    return SFR_OK;
}

void sfr_count_failure(const sfr_receiver *r, rx_key *k, uint64_t ctr)
{
    k->auth_failed++;
    k->advanced += sfr_trail_follow(&k->refused, ctr);
    if (r->tag_size == SHORT_TAG && k->auth_failed >= SHORT_TAG_FAILURES) k->closed = true;
}

void sfr_confirm(sfr_receiver *r, rx_key *k)
{
    if (k->kind == SFR_KEY_ASKED) sfr_asked_drop(r, k);
    k->kind = SFR_KEY_GIVEN, k->confirmed = true;
    k->next = r->unreported, r->unreported = k;
    r->pending++;
}

/* From now on the headers around `ctr` are expected. No header is while ctr_mask is 0, because
 * first_byte is not. */
void sfr_predict(rx_key *k, uint64_t ctr)
{
#if SFR_FORMAT_PREDICTED
    const sfr_prediction p = sfr_format_predict(k->kid, ctr);
    k->head = p.head, k->ctr_mask = p.ctr_mask;
    k->ctr_at = p.ctr_at, k->ctr_bits = p.ctr_bits;
    k->first_byte = p.first_byte, k->mark_size = p.size;
#else
    (void)k, (void)ctr;
#endif
}
