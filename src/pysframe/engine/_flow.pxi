# Part of _key_flow.pxi: what a poll returns for one KID, a value made of numbers.

@cython.final
@cython.no_gc           # __init__ takes numbers and a dictionary of numbers: no cycle
@cython.freelist(64)
cdef class KeyFlow:
    """One KID's state, and the counters that say why: what Receiver.key_flow() returns.

    kid: None for frames that are not SFrame. opened: frames. rejected: frames by reason, out of
    "authentication", "replayed", "too old", "unknown key", "malformed"; for frames that are not
    SFrame, those of all KIDs that have a key and get nothing else. last_ctr: of the newest
    frame opened, 0 before the first. silent_for_s: seconds since a poll saw a frame open, or
    since a poll first saw the KID.

    >>> import pysframe
    >>> receiver = pysframe.Receiver(4)
    >>> receiver.add_key(7, bytes(range(16)))
    >>> receiver.key_flow(now=100.0)[7].state
    <KeyState.WAITING: 'waiting'>
    """

    cdef uint64_t _kid, _opened, _last_ctr
    cdef uint64_t _auth_failed, _replayed, _too_old
    cdef double _silent
    cdef uint8_t _state
    cdef bint _made
    cdef object _given         # kid and counts, when Python code made this flow
    cdef dict _rejected        # None: the three counts above

    __dataclass_fields__ = dataclass_fields
    __match_args__ = ("state", "kid", "opened", "rejected", "last_ctr", "silent_for_s")

    def __init__(self, state, kid, opened, rejected, last_ctr, silent_for_s):
        counts = {str(reason): index(frames) for reason, frames in rejected.items()}
        given = (None if kid is None else index(kid), index(opened), index(last_ctr),
                 float(silent_for_s))
        number = STATES.index(KeyState(state))
        if self._made:
            raise made_already(self)
        self._state, self._given, self._rejected, self._made = number, given, counts, True

    @property
    def state(self):
        return <object>PyTuple_GET_ITEM(STATES, self._state)

    @property
    def kid(self):
        return self._kid if self._given is None else self._given[0]

    @property
    def opened(self):
        return self._opened if self._given is None else self._given[1]

    @property
    def rejected(self):
        if self._rejected is not None:
            return self._rejected
        # Not kept: of thousands of flows the dictionaries would cost more than all the judging.
        return {
            "authentication": self._auth_failed,
            "replayed": self._replayed,
            "too old": self._too_old,
        }

    @property
    def last_ctr(self):
        return self._last_ctr if self._given is None else self._given[2]

    @property
    def silent_for_s(self):
        return self._silent if self._given is None else self._given[3]

    def _fields(self):
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other):
        if type(other) is not KeyFlow:
            return NotImplemented
        return self._fields() == (<KeyFlow>other)._fields()

    def __hash__(self):
        return hash(self._fields())      # a TypeError: there is a dictionary among them

    def __repr__(self):
        pairs = zip(self.__match_args__, self._fields())
        return f"KeyFlow({', '.join([f'{name}={value!r}' for name, value in pairs])})"

    def __reduce__(self):
        return key_flow, self._fields()


cdef KeyFlow _flow(int state, object kid, dict rejected, double silent):
    """A flow without frames opened."""
    return KeyFlow(STATES[state], kid, 0, rejected, 0, silent)
