/* Which unknown KIDs have their keys derived, and which wait.
 *
 * A derivation costs microseconds, and a forged header can ask for one. So derivations are rationed
 * in a way that a forger cannot turn against the members of a call.
 *
 * Rule 1: a KID outside every reach costs one look-up and no allowance.
 * Rule 2: the few of a reach (a roster's members, a ratchet's next steps) never wait. Their keys
 *         are derived once and stay, so a forger can cause no more of them than the caller
 *         announced.
 * Rule 3: all other KIDs share. A burst is served at once. After it a frame is served when its CTR
 *         has, modulo ROUND, the residue that a secret hash gives to its KID. Of any ROUND frames
 *         with consecutive counters exactly one is, so a sender is heard by its ROUNDth frame
 *         whatever a flood holds, and one frame in ROUND of the flood costs a derivation. ROUND is
 *         prime, since a server may forward every second or fourth frame only.
 * Rule 4: whoever learned the residues, as by measuring times, could have every frame served. So
 *         one frame in PRICE is served at most, after a burst; when that is used up, which chance
 *         brings about once in 10^20 times, the secret is drawn anew.
 */
#include <stdlib.h>

#include "frame/receiver.h"
#include "platform/random.h"

#define PRICE 64u          /* frames that pay for one served */
#define FULL (64u * PRICE) /* what they can pay in advance */
#define SHARES 1024u       /* of the counts of failures */

struct sfr_reaches {
    size_t count, room;
    sfr_reach of[]; /* in ascending order of their groups */
};

struct sfr_shares {
    uint64_t secret[4];
    uint32_t paid;             /* frames that have come, less PRICE for each one served */
    uint16_t failures[SHARES]; /* of evicted keys, by their fingerprints */
};

/* ---- reaches ---- */

/* The place of this group's reach, or where it would be inserted. */
static size_t place_of(const struct sfr_reaches *in, uint64_t group)
{
    size_t from = 0, to = in->count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (in->of[middle].group < group)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool is_there(const struct sfr_reaches *in, size_t at, uint64_t group)
{
    return at < in->count && in->of[at].group == group;
}

static bool is_alike(const sfr_reach *a, const sfr_reach *b)
{
    return a->mask == b->mask && a->numbers == b->numbers && a->shift == b->shift;
}

static struct sfr_reaches *with_room(struct sfr_reaches *in)
{
    size_t count = in ? in->count : 0, room = in ? in->room : 0;
    if (count < room) return in;
    room = 2 * room + 2;
    struct sfr_reaches *grown = realloc(in, sizeof *in + room * sizeof in->of[0]);
    if (grown) grown->count = count, grown->room = room;
    return grown;
}

static int reach_locked(sfr_receiver *r, const sfr_reach *reach)
{
    struct sfr_reaches *in = with_room(r->reaches);
    if (!in) return SFR_E_NO_MEMORY;
    r->reaches = in;
    if (in->count && !is_alike(&in->of[0], reach)) return SFR_E_ARGUMENT;
    size_t at = place_of(in, reach->group);
    if (!is_there(in, at, reach->group))
        memmove(&in->of[at + 1], &in->of[at], (in->count++ - at) * sizeof in->of[0]);
    in->of[at] = *reach;
    return SFR_OK;
}

int sfr_receiver_reach(sfr_receiver *r, const sfr_reach *reach)
{
    if (reach->group & ~reach->mask || reach->shift > 63) return SFR_E_ARGUMENT;
    sfr_object_take(&r->lock);
    int status = reach_locked(r, reach);
    sfr_object_drop(&r->lock);
    return status;
}

void sfr_reach_forget(sfr_receiver *r, uint64_t group)
{
    struct sfr_reaches *in = r->reaches;
    size_t at = in ? place_of(in, group) : 0;
    if (!in || !is_there(in, at, group)) return;
    memmove(&in->of[at], &in->of[at + 1], (--in->count - at) * sizeof in->of[0]);
}

static const sfr_reach *reach_of(const sfr_receiver *r, uint64_t kid)
{
    const struct sfr_reaches *in = r->reaches;
    if (!in || !in->count) return NULL;
    uint64_t group = kid & in->of[0].mask;
    size_t at = place_of(in, group);
    return is_there(in, at, group) ? &in->of[at] : NULL;
}

/* ---- shares ---- */

static bool shares_ready(sfr_receiver *r)
{
    if (r->shares) return true;
    struct sfr_shares *fresh = calloc(1, sizeof *fresh);
    if (fresh && sfr_random((uint8_t *)fresh->secret, sizeof fresh->secret) == 0) {
        fresh->paid = FULL;
        r->shares = fresh;
        return true;
    }
    free(fresh);
    return false;
}

/* Two rounds of keyed multiply-shift hashing, so that KIDs chosen together fall independently. */
static uint64_t residue_of(const struct sfr_shares *s, uint64_t kid)
{
    uint64_t mixed = (kid ^ s->secret[0]) * (s->secret[1] | 1);
    mixed = ((mixed ^ mixed >> 32) + s->secret[2]) * (s->secret[3] | 1);
    return (mixed ^ mixed >> 32) % ROUND;
}

static bool is_served(sfr_receiver *r, uint64_t kid, uint64_t ctr)
{
    if (!shares_ready(r)) return false;
    struct sfr_shares *s = r->shares;
    if (s->paid < FULL) s->paid++;
    if (ctr % ROUND != residue_of(s, kid)) return false;
    if (s->paid < PRICE) {
        uint64_t fresh[4];
        if (sfr_random((uint8_t *)fresh, sizeof fresh) == 0) memcpy(s->secret, fresh, sizeof fresh);
        return false;
    }
    s->paid -= PRICE;
    return true;
}

static bool may_derive(sfr_receiver *r, uint64_t kid, uint64_t ctr)
{
    const sfr_reach *reach = reach_of(r, kid);
    if (!reach) return false;
    uint64_t number = ((kid >> reach->shift) - reach->first) & reach->numbers;
    if (number >= reach->total) return false;
    bool plain = !(kid & ~(reach->mask | reach->numbers << reach->shift));
    if (plain && number < reach->few) return true;
    if (!r->allowance) return is_served(r, kid, ctr);
    r->allowance--;
    return true;
}

int sfr_receiver_may_derive(sfr_receiver *r, uint64_t kid, uint64_t ctr)
{
    sfr_object_take(&r->lock);
    int may = !r->closed && may_derive(r, kid, ctr);
    sfr_object_drop(&r->lock);
    return may;
}

/* ---- failures of keys with short tags ----
 * By buckets, too, so that they are bounded: a key may be charged for another one's failures, and
 * never starts with less than its own. */

static uint16_t *failures_of(const sfr_receiver *r, const rx_key *k)
{
    return &r->shares->failures[sfr_load64(k->fingerprint) % SHARES];
}

bool sfr_failures_save(sfr_receiver *r, const rx_key *k)
{
    if (r->tag_size != SHORT_TAG || !k->auth_failed) return true;
    if (!shares_ready(r)) return false;
    uint16_t *kept = failures_of(r, k);
    uint64_t failures = k->closed ? SHORT_TAG_FAILURES : k->auth_failed;
    if (failures > *kept) *kept = (uint16_t)failures;
    return true;
}

void sfr_failures_restore(const sfr_receiver *r, rx_key *k)
{
    if (r->tag_size != SHORT_TAG || !r->shares) return;
    /* Count them as a sender's frames: nothing says that they are media in the clear. */
    k->auth_failed = k->advanced = *failures_of(r, k);
    k->closed = k->auth_failed >= SHORT_TAG_FAILURES;
}

void sfr_reaches_free(sfr_receiver *r)
{
    free(r->reaches);
    free(r->shares);
}
