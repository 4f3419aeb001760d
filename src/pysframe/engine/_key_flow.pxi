# Key flow: what liveness.py promises, counted and judged in C, one struct a key.
#
# Rules of this file:
#   1. engine/twin/_key_flow.py and twin/_pace.py are its specification: the same names, the same
#      order, the same arithmetic. tests/test_key_flow.py holds the two together.
#   2. A poll allocates before it changes anything, and costs a key the same however many there are:
#      histories lie in ascending order of their KIDs, and `order` says where the core's report has
#      each. Both are made anew when keys have come or gone, and only then.
#   3. A KeyFlow holds numbers. Its dictionary is made when it is read.

include "_pace.pxi"

from libc.stdlib cimport qsort

from pysframe._values import dataclass_fields, made_already
from pysframe.engine._types import key_flow
from pysframe.flow import KeyFlow as FlowFace
from pysframe.flow import flow_fields
from pysframe.stats import KeyState

cdef int64_t CONSECUTIVE = limits.CONSECUTIVE, FLOWING_AFTER = limits.FLOWING_AFTER
cdef int64_t WRONG_LEAST = limits.WRONG_LEAST, UNKNOWN_FRAMES = limits.UNKNOWN_FRAMES
cdef double WRONG_SHARE = limits.WRONG_SHARE, CLEAR_SHARE = limits.CLEAR_SHARE
cdef double UNKNOWN_S = limits.UNKNOWN_S, SILENT_S = limits.SILENT_S, QUIET_S = limits.QUIET_S
cdef size_t REMEMBERED = limits.REMEMBERED

cdef extern from *:
    dict new_dict "__Pyx_PyDict_NewPresized"(Py_ssize_t)

cdef tuple STATES = tuple(KeyState)

cdef enum:      # as KeyState has them
    WAITING
    FLOWING
    MISSING_KEY
    WRONG_KEY
    STALE_KEY
    STALLED
    NOT_SFRAME
    NO_STATE

assert [state.name for state in STATES] == [
    "WAITING", "FLOWING", "MISSING_KEY", "WRONG_KEY", "STALE_KEY", "STALLED", "NOT_SFRAME"]


include "_flow.pxi"


# ---- a KID with a key ----

cdef struct Known:
    uint64_t kid
    int64_t opened, failed, refused, advanced
    int64_t failed_in_a_row, undecided, opened_in_a_row
    double last_opened
    BadShare share
    Pace pace
    uint8_t state
    bint seen

cdef struct Tally:
    int64_t good, odd      # frames since the poll before


cdef void begin_known(Known *k, double now) noexcept:
    cdef uint64_t kid = k.kid
    memset(k, 0, sizeof(Known))
    k.kid, k.seen = kid, True
    k.last_opened = k.share.began = now


cdef inline bint is_wrong(Known *k, int64_t opened, int64_t failed, bint closed,
                          double now) noexcept:
    if k.pace.is_odd:
        k.failed_in_a_row = k.undecided = 0
        restart_share(&k.share, now, False)
    k.failed_in_a_row = 0 if opened else k.failed_in_a_row + failed
    k.undecided += failed
    if k.pace.is_sent:
        see_share(&k.share, WRONG_SHARE, WRONG_LEAST, opened, k.undecided, now)
        k.undecided = 0
    else:
        see_share(&k.share, WRONG_SHARE, WRONG_LEAST, opened, 0, now)
    if closed or (k.failed_in_a_row >= CONSECUTIVE and k.pace.is_sent):
        restart_share(&k.share, now, True)
        k.opened_in_a_row = 0
    return k.share.is_high


cdef inline int judge_known(Known *k, int64_t opened, int64_t failed, bint closed,
                            double now) noexcept:
    k.opened_in_a_row += opened
    if is_wrong(k, opened, failed, closed, now):
        if k.state != WRONG_KEY:
            k.opened_in_a_row = 0
        return WRONG_KEY
    if k.opened and now - k.last_opened >= SILENT_S:
        k.opened_in_a_row = 0
        return STALLED
    if k.opened_in_a_row >= FLOWING_AFTER:
        return FLOWING
    return WAITING if k.state == WRONG_KEY else k.state


cdef inline void see_known(Known *k, const sfr_key_stats *s, double now, Tally *tally) noexcept:
    cdef int64_t refused = s.auth_failed + s.replayed + s.too_old, opened, failed, fresh
    if not k.seen or <int64_t>s.opened < k.opened or refused < k.refused:      # added again
        begin_known(k, now)
    opened, failed = s.opened - k.opened, s.auth_failed - k.failed
    fresh = refused - k.refused
    see_pace(&k.pace, fresh, s.advanced - k.advanced)
    if not looks_sent(&k.pace):
        tally.odd += fresh
    k.opened, k.failed, k.refused, k.advanced = s.opened, s.auth_failed, refused, s.advanced
    if k.pace.is_odd:
        failed = 0
    tally.good += opened + failed
    if opened:
        k.last_opened = now
    k.state = judge_known(k, opened, failed, s.closed, now)


cdef KeyFlow _flow_of_known(const Known *k, const sfr_key_stats *s, double now):
    cdef KeyFlow flow = KeyFlow.__new__(KeyFlow)
    flow._kid, flow._opened, flow._last_ctr = s.kid, s.opened, s.last_ctr
    flow._auth_failed, flow._replayed, flow._too_old = s.auth_failed, s.replayed, s.too_old
    flow._state, flow._silent, flow._made = k.state, now - k.last_opened, True
    return flow


# ---- a KID without ----

cdef struct Stranger:
    uint64_t kid
    int64_t frames, advanced, fresh
    double since, last, came      # came: the last poll that did not see it, or -inf
    Pace pace


cdef int see_stranger(Stranger *s, int64_t frames, int64_t advanced, double now) noexcept:
    cdef bint enough
    if frames < s.frames:      # the core has forgotten this KID and met it anew
        s.frames = s.advanced = 0
    s.fresh = frames - s.frames
    see_pace(&s.pace, s.fresh, advanced - s.advanced)
    s.frames, s.advanced = frames, advanced
    if s.fresh:
        s.last = now
    if s.pace.is_odd or now - s.last >= SILENT_S:
        return NO_STATE
    enough = s.frames >= UNKNOWN_FRAMES and now - s.came >= UNKNOWN_S and s.pace.is_sent
    return MISSING_KEY if enough else WAITING


# ---- the monitor ----

cdef struct Place:
    uint64_t kid
    size_t at      # in the core's report


cdef int by_kid(const void *a, const void *b) noexcept nogil:
    """Orders structs that begin with a KID."""
    cdef uint64_t one = (<const uint64_t *>a)[0], other = (<const uint64_t *>b)[0]
    return (one > other) - (one < other)


cdef class KeyFlowMonitor:
    """Turns a receiver's counters into states, poll by poll. Not thread-safe by itself."""

    cdef double _before, _now, _clock
    cdef Known *_known             # in ascending order of their KIDs
    cdef Place *_order             # where the core's report has each of them
    cdef size_t _count
    cdef sfr_key_stats *_keys      # the core's report
    cdef size_t _room
    cdef Stranger _strangers[SFR_UNKNOWN_TRACKED]
    cdef size_t _stranger_count
    cdef dict _removed             # KIDs that flowed and are gone, oldest first
    cdef int64_t _malformed, _unknown, _good
    cdef double _last_odd
    cdef BadShare _clear

    def __cinit__(self):
        self._before = self._last_odd = -INFINITY
        self._removed = {}

    def __dealloc__(self):
        PyMem_Free(self._known)
        PyMem_Free(self._order)
        PyMem_Free(self._keys)

    def poll(self, double now, ReceiverCore receiver not None, is_stale):
        """The state of every KID; now: finite monotonic seconds.

        is_stale says of an unknown KID that it belongs to the past. Keys derived ahead are left
        out until a frame comes under them. KIDs ascend, those with a key before the others.
        """
        cdef sfr_receiver_stats totals
        cdef sfr_stranger met[SFR_UNKNOWN_TRACKED]
        cdef sfr_receiver *core = receiver.pointer()
        cdef size_t i, count, strangers = 0
        sfr_receiver_totals(core, &totals)
        for i in range(<size_t>SFR_UNKNOWN_TRACKED):
            if totals.unknown_kids[i].frames:
                met[strangers] = totals.unknown_kids[i]
                strangers += 1
        count = totals.keys
        self._make_room(count)
        count = sfr_receiver_keys(core, self._keys, self._room)
        while count > self._room:      # a key was added meanwhile
            self._make_room(count)
            count = sfr_receiver_keys(core, self._keys, self._room)
        return self._poll(now, totals.malformed, totals.unknown, met, strangers, count, is_stale)

    def poll_stats(self, double now, stats, is_stale):
        """The same from a ReceiverStats."""
        cdef sfr_stranger met[SFR_UNKNOWN_TRACKED]
        cdef sfr_key_stats *s
        cdef size_t i, count = len(stats.keys)
        if len(stats.strangers) > <size_t>SFR_UNKNOWN_TRACKED:
            raise ValueError(f"a receiver tracks {SFR_UNKNOWN_TRACKED} unknown KIDs")
        for i, (kid, stranger) in enumerate(stats.strangers.items()):
            met[i].kid, met[i].frames, met[i].advanced = kid, stranger.frames, stranger.advanced
        self._make_room(count)
        for i, key in enumerate(stats.keys):
            s = &self._keys[i]
            s.kid, s.opened, s.last_ctr = key.kid, key.opened, key.last_ctr
            s.auth_failed, s.replayed, s.too_old = key.auth_failed, key.replayed, key.too_old
            s.provisional, s.closed, s.advanced = key.provisional, key.closed, key.advanced
        return self._poll(now, stats.malformed, stats.unknown, met, len(stats.strangers), count,
                          is_stale)

    cdef int _make_room(self, size_t count) except -1:
        if self._room and count <= self._room:
            return 0
        cdef size_t room = count + count // 8 + 8
        cdef void *keys = PyMem_Realloc(self._keys, room * sizeof(sfr_key_stats))
        if keys is NULL:
            raise MemoryError
        self._keys, self._room = <sfr_key_stats *>keys, room
        return 0

    cdef dict _poll(self, double given, int64_t malformed, int64_t unknown,
                    sfr_stranger *met, size_t strangers, size_t count, object is_stale):
        cdef Tally tally = Tally(0, 0)
        cdef dict flows = new_dict(count)
        cdef double now
        self._follow(count)
        qsort(met, strangers, sizeof(sfr_stranger), by_kid)
        now = self._advance(given)
        self._with_key(flows, now, count, &tally)
        self._without_key(flows, now, met, strangers, is_stale)
        if self._is_clear(malformed, unknown, &tally, now):
            self._leave_out_inventions(flows)
            flows[None] = self._not_sframe(malformed, unknown, count)
        self._before = now
        return flows

    cdef double _advance(self, double now) noexcept:
        """Seconds since the first poll; where the caller's clock goes back, no time has passed."""
        if self._before != -INFINITY and now > self._now:
            self._clock += now - self._now
        self._now = now
        return self._clock

    # -- histories --

    cdef int _follow(self, size_t count) except -1:
        cdef size_t i = 0
        if count == self._count:
            while i < count and self._known[i].kid == self._keys[self._order[i].at].kid:
                i += 1
            if i == count:
                return 0
        return self._arrange(count)

    cdef int _arrange(self, size_t count) except -1:
        """Moves every history to its new place after keys came or went; some end."""
        cdef Known *known = <Known *>PyMem_Calloc(count + 1, sizeof(Known))
        cdef Place *order = <Place *>PyMem_Calloc(count + 1, sizeof(Place))
        cdef size_t i, old = 0
        if known is NULL or order is NULL:
            PyMem_Free(known)
            PyMem_Free(order)
            raise MemoryError
        for i in range(count):
            order[i] = Place(self._keys[i].kid, i)
        qsort(order, count, sizeof(Place), by_kid)
        ended = []
        for i in range(count):
            while old < self._count and self._known[old].kid < order[i].kid:
                self._end(ended, old)
                old += 1
            if old < self._count and self._known[old].kid == order[i].kid:
                known[i] = self._known[old]
                old += 1
            known[i].kid = order[i].kid
        while old < self._count:
            self._end(ended, old)
            old += 1
        PyMem_Free(self._known)
        PyMem_Free(self._order)
        self._known, self._order, self._count = known, order, count
        self._remember(ended)
        return 0

    cdef int _end(self, list ended, size_t i) except -1:
        if self._known[i].seen and self._known[i].opened:
            ended.append(self._known[i].kid)
        return 0

    cdef int _remember(self, list ended) except -1:
        for kid in ended:
            self._removed.pop(kid, None)
            self._removed[kid] = None
        self._removed = {kid: None for kid in self._removed if not self._has_key(kid)}
        while len(self._removed) > <Py_ssize_t>REMEMBERED:
            del self._removed[next(iter(self._removed))]
        return 0

    cdef bint _has_key(self, uint64_t kid) noexcept:
        cdef size_t first = 0, behind = self._count, middle
        while first < behind:
            middle = (first + behind) // 2
            if self._known[middle].kid < kid:
                first = middle + 1
            else:
                behind = middle
        return first < self._count and self._known[first].kid == kid

    # -- judging --

    cdef int _with_key(self, dict flows, double now, size_t count, Tally *tally) except -1:
        cdef size_t i
        cdef Known *k
        cdef const sfr_key_stats *s
        for i in range(count):
            s, k = &self._keys[self._order[i].at], &self._known[i]
            if s.provisional and not s.auth_failed:
                continue
            see_known(k, s, now, tally)
            if not (s.provisional and k.pace.is_odd):
                flows[s.kid] = _flow_of_known(k, s, now)
        return 0

    cdef int _without_key(self, dict flows, double now, const sfr_stranger *met, size_t count,
                          object is_stale) except -1:
        cdef Stranger following[SFR_UNKNOWN_TRACKED]
        cdef int states[SFR_UNKNOWN_TRACKED]
        cdef size_t i
        for i in range(count):
            following[i] = self._stranger(met[i].kid, now)
            states[i] = see_stranger(&following[i], met[i].frames, met[i].advanced, now)
        for i in range(count):
            self._strangers[i] = following[i]
        self._stranger_count = count
        for i in range(count):
            kid = following[i].kid
            if states[i] == NO_STATE or self._has_key(kid):
                continue
            if states[i] == MISSING_KEY and (kid in self._removed or is_stale(kid)):
                states[i] = STALE_KEY
            flows[kid] = _flow(states[i], kid, {"unknown key": following[i].frames},
                               now - following[i].since)
        return 0

    cdef int _leave_out_inventions(self, dict flows) except -1:
        """Media in the clear, read as headers, may name another KID in each frame."""
        cdef size_t i
        for i in range(self._stranger_count):
            kid = self._strangers[i].kid
            if not looks_sent(&self._strangers[i].pace) and not self._has_key(kid):
                flows.pop(kid, None)
        return 0

    cdef Stranger _stranger(self, uint64_t kid, double now) noexcept:
        cdef Stranger fresh
        cdef size_t i
        for i in range(self._stranger_count):
            if self._strangers[i].kid == kid:
                return self._strangers[i]
        memset(&fresh, 0, sizeof(fresh))
        fresh.kid, fresh.since, fresh.last, fresh.came = kid, now, now, self._before
        return fresh

    # -- media in the clear --

    cdef bint _is_clear(self, int64_t malformed, int64_t unknown, const Tally *tally,
                        double now) noexcept:
        cdef int64_t fresh = unknown - self._unknown
        cdef int64_t sent = self._sent(fresh)
        cdef int64_t odd = tally.odd + malformed - self._malformed + fresh - sent
        cdef int64_t good = tally.good + sent
        self._malformed, self._unknown = malformed, unknown
        if odd:
            self._last_odd, self._good = now, 0
        else:
            self._good += good
        see_share(&self._clear, CLEAR_SHARE, CONSECUTIVE, good, odd, now)
        if self._clear.is_high and now - self._last_odd >= (
                SILENT_S if self._good < FLOWING_AFTER else QUIET_S):
            restart_share(&self._clear, now, False)
        return self._clear.is_high

    cdef int64_t _sent(self, int64_t unknown) noexcept:
        """How many of these frames senders sent. Tracked KIDs are a sample of the others."""
        cdef int64_t like = 0, tracked = 0, sent = 0, others
        cdef size_t i
        for i in range(self._stranger_count):
            tracked += self._strangers[i].fresh
            if looks_sent(&self._strangers[i].pace):
                like += 1
                sent += self._strangers[i].fresh
        others = max(unknown - tracked, 0) * like // <int64_t>max(self._stranger_count, 1)
        return min(unknown, others + sent)

    cdef KeyFlow _not_sframe(self, int64_t malformed, int64_t unknown, size_t count):
        cdef uint64_t auth_failed = 0, replayed = 0, too_old = 0
        cdef const sfr_key_stats *s
        cdef size_t i
        for i in range(count):
            if self._known[i].seen and self._known[i].pace.is_odd:
                s = &self._keys[self._order[i].at]
                auth_failed += s.auth_failed
                replayed += s.replayed
                too_old += s.too_old
        reasons = {
            "malformed": malformed,
            "unknown key": unknown,
            "authentication": auth_failed,
            "replayed": replayed,
            "too old": too_old,
        }
        return _flow(NOT_SFRAME, None, reasons, 0.0)
