/* KIDs that a receiver has no key for, as its statistics name them.
 *
 * Rule 1: a forged header can name any KID, so at most SFR_UNKNOWN_TRACKED of them are remembered.
 * Rule 2: a frame whose key can still be derived is no stranger's. It is counted once, and only
 *         when nobody has a key for it; otherwise it could push out a stranger on its way.
 */
#include <stdlib.h>

#include "frame/receiver.h"

/* A KID keeps its place for STRANGER_STAYS unknown frames. Otherwise, in a call with more members
 * than places, each member would push out the next before that one's next frame. After
 * STRANGER_GONE unknown frames without one of its own it counts for nothing. */
#define STRANGER_STAYS 128
#define STRANGER_GONE 1024

static uint64_t worth(const sfr_receiver *r, const struct stranger *s)
{
    return (int64_t)(r->unknown - s->latest) < STRANGER_GONE ? s->frames : 0;
}

/* Makes room for a stranger; NULL if nobody is to leave yet. Strangers are in order of arrival, so
 * that of those with the fewest frames the oldest leaves. */
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

void sfr_note_stranger(sfr_receiver *r, uint64_t kid, uint64_t ctr)
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
    s->advanced += sfr_trail_follow(&s->unknown, ctr);
}

int sfr_unknown(sfr_receiver *r, uint64_t kid, uint64_t ctr)
{
    if (r->deferring) return SFR_UNRESOLVED;
    sfr_note_stranger(r, kid, ctr);
    return SFR_UNKNOWN_KEY;
}

void sfr_receiver_defer(sfr_receiver *r, int on)
{
    sfr_object_take(&r->lock);
    r->deferring = on;
    sfr_object_drop(&r->lock);
}

void sfr_receiver_give_up(sfr_receiver *r, sfr_frame *f)
{
    sfr_object_take(&r->lock);
    sfr_note_stranger(r, f->kid, f->ctr);
    sfr_object_drop(&r->lock);
    f->status = SFR_UNKNOWN_KEY;
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
