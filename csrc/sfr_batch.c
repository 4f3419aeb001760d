/* The run of plan, run, commit: rows to kernels, frames of a kind together.
 *
 * A batch is across streams, so rows come in any mix of suites and lengths. Rows are sorted by
 * (operations, size class) through pointers, which is cheaper than moving them, and each kernel
 * sees its rows in one call with equal classes side by side: what it interleaves then fits.
 */
#include "sfr_internal.h"

_Atomic uint64_t sfr_interleaved_calls;

typedef struct group {
    sfr_row *rows[SFR_CHUNK];
    size_t count;
} group;

static void call(const sfr_ops *ops, sfr_row *const *rows, size_t count, bool sealing)
{
    if (count > 1) atomic_fetch_add_explicit(&sfr_interleaved_calls, 1, memory_order_relaxed);
    (sealing ? ops->seal : ops->open)(rows, count);
}

/* Counting sort by size class; stable, so equal lengths keep their row order. */
static void sort_by_class(const group *in, group *out)
{
    uint8_t start[SFR_CLASSES + 1] = {0};
    uint8_t classes[SFR_CHUNK];
    for (size_t i = 0; i < in->count; i++) {
        classes[i] = (uint8_t)sfr_size_class(in->rows[i]->size);
        start[classes[i] + 1]++;
    }
    for (size_t c = 1; c <= SFR_CLASSES; c++) start[c] = (uint8_t)(start[c] + start[c - 1]);
    for (size_t i = 0; i < in->count; i++) out->rows[start[classes[i]]++] = in->rows[i];
    out->count = in->count;
}

static void take_rows_of(const sfr_ops *ops, group *waiting, group *taken)
{
    size_t left = 0;
    taken->count = 0;
    for (size_t i = 0; i < waiting->count; i++) {
        sfr_row *row = waiting->rows[i];
        if (row->key->ops == ops)
            taken->rows[taken->count++] = row;
        else
            waiting->rows[left++] = row;
    }
    waiting->count = left;
}

void sfr_run(sfr_row *rows, size_t count, bool sealing)
{
    group waiting, taken, sorted;
    if (!count) return;
    /* The usual batch is of one suite and one length: nothing to sort then. */
    const sfr_ops *ops = rows[0].key->ops;
    const size_t vectors = sfr_vectors(rows[0].size);
    size_t unlike = 0;
    waiting.count = count;
    for (size_t i = 0; i < count; i++) {
        waiting.rows[i] = &rows[i];
        unlike |= (rows[i].kind ^ rows[0].kind) | (sfr_vectors(rows[i].size) ^ vectors);
    }
    if (SFR_LIKELY(!unlike)) {
        call(ops, waiting.rows, count, sealing);
        return;
    }
    while (waiting.count) {
        ops = waiting.rows[0]->key->ops;
        take_rows_of(ops, &waiting, &taken);
        sort_by_class(&taken, &sorted);
        call(ops, sorted.rows, sorted.count, sealing);
    }
}
