/* How the counters of a KID's refused frames follow each other. Reports of key flow tell a sender's
 * frames from media in the clear by it; no frame's fate depends on it. */
#include "frame/receiver.h"

#define TRAIL_STEP 32  /* counters that loss, or layers left out, may skip */
#define TRAIL_LATE 256 /* how far back a frame may belong to a run: as far as one byte reaches */
#define TRAIL_STUCK \
    16 /* after so many late frames in a row the run continues from where they are */

/* Whether this counter continues one of the runs. */
bool sfr_trail_follow(trail *t, uint64_t ctr)
{
    uint32_t top = (uint32_t)ctr;
    int32_t step = 0;
    size_t run = 0;
    for (; run < t->runs; run++) {
        step = (int32_t)(top - t->top[run]);
        if (step >= -TRAIL_LATE && step <= TRAIL_STEP) break;
    }
    const bool known = run < t->runs, advanced = known && step > 0;
    if (known && !advanced && ++t->late < TRAIL_STUCK)
        top = t->top[run];
    else
        t->late = 0;
    if (!known && t->runs < TRAIL_RUNS) t->runs++;
    memmove(&t->top[1], t->top, (known ? run : t->runs - 1u) * sizeof *t->top);
    t->top[0] = top;
    return advanced;
}
