/* The uncommon cases of commit, kept out of line. */
#include "frame/commit.h"

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
