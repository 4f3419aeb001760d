/* KIDs that a receiver has no key for, as its statistics name them.
 *
 * Rule: a forged header can name any KID, so at most SFR_UNKNOWN_TRACKED of them are remembered.
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

void sfr_receiver_recognize(sfr_receiver *r, uint64_t kid)
{
    struct stranger *const s = r->strangers;
    sfr_object_take(&r->lock);
    r->unknown--;
    for (size_t i = 0; s && i < SFR_UNKNOWN_TRACKED; i++) {
        if (s[i].kid != kid || !s[i].frames) continue;
        if (--s[i].frames == 0) {
            memmove(&s[1], &s[0], i * sizeof *s);
            s[0] = (struct stranger){0};
        } else if (s[i].advanced > s[i].frames) {
            s[i].advanced = s[i].frames;
        }
        break;
    }
    sfr_object_drop(&r->lock);
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
