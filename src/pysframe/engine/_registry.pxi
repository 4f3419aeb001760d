# Part of _native.pyx: the one table of senders that a process has.
#
# RFC 9605 4.3 MUST: a KID and a CTR together are for one frame. Two Senders of one key would repeat
# counters, so every Sender of the process is entered in one table, whichever engine it runs on. The
# C core's table replaces the twin's, and takes over its entries, when the native module is loaded.

class SenderRegistry:
    """The C core's table, as the twin's senders use it once both engines are loaded.

    It has the interface of engine/twin/_registry.py, whose place it takes.
    """

    __slots__ = ("library", "secret")

    def __init__(self, bytes secret):
        if len(secret) != 32 or not sfr_registry_secret(<const uint8_t *><char *>secret):
            raise MemoryError("no memory for the names of keys, or they are named already")
        self.secret = secret
        self.library = <size_t>&sfr_registry_open      # tells two copies of the C core apart

    def open(self, bytes name, uint64_t next_ctr):
        cdef uint64_t blocks
        status = sfr_registry_open(_name(name), next_ctr, &blocks)
        if status == SFR_E_NO_MEMORY:
            raise MemoryError("no memory to remember another key")
        return None if status == SFR_E_DUPLICATE else blocks

    def close(self, bytes name, uint64_t next_ctr, bint spent, uint64_t blocks):
        sfr_registry_close(_name(name), next_ctr, spent, blocks)


cdef const uint8_t *_name(bytes name) except NULL:
    if len(name) != 16:
        raise ValueError("a fingerprint has 16 bytes")
    return <const uint8_t *><char *>name


def _keep_the_registry():
    """Makes the C core's table that of the process, with the entries of the one it replaces."""
    before = getattr(sys, "_pysframe_senders", None)
    library = getattr(before, "library", None)
    if library is None:
        after = SenderRegistry(urandom(32) if before is None else before.secret)
        if before is not None:
            before.hand_over(after)
        sys._pysframe_senders = after
    elif library != <size_t>&sfr_registry_open:
        raise ImportError(
            "another copy of pysframe's native engine runs in this process: senders of two would "
            "not know of each other, and could use the same counter twice")


_keep_the_registry()
