/* Receiver: parse and resolve, up to the row. Inlined into the receiver's files. */
#ifndef SFR_PARSE_H
#define SFR_PARSE_H

#include "frame/receiver.h"
#include SFR_FORMAT

/* The mark of a frame, and the size of its payload. */
typedef struct parsed {
    sfr_mark mark;
    size_t size;
} parsed;

/* Reads the receiver's constants and the caller's frame only, so it is safe without the lock. Fills
 * f->kid and f->ctr. */
SFR_INLINE int parse(const sfr_receiver *r, sfr_frame *f, parsed *p)
{
    size_t tag = r->tag_size;
    if (SFR_UNLIKELY(f->in_size < tag || f->clear >= f->in_size - tag)) return SFR_MALFORMED;
    size_t left = f->in_size - tag - f->clear;
    if (SFR_UNLIKELY(sfr_format_read(f->in + f->clear, left, f->in + f->in_size, r->strict,
                                     &p->mark, &f->kid, &f->ctr)))
        return SFR_MALFORMED;
    p->size = left - p->mark.size;
    if (SFR_UNLIKELY(f->clear + p->size > r->max_frame)) return SFR_MALFORMED;
    return SFR_OK;
}

#if SFR_FORMAT_PREDICTED
/* The usual frame belongs to the key of the last frame, and its header is the predicted word: one
 * comparison tells. NULL for any other frame, which parse and find take care of. Only for callers
 * with exclusive access, because it reads what others may change. */
SFR_INLINE rx_key *match_prediction(const sfr_receiver *r, sfr_frame *f, parsed *p)
{
    rx_key *k = atomic_load_explicit(&r->recent, memory_order_relaxed);
    const size_t tag = r->tag_size, least = sizeof(uint64_t) + tag;
    uint64_t ctr;
    if (SFR_UNLIKELY(!k || f->in_size < least || f->clear > f->in_size - least)) return NULL;
    if (SFR_UNLIKELY(!sfr_format_match(f->in + f->clear, k->head, k->ctr_mask, k->ctr_at,
                                       k->first_byte, &ctr)))
        return NULL;
    p->mark.words[0] = k->head | ctr << k->ctr_at;
    p->mark.words[1] = p->mark.words[2] = 0;
    p->mark.size = k->mark_size;
    if (p->mark.size > sizeof(uint64_t)) __builtin_unreachable(); /* see sfr_format_predict */
    p->size = f->in_size - tag - f->clear - p->mark.size;
    f->kid = k->kid;
    f->ctr = sfr_be64(ctr) >> (64 - k->ctr_bits);
    return SFR_LIKELY(f->clear + p->size <= r->max_frame) ? k : NULL;
}
#else
SFR_INLINE rx_key *match_prediction(const sfr_receiver *r, sfr_frame *f, parsed *p)
{
    (void)r, (void)f, (void)p;
    return NULL;
}
#endif

SFR_INLINE int check_out(const sfr_frame *f, const parsed *p)
{
    size_t size = f->clear + p->size;
    if (SFR_UNLIKELY(size > f->out_size)) return SFR_E_ROOM;
    if (SFR_UNLIKELY(sfr_overlap(f->metadata, f->metadata_size, f->out, size)))
        return SFR_E_OVERLAP;
    if (SFR_LIKELY(!sfr_overlap(f->in, f->in_size, f->out, size))) return SFR_OK;
    return f->out == f->in + SFR_FORMAT_FRONT(p->mark.size) ? SFR_OK : SFR_E_OVERLAP;
}

/* Moves the clear bytes and describes the rest to a kernel. The kernel reads tag and payload, once;
 * clear bytes are authenticated as they lie in `out`. */
SFR_INLINE void make_row(sfr_row *row, const sfr_receiver *r, const rx_key *k, const sfr_frame *f,
                         const parsed *p)
{
    const uint8_t *payload = f->in + f->clear + SFR_FORMAT_FRONT(p->mark.size);
    if (f->clear) memmove(f->out, f->in, f->clear);
    row->key = key_of(r, k);
    row->ops_id = k->summary.ops_id;
    sfr_format_nonce(row, k->summary, &p->mark, f->ctr);
    sfr_format_aad(row, &p->mark, f->out, f);
    row->in = payload;
    row->out = f->out + f->clear;
    row->size = p->size;
    row->tag.read = payload + p->size;
}

/* Refuses a frame before its key ran. What `out` held must not pass for plaintext, so it is zeroed,
 * unless `out` holds the ciphertext itself, which the caller may want to try again. */
static __attribute__((unused)) void refuse(sfr_frame *f, int status)
{
    size_t size = f->in_size < f->out_size ? f->in_size : f->out_size;
    if (status > 0 && size && !sfr_overlap(f->in, f->in_size, f->out, size))
        memset(f->out, 0, size);
    f->out_size = 0;
    f->status = status;
}

#endif
