/* How a sender comes and goes.
 *
 * RFC 9605 4.4.1: the registry refuses a second sender for one (base_key, KID). A closed sender
 * keeps its place there, so that its counters are never used again. */
#include "frame/sender.h"

static int sender_init(sfr_sender *s, const sfr_secret *secret, const sfr_kernel *kernel)
{
    sfr_key *key = (sfr_key *)(void *)((uint8_t *)s + KEY_AT);
    if (!sfr_key_init(key, secret, kernel, s->kid, s->fingerprint)) return SFR_E_NO_MEMORY;
    uint64_t used; /* includes the blocks of the key's earlier senders in this process */
    int status = sfr_registry_open(s->fingerprint, peek_ctr(s), &used);
    if (status != SFR_OK) return status;
    sfr_sender_set_meter(s, used, KEY_BUDGET);
    const sfr_key_summary summary = sfr_key_summary_of(key);
    s->tag_size = key->tag_size;
    s->ops = key->ops;
    s->salt_tail = summary.salt_tail, s->salt_head = summary.salt_head, s->ops_id = summary.ops_id;
    atomic_store(&s->key, key);
    sfr_sender_set_ready(s);
    return SFR_OK;
}

int sfr_sender_of_stream(sfr_sender **out, const sfr_secret *secret, const sfr_kernel *kernel,
                         uint64_t kid, uint64_t stream, uint64_t first, uint64_t last,
                         size_t max_frame)
{
    *out = NULL;
    if (!secret || !kernel || first > last || max_frame > SFR_LIMIT_MAX_FRAME)
        return SFR_E_ARGUMENT;
    size_t key_size = sfr_key_size(secret->suite, kernel);
    sfr_sender *s = sfr_arena_alloc(KEY_AT + key_size);
    if (!s) return SFR_E_NO_MEMORY;
    s->generation = sfr_process_generation();
    s->kid = kid, s->stream = stream, s->last = last, s->max_frame = (uint32_t)max_frame;
    s->key_size = (uint32_t)key_size;
    sfr_sender_start_at(s, first);
    int status = sender_init(s, secret, kernel);
    if (status == SFR_OK)
        *out = s;
    else
        sfr_arena_free(s, KEY_AT + key_size);
    return status;
}

int sfr_sender_new(sfr_sender **out, const sfr_secret *secret, const sfr_kernel *kernel,
                   uint64_t kid, uint64_t first, uint64_t last, size_t max_frame)
{
    return sfr_sender_of_stream(out, secret, kernel, kid, 0, first, last, max_frame);
}

void sfr_sender_close(sfr_sender *s)
{
    /* A forked child's copy of the key is wiped like any other. Its registry entry stays, because
     * the parent's sender may live on. */
    bool ours = s->generation == sfr_process_generation();
    sfr_object_take(&s->lock);
    sfr_key *key = atomic_exchange(&s->key, NULL);
    sfr_sender_set_ready(s);
    sfr_object_drop(&s->lock);
    if (!key) return;
    if (ours) sfr_registry_close(s->fingerprint, peek_ctr(s), s->spent, blocks_used(s));
    sfr_read_synchronize();
    sfr_wipe(key, s->key_size);
    sfr_wipe(&s->salt_head, sizeof s->salt_head);
    sfr_wipe(&s->salt_tail, sizeof s->salt_tail);
}

void sfr_sender_free(sfr_sender *s)
{
    if (!s) return;
    sfr_sender_close(s);
    sfr_arena_free(s, KEY_AT + s->key_size);
}
