# Part of _key_flow.pxi: KeyFlow, whose public face is pysframe.flow.
#
# It is no subclass of its face, as Header is: thousands are made in a poll, and a class of C alone
# takes half the time.

@cython.final
@cython.no_gc           # __init__ takes numbers and a dictionary of numbers: no cycle
@cython.freelist(64)
cdef class KeyFlow:
    cdef uint64_t _kid, _opened, _last_ctr
    cdef uint64_t _auth_failed, _replayed, _too_old
    cdef double _silent
    cdef uint8_t _state
    cdef bint _made
    cdef object _given         # kid and counts, when Python code made this flow
    cdef dict _rejected        # None: the three counts above

    __dataclass_fields__ = dataclass_fields
    __match_args__ = FlowFace.__match_args__

    def __init__(self, state, kid, opened, rejected, last_ctr, silent_for_s):
        fields = flow_fields(state, kid, opened, rejected, last_ctr, silent_for_s)
        if self._made:
            raise made_already(self)
        self._state, self._rejected, self._made = STATES.index(fields[0]), fields[3], True
        self._given = fields[1], fields[2], fields[4], fields[5]

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


set_doc(KeyFlow, FlowFace.__doc__)


cdef KeyFlow _flow(int state, object kid, dict rejected, double silent):
    """A flow without frames opened."""
    return KeyFlow(STATES[state], kid, 0, rejected, 0, silent)
