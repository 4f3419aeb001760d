# What refused frames say about who sent them, and shares of frames that are judged slowly.
#
# Rule: the arithmetic is that of engine/twin/_pace.py, operation by operation, in the same order.

from pysframe import limits

cdef double PLAIN_FRAMES = limits.PLAIN_FRAMES, PLAIN_SHARE = limits.PLAIN_SHARE
cdef double ANY_FRAMES = limits.ANY_FRAMES, SENT_SHARE = limits.SENT_SHARE
cdef double ODD_SHARE = limits.ODD_SHARE, GUESS_ONE_IN = limits.GUESS_ONE_IN
cdef double PACE_FRAMES = limits.PACE_FRAMES, WINDOW_S = limits.WINDOW_S
cdef int64_t WINDOW_FRAMES = limits.WINDOW_FRAMES, GOOD_FRAMES = limits.GOOD_FRAMES
cdef double SLOW_S = limits.SLOW_S, SLOWEST_S = limits.SLOWEST_S

cdef struct Pace:
    double frames, advanced
    bint is_sent, is_odd

cdef struct BadShare:
    int64_t bad, frames
    double began
    bint is_high


cdef inline bint looks_sent(const Pace *p) noexcept:
    return p.is_sent or (not p.is_odd and p.advanced > p.frames / GUESS_ONE_IN)


cdef inline void set_pace(Pace *p, bint is_sent) noexcept:
    p.is_sent, p.is_odd = is_sent, not is_sent


cdef void judge_pace(Pace *p, double share) noexcept:
    cdef bint enough = p.frames >= ANY_FRAMES
    if share >= (SENT_SHARE if enough else PLAIN_SHARE):
        set_pace(p, True)
    elif share <= ODD_SHARE:
        set_pace(p, False)
    elif enough and not p.is_odd:
        set_pace(p, looks_sent(p))


cdef inline void see_pace(Pace *p, int64_t frames, int64_t advanced) noexcept:
    if frames == 0:
        return
    p.frames += <double>frames
    p.advanced += <double>advanced
    if p.frames >= PLAIN_FRAMES:
        judge_pace(p, p.advanced / p.frames)
    if p.frames > PACE_FRAMES:
        p.advanced *= PACE_FRAMES / 2 / p.frames
        p.frames = PACE_FRAMES / 2


cdef inline void restart_share(BadShare *s, double now, bint is_high) noexcept:
    s.is_high = is_high
    s.bad = s.frames = 0
    s.began = now


cdef inline bint is_over(const BadShare *s, double now) noexcept:
    cdef double seconds = now - s.began
    if s.frames >= WINDOW_FRAMES:
        return seconds >= WINDOW_S
    return seconds >= (SLOW_S if s.frames - s.bad >= GOOD_FRAMES else SLOWEST_S)


cdef inline void see_share(BadShare *s, double limit, int64_t least, int64_t good, int64_t bad,
                           double now) noexcept:
    s.bad += bad
    s.frames += good + bad
    if s.bad >= least and s.bad > limit * s.frames:
        restart_share(s, now, True)
    elif is_over(s, now):
        restart_share(s, now, s.is_high and s.bad > limit / 2 * s.frames)
