/* Many frames in one call, across senders and receivers, and the calls in two steps.
 *
 * Each way of protecting or unprotecting has a _size function, which says how much room it needs:
 *
 *     one frame      sfr_protect            sfr_unprotect
 *     frames         sfr_protect_many       sfr_unprotect_many
 *     columns        sfr_protect_columns    sfr_unprotect_columns */
#ifndef SFR_BATCH_H
#define SFR_BATCH_H

#include "sfr.h"

#ifndef SFR_PRIVATE
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* ---- one frame ---- */

/* Bytes a protected frame takes if it is sealed after at most `preceding` others. */
size_t sfr_protect_size(sfr_sender *, size_t frame_size, size_t preceding);
/* Room needed for what `in` will open to; 0 when it is too short to be a frame. */
size_t sfr_unprotect_size(const sfr_receiver *, const uint8_t *in, size_t in_size, size_t clear);

/* ---- frames, each with a sender or receiver ---- */

/* Takes no counter: tells whether a frame (in, metadata, clear) would be refused, and sets out_size
 * to the room it needs at most. Protect then wants `out` set, and sets kid, ctr and out_size. Both
 * return the number of frames they got through; the next one's status says why it was refused.
 * `steady` tells that each room is exact and that no lease and no key's budget can end within the
 * batch, unless somebody else uses the senders meanwhile. */
size_t sfr_protect_many_size(sfr_sender *const *, sfr_frame *frames, size_t count, int *steady);
size_t sfr_protect_many(sfr_sender *const *, sfr_frame *frames, size_t count);
/* Sets out_size to the room each frame needs, and returns the sum. Unprotect then wants `out` set,
 * apart from everything that it reads, and returns the number of frames refused. */
size_t sfr_unprotect_many_size(sfr_receiver *const *, sfr_frame *frames, size_t count);
size_t sfr_unprotect_many(sfr_receiver *const *, sfr_frame *frames, size_t count);

/* ---- columns: plain frames (no metadata, no clear bytes) in one buffer ---- */

/* Row i is lengths[i] bytes from offsets[i]; without a buffer (data NULL, size INT64_MAX) offsets
 * are addresses. */
typedef struct sfr_rows_in {
    const uint8_t *data;
    size_t size;
    const int64_t *offsets;
    const int32_t *lengths;
} sfr_rows_in;

/* What becomes of the rows; offsets count from where output begins. */
typedef struct sfr_rows_out {
    int64_t *offsets;
    int32_t *lengths;              /* 0: refused */
    uint8_t *status;
    uint64_t *kid, *ctr;           /* 0: refused */
} sfr_rows_out;

/* Input and output are apart from each other. The size is 0 if the batch is not the usual case (a
 * row lies outside the data, a frame would be refused, a lease or a key's budget may end), else the
 * bytes that all rows take. Protect writes them back to back and returns the number of rows it got
 * through: all, unless somebody else uses the senders meanwhile. */
size_t sfr_protect_columns_size(sfr_sender *const *, const sfr_rows_in *, size_t count);
size_t sfr_protect_columns(sfr_sender *const *, const sfr_rows_in *, size_t count, uint8_t *out,
                           size_t room, const sfr_rows_out *);
/* The same for rows that lie anywhere: row i takes sizes[i] bytes from outs[i]. */
size_t sfr_protect_rows_size(sfr_sender *const *, const sfr_rows_in *, size_t count,
                             int32_t *sizes);
size_t sfr_protect_rows(sfr_sender *const *, const sfr_rows_in *, size_t count,
                        uint8_t *const *outs, const int32_t *sizes);
/* The size is what all rows take at most, SIZE_MAX if one lies outside the data. Unprotect writes
 * the frames back to back, zeros for those it refuses, and sets room to what they took. Offsets and
 * lengths of input and output may be the same columns. */
size_t sfr_unprotect_columns_size(const sfr_rows_in *, size_t count);
size_t sfr_unprotect_columns(sfr_receiver *const *, const sfr_rows_in *, size_t count,
                             uint8_t *out, size_t *room, const sfr_rows_out *);

/* ---- in two steps ---- */

/* Reserve takes the counters and sets kid, ctr and out_size, the room needed. For one frame `out`
 * is set before, for many after it. Seal a reserved frame once. */
int sfr_reserve(sfr_sender *, sfr_frame *);
size_t sfr_reserve_many(sfr_sender *const *, sfr_frame *frames, size_t count);
void sfr_seal_many(sfr_sender *const *, sfr_frame *frames, size_t count);
/* Screen refuses one frame that unprotect would refuse before its key runs (SFR_OK: go on). What
 * open leaves in `out` is nobody's before commit has judged it: commit every opened frame once, in
 * the same order. */
int sfr_screen(sfr_receiver *, sfr_frame *);
void sfr_open_many(sfr_receiver *const *, sfr_frame *frames, size_t count);
size_t sfr_commit_many(sfr_receiver *const *, sfr_frame *frames, size_t count);

#ifdef __cplusplus
}
#endif
#ifndef SFR_PRIVATE
#pragma GCC visibility pop
#endif

#endif
