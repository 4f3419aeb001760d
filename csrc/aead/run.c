/* The "run" of plan, run, commit: hands rows to kernels, those of one kernel and family together.
 *
 * A batch spans streams, so its rows are any mix of suites and lengths. They are sorted by
 * operations and size class through pointers, which is cheaper than moving them. Each kernel gets
 * its rows in one call, equal classes adjacent, so that the frames it interleaves have the same
 * length.
 */
#include "aead/kernels.h"

_Atomic uint64_t sfr_interleaved_calls;

static void call(const sfr_ops *ops, sfr_row *const *rows, size_t count, bool sealing)
{
    if (count > 1) atomic_fetch_add_explicit(&sfr_interleaved_calls, 1, memory_order_relaxed);
    (sealing ? ops->seal : ops->open)(rows, count);
}

/* A counting sort by size class. It is stable: equal lengths keep their row order. */
static void call_sorted(sfr_row *const *rows, size_t count, bool sealing)
{
    uint8_t start[SFR_CLASSES + 1] = {0};
    uint8_t classes[SFR_CHUNK];
    sfr_row *sorted[SFR_CHUNK];
    for (size_t i = 0; i < count; i++) {
        classes[i] = (uint8_t)sfr_size_class(rows[i]->size);
        start[classes[i] + 1]++;
    }
    for (size_t c = 1; c <= SFR_CLASSES; c++) start[c] = (uint8_t)(start[c] + start[c - 1]);
    for (size_t i = 0; i < count; i++) sorted[start[classes[i]]++] = rows[i];
    call(rows[0]->key->ops, sorted, count, sealing);
}

static inline size_t ops_id_of(const sfr_row *row)
{
    return row->ops_id;
}

void sfr_run(sfr_row *rows, size_t count, bool sealing)
{
    sfr_row *waiting[SFR_CHUNK], *taken[SFR_CHUNK];
    if (!count) return;
    /* The usual batch has one suite and one length, so there is nothing to sort. */
    const size_t vectors = sfr_vectors(rows[0].size);
    size_t ops_ids = 0, lengths = 0;
    for (size_t i = 0; i < count; i++) {
        waiting[i] = &rows[i];
        ops_ids |= rows[i].ops_id ^ rows[0].ops_id;
        lengths |= sfr_vectors(rows[i].size) ^ vectors;
    }
    if (SFR_LIKELY(!(ops_ids | lengths))) {
        call(rows[0].key->ops, waiting, count, sealing);
    } else if (!ops_ids) {
        call_sorted(waiting, count, sealing);
    } else {
        for (size_t some; count; count -= some) {
            some = sfr_take_like(waiting, count, taken, ops_id_of);
            call_sorted(taken, some, sealing);
        }
    }
}
