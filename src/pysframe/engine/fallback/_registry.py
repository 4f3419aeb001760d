"""The senders this process has, and has had.

Rule: a (base_key, KID) has one live sender, and a later one never starts below a counter that an
      earlier one may have used (RFC 9605 7.4 MUST: no second frame under a key and nonce).

Keys are known by a fingerprint under a secret of this process, so the table tells nothing.
"""

from hashlib import blake2b
from secrets import token_bytes

from ._guard import Lock

REMEMBERED = 65536  # closed senders; then the one that closed first is forgotten

_process_secret = token_bytes(32)


def fingerprint(sframe_key: bytes, sframe_salt: bytes) -> bytes:
    """16 bytes that are equal for equal keys, and say nothing outside this process."""
    return blake2b(sframe_key + sframe_salt, key=_process_secret, digest_size=16).digest()


class SenderRegistry:
    """Which fingerprints are in use, and how far each one went. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._alive: set[bytes] = set()
        self._closed: dict[bytes, int] = {}  # -> first counter never used; in order of closing

    def open(self, name: bytes, next_ctr: int) -> bool:
        """Claims a fingerprint; False when it is in use, or was used at next_ctr or beyond."""
        with self._lock:
            # RFC 9605 4.4.1 MUST NOT: one base_key and KID, two senders.
            if name in self._alive or next_ctr < self._closed.get(name, 0):
                return False
            # In this order, here and in close: an exception in between, such as Ctrl-C, leaves a
            # claim that nobody can take, and never a used counter forgotten.
            self._alive.add(name)
            self._closed.pop(name, None)
            return True

    def close(self, name: bytes, unused: int) -> None:
        """Gives a claim back; `unused` is the first counter that was not used."""
        with self._lock:
            self._closed[name] = unused
            self._alive.discard(name)
            if len(self._closed) > REMEMBERED:
                del self._closed[next(iter(self._closed))]


SENDERS = SenderRegistry()
