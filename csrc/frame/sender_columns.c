/* Columns: plain frames of many senders, sealed from one buffer into another; and rows, plain frames
 * that are sealed into a place of their own each. */
#include "frame/sender_batch.h"

/* With the lock held: whether only counters change while `rows` rows and `blocks` blocks are
 * sealed, even if all of them are this sender's. */
SFR_INLINE bool steady(const sfr_sender *s, uint32_t generation, size_t rows, uint64_t blocks)
{
    return ready(s, generation) && last_alike(s) - peek_ctr(s) >= rows && blocks < s->blocks_left;
}

/* Lengths are int32, and so are those of the ciphertexts. */
SFR_INLINE bool fits(const sfr_sender *s, size_t size)
{
    return size <= s->max_frame && size <= INT32_MAX - SFR_FORMAT_MAX - SFR_MAX_TAG;
}

static void fetch_keys(sfr_sender *const *senders, const sfr_rows_in *in, size_t count)
{
    const sfr_ops *like = some_ops(senders, count);
    for (size_t i = 0; i < count; i++) {
        prefetch_sender(senders, i, count);
        sfr_key_fetch(key_of(senders[i]), like, (size_t)in->lengths[i]);
    }
}

SFR_INLINE size_t size_of_all(sfr_sender *const *senders, const sfr_rows_in *in, size_t count,
                              int32_t *sizes)
{
    const uint32_t generation = sfr_process_generation();
    size_t room = sfr_rows_size(in, count);
    if (room == SIZE_MAX) return 0;
    const uint64_t blocks = 4 * count + room / 16; /* at most: per row a mark, an end and J0 */
    bool all = true;
    if (sfr_arena_is_large) fetch_keys(senders, in, count);
    for (size_t i = 0; i < count; i++) {
        sfr_sender *s = senders[i];
        sfr_object_take(&s->lock);
        const size_t added = mark_size_of(s) + s->tag_size;
        room += added;
        if (sizes) sizes[i] = (int32_t)((size_t)in->lengths[i] + added); /* if it fits */
        all &= fits(s, (size_t)in->lengths[i]) && steady(s, generation, count, blocks);
        sfr_object_drop(&s->lock);
    }
    return all ? room : 0;
}

size_t sfr_protect_columns_size(sfr_sender *const *senders, const sfr_rows_in *in, size_t count)
{
    return size_of_all(senders, in, count, NULL);
}

size_t sfr_protect_rows_size(sfr_sender *const *senders, const sfr_rows_in *in, size_t count,
                             int32_t *sizes)
{
    return size_of_all(senders, in, count, sizes);
}

/* Plans a frame that the compiler keeps in registers: one whose address is taken would live in
 * memory. */
SFR_INLINE int plan_apart(sfr_sender *s, sfr_frame *f, uint32_t generation, sfr_row *row)
{
    if (is_plain(s, f)) return plan_as(s, f, generation, row, true);
    sfr_frame copy = *f;
    plan_any(s, &copy, generation, row);
    *f = copy;
    return f->status;
}

/* Seals up to a chunk of rows into the room that ends at `end`. Each row is a frame only while it
 * is planned, so the compiler keeps it in registers. Returns the number of rows sealed and moves
 * `at` behind them. */
static size_t columns_chunk(sfr_sender *const *senders, const sfr_rows_in in, size_t count,
                            const sfr_rows_out to, uint8_t **at, const uint8_t *end, int64_t offset)
{
    sfr_row rows[SFR_CHUNK];
    size_t i = 0;
    uint8_t *out = *at;
    const uint8_t *origin = out - offset;
    unsigned ticket = sfr_object_read_enter();
    const uint32_t generation = sfr_process_generation();
    for (; i < count; i++) {
        sfr_sender *s = senders[i];
        sfr_frame f = {.in = sfr_row_start(&in, i), .in_size = (size_t)in.lengths[i]};
        f.out = out, f.out_size = (size_t)(end - out);
        sfr_object_take(&s->lock);
        int status = plan_apart(s, &f, generation, &rows[i]);
        sfr_object_drop(&s->lock);
        if (SFR_UNLIKELY(status != SFR_OK)) break;
        to.offsets[i] = out - origin;
        to.lengths[i] = (int32_t)f.out_size;
        to.kid[i] = f.kid;
        to.ctr[i] = f.ctr;
        out += f.out_size;
    }
    memset(to.status, SFR_OK, i);
    sfr_run(rows, i, true);
    sfr_object_read_leave(ticket);
    *at = out;
    return i;
}

size_t sfr_protect_columns(sfr_sender *const *senders, const sfr_rows_in *in, size_t count,
                           uint8_t *out, size_t room, const sfr_rows_out *to)
{
    uint8_t *at = out;
    for (size_t row = 0, some, done; row < count; row += some) {
        some = count - row < SFR_CHUNK ? count - row : SFR_CHUNK;
        done = columns_chunk(senders + row, sfr_rows_from(in, row), some, sfr_rows_to(to, row), &at,
                             out + room, at - out);
        if (SFR_UNLIKELY(done < some)) return row + done;
    }
    return count;
}

static size_t rows_chunk(sfr_sender *const *senders, const sfr_rows_in in, size_t count,
                         uint8_t *const *outs, const int32_t *sizes)
{
    sfr_row rows[SFR_CHUNK];
    size_t i = 0;
    unsigned ticket = sfr_object_read_enter();
    const uint32_t generation = sfr_process_generation();
    for (; i < count; i++) {
        sfr_sender *s = senders[i];
        sfr_frame f = {.in = sfr_row_start(&in, i), .in_size = (size_t)in.lengths[i]};
        f.out = outs[i], f.out_size = (size_t)sizes[i];
        sfr_object_take(&s->lock);
        int status = plan_apart(s, &f, generation, &rows[i]);
        sfr_object_drop(&s->lock);
        if (SFR_UNLIKELY(status != SFR_OK || f.out_size != (size_t)sizes[i])) break;
    }
    sfr_run(rows, i, true);
    sfr_object_read_leave(ticket);
    return i;
}

size_t sfr_protect_rows(sfr_sender *const *senders, const sfr_rows_in *in, size_t count,
                        uint8_t *const *outs, const int32_t *sizes)
{
    for (size_t row = 0, some, done; row < count; row += some) {
        some = count - row < SFR_CHUNK ? count - row : SFR_CHUNK;
        done = rows_chunk(senders + row, sfr_rows_from(in, row), some, outs + row, sizes + row);
        if (SFR_UNLIKELY(done < some)) return row + done;
    }
    return count;
}
