/* A receiver's life and its keys: how keys are added, found, evicted and removed.
 *
 * Keys live in a hash table that batches read without a lock. Whoever removes a key unlinks it
 * under the lock, waits until no read section can still see it (sfr_read_synchronize), and then
 * wipes it.
 *
 * Rule 1: a key is never replaced in place; a key that goes is unlinked, waited for and wiped.
 * Rule 2: keys that headers ask for evict each other, never a key that was given or derived ahead.
 * Rule 3: the work for one frame does not depend on the number of keys.
 */
#include <stdlib.h>

#include "frame/receiver.h"

#define EMPTY NULL
static rx_key gone_key;
#define GONE (&gone_key)

static rx_key *_Atomic no_slot[1];
static ring no_keys = {no_slot, 0, 0}; /* of a closed receiver */

/* ---- the ring ---- */

static size_t slot_of(uint64_t kid, size_t mask)
{
    return (size_t)((kid * 0x9e3779b97f4a7c15u) >> 32) & mask;
}

rx_key *sfr_ring_find(ring *in, uint64_t kid)
{
    for (size_t at = slot_of(kid, in->mask), n = 0; n <= in->mask; n++, at = (at + 1) & in->mask) {
        rx_key *k = atomic_load_explicit(&in->slots[at], memory_order_acquire);
        if (k == EMPTY) return NULL;
        if (k != GONE && k->kid == kid) return k;
    }
    return NULL;
}

static void forget_recent(sfr_receiver *r)
{
    atomic_store(&r->recent, NULL);
}

static void ring_put(ring *in, rx_key *k)
{
    size_t at = slot_of(k->kid, in->mask);
    for (;; at = (at + 1) & in->mask) {
        rx_key *old = atomic_load_explicit(&in->slots[at], memory_order_relaxed);
        if (old != EMPTY && old != GONE) continue;
        if (old == EMPTY) in->taken++;
        atomic_store_explicit(&in->slots[at], k, memory_order_release);
        return;
    }
}

static ring *ring_grown(sfr_receiver *r)
{
    ring *old = atomic_load(&r->keys);
    size_t size = INLINE_SLOTS * 2;
    while (size < 4 * ((size_t)r->count + 1))
        size *= 2; /* so that the search for a forged KID soon meets an empty slot */
    ring *fresh = calloc(1, sizeof *fresh + size * sizeof fresh->slots[0]);
    if (!fresh) return NULL;
    fresh->mask = (uint32_t)(size - 1);
    fresh->slots = (rx_key * _Atomic *)(void *)(fresh + 1);
    for (size_t i = 0; i <= old->mask; i++) {
        rx_key *k = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        if (k != EMPTY && k != GONE) ring_put(fresh, k);
    }
    return fresh;
}

#define EACH_KEY(r, k)                                                                       \
    for (ring *ring_ = atomic_load(&(r)->keys); ring_; ring_ = NULL)                         \
        for (size_t at_ = 0; at_ <= ring_->mask; at_++)                                      \
            for (rx_key *k = atomic_load_explicit(&ring_->slots[at_], memory_order_relaxed); \
                 k != EMPTY && k != GONE; k = EMPTY)

/* ---- keys ---- */

static size_t rx_key_size(const sfr_receiver *r)
{
    return r->key_at + sfr_key_size(r->suite, r->kernel);
}

static void rx_key_free(const sfr_receiver *r, rx_key *k)
{
    if (k) sfr_arena_free(k, rx_key_size(r));
}

static rx_key *rx_key_new(const sfr_receiver *r, uint64_t kid, const sfr_secret *secret)
{
    rx_key *k = sfr_arena_alloc(rx_key_size(r));
    if (!k) return NULL;
    k->kid = kid;
    k->first_byte = 1;
    sfr_key *key = (sfr_key *)(void *)((uint8_t *)k + r->key_at);
    if (sfr_key_init(key, secret, r->kernel, kid, k->fingerprint)) {
        k->summary = sfr_key_summary_of(key);
        return k;
    }
    rx_key_free(r, k);
    return NULL;
}

/* Removes a key from the list that starts at `link`. Returns its predecessor, or NULL. */
static rx_key *list_drop(rx_key **link, const rx_key *k)
{
    rx_key *before = NULL;
    while (*link != k) before = *link, link = &before->next;
    *link = k->next;
    return before;
}

static void asked_append(sfr_receiver *r, rx_key *k)
{
    k->next = NULL;
    *(r->asked ? &r->asked_last->next : &r->asked_first) = k;
    r->asked_last = k;
    r->asked++;
}

void sfr_asked_drop(sfr_receiver *r, rx_key *k)
{
    rx_key *before = list_drop(&r->asked_first, k);
    if (r->asked_last == k) r->asked_last = before;
    r->asked--;
}

/* Unlinks a key. The caller drops the lock, calls sfr_read_synchronize, and then frees the key. */
static void unlink_key(sfr_receiver *r, rx_key *k)
{
    ring *in = atomic_load(&r->keys);
    size_t at = slot_of(k->kid, in->mask);
    while (atomic_load_explicit(&in->slots[at], memory_order_relaxed) != k)
        at = (at + 1) & in->mask;
    atomic_store(&in->slots[at], GONE);
    forget_recent(r);
    k->removed = true;
    if (k->confirmed) list_drop(&r->unreported, k), r->pending--;
    if (k->kind == SFR_KEY_ASKED) sfr_asked_drop(r, k);
    r->count--;
}

/* What a change of keys leaves to be freed once no read section can see it. */
typedef struct leftovers {
    rx_key *key, *evicted;
    ring *table;
} leftovers;

/* Forged headers can ask for many keys, which therefore evict only each other. */
static int make_room(sfr_receiver *r, leftovers *left)
{
    if (r->asked < SFR_MAX_ASKED) return SFR_OK;
    if (!sfr_failures_save(r, r->asked_first)) return SFR_E_NO_MEMORY;
    unlink_key(r, left->evicted = r->asked_first);
    return SFR_OK;
}

static int readd(sfr_receiver *r, rx_key *known, uint8_t kind, const rx_key *again)
{
    if (!sfr_equal(known->fingerprint, again->fingerprint, 16)) return SFR_E_CONFLICT;
    if (kind >= known->kind) return SFR_OK;
    if (known->kind == SFR_KEY_ASKED) sfr_asked_drop(r, known);
    known->kind = kind;
    return SFR_OK;
}

static void take_in(sfr_receiver *r, ring *in, rx_key *k, uint8_t kind)
{
    k->kind = kind;
    k->born = ++r->births;
    if (kind == SFR_KEY_ASKED) sfr_failures_restore(r, k), asked_append(r, k);
    r->count++;
    ring_put(in, k);
}

static int add_locked(sfr_receiver *r, rx_key *k, uint8_t kind, leftovers *left)
{
    left->key = k; /* freed by the caller unless it finds its place below */
    if (r->closed) return SFR_E_RETIRED;
    rx_key *known = find(r, k->kid);
    if (known) return readd(r, known, kind, k);
    if (kind == SFR_KEY_ASKED && make_room(r, left) != SFR_OK) return SFR_E_NO_MEMORY;
    ring *in = atomic_load(&r->keys);
    if (in->taken == in->mask + 1 || (in != &r->first && 2 * in->taken >= in->mask)) {
        ring *fresh = ring_grown(r);
        if (!fresh) return SFR_E_NO_MEMORY;
        atomic_store(&r->keys, fresh);
        if (in != &r->first) left->table = in;
        in = fresh;
    }
    take_in(r, in, k, kind);
    left->key = NULL;
    return SFR_OK;
}

int sfr_receiver_add(sfr_receiver *r, uint64_t kid, const sfr_secret *secret, int kind)
{
    if (secret->suite != r->suite || kind < SFR_KEY_GIVEN || kind > SFR_KEY_ASKED)
        return SFR_E_ARGUMENT;
    rx_key *k = rx_key_new(r, kid, secret);
    if (!k) return SFR_E_NO_MEMORY;
    leftovers left = {0};
    sfr_object_take(&r->lock);
    int status = add_locked(r, k, (uint8_t)kind, &left);
    sfr_object_drop(&r->lock);
    if (left.evicted || left.table) sfr_read_synchronize();
    rx_key_free(r, left.key);
    rx_key_free(r, left.evicted);
    free(left.table);
    return status;
}

int sfr_receiver_remove(sfr_receiver *r, uint64_t kid)
{
    sfr_object_take(&r->lock);
    rx_key *k = find(r, kid);
    if (k) unlink_key(r, k);
    sfr_object_drop(&r->lock);
    if (!k) return SFR_UNKNOWN_KEY;
    sfr_read_synchronize();
    rx_key_free(r, k);
    return SFR_OK;
}

void sfr_receiver_forget(sfr_receiver *r, uint64_t mask, uint64_t group)
{
    rx_key *gone = NULL;
    sfr_object_take(&r->lock);
    sfr_reach_forget(r, group);
    EACH_KEY(r, k) {
        if ((k->kid & mask) != group) continue;
        unlink_key(r, k);
        k->next = gone, gone = k;
    }
    sfr_object_drop(&r->lock);
    if (gone) sfr_read_synchronize();
    for (rx_key *next; gone; gone = next) {
        next = gone->next;
        rx_key_free(r, gone);
    }
}

int sfr_receiver_kind(sfr_receiver *r, uint64_t kid)
{
    sfr_object_take(&r->lock);
    const rx_key *k = find(r, kid);
    int kind = k ? k->kind : -1;
    sfr_object_drop(&r->lock);
    return kind;
}

/* ---- life ---- */

/* A word at least, so that a bit can be set whether or not there is a window. */
static uint32_t bits_for(size_t window)
{
    uint32_t bits = 64;
    while (bits < window) bits *= 2;
    return bits;
}

int sfr_receiver_new(sfr_receiver **out, const sfr_suite *suite, const sfr_kernel *kernel,
                     size_t replay_window, size_t max_frame, int strict)
{
    *out = NULL;
    if (!suite || !kernel || replay_window > ((size_t)1 << 20) || max_frame > SFR_LIMIT_MAX_FRAME)
        return SFR_E_ARGUMENT;
    sfr_receiver *r = sfr_arena_alloc(sizeof *r);
    if (!r) return SFR_E_NO_MEMORY;
    r->suite = suite, r->kernel = kernel, r->tag_size = suite->nt;
    r->strict = strict != 0, r->max_frame = (uint32_t)max_frame;
    r->window = (uint32_t)replay_window, r->window_bits = bits_for(replay_window);
    r->key_at = (uint32_t)((sizeof(rx_key) + r->window_bits / 8 + 63) / 64 * 64);
    r->allowance = ALLOWANCE;
    r->first = (ring){r->first_slots, INLINE_SLOTS - 1, 0};
    atomic_store(&r->keys, &r->first);
    *out = r;
    return SFR_OK;
}

void sfr_receiver_close(sfr_receiver *r)
{
    sfr_object_take(&r->lock);
    EACH_KEY(r, k) k->removed = true;
    ring *old = atomic_exchange(&r->keys, &no_keys);
    forget_recent(r);
    r->closed = true;
    r->asked = 0;
    r->pending = 0;
    r->asked_first = r->asked_last = r->unreported = NULL;
    sfr_object_drop(&r->lock);
    if (old == &no_keys) return;
    sfr_read_synchronize();
    for (size_t i = 0; i <= old->mask; i++) {
        rx_key *k = atomic_load(&old->slots[i]);
        if (k != EMPTY && k != GONE) rx_key_free(r, k);
    }
    if (old != &r->first) free(old);
}

void sfr_receiver_free(sfr_receiver *r)
{
    if (!r) return;
    sfr_receiver_close(r);
    free(r->strangers);
    sfr_reaches_free(r);
    sfr_arena_free(r, sizeof *r);
}

/* ---- reports ---- */

size_t sfr_receiver_confirmed(sfr_receiver *r, uint64_t *kids, size_t room)
{
    size_t count = 0;
    if (SFR_LIKELY(!atomic_load_explicit(&r->pending, memory_order_relaxed))) return 0;
    sfr_object_take(&r->lock);
    for (rx_key *k; count < room && (k = r->unreported); r->unreported = k->next) {
        k->confirmed = false;
        r->pending--;
        kids[count++] = k->kid;
    }
    sfr_object_drop(&r->lock);
    return count;
}

size_t sfr_receiver_keys(sfr_receiver *r, sfr_key_stats *out, size_t room)
{
    size_t count = 0;
    sfr_object_take(&r->lock);
    if (!r->closed) {
        EACH_KEY(r, k) {
            if (count < room)
                out[count] =
                    (sfr_key_stats){k->kid,     k->opened, k->auth_failed,           k->replayed,
                                    k->too_old, k->top,    k->kind != SFR_KEY_GIVEN, k->closed,
                                    k->advanced};
            count++;
        }
    }
    sfr_object_drop(&r->lock);
    return count;
}
