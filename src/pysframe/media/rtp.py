"""SFrame over RTP: draft-ietf-avtcore-rtp-sframe-02, which may still change.

Each RTP payload begins with a descriptor of one byte:

    80  S  the first fragment of a ciphertext
    40  E  its last fragment
    20  T  0: a whole frame was sealed; 1: the payload of one packet. The same in all fragments
    1f     reserved: sent as 0, ignored on arrival

Rules of this file:
  1. Nothing here is secret or authentic. Fragments are joined by their numbers alone; the tag of
     the ciphertext decides whether they belonged together.
  2. What arrives is bounded: a Depacketizer keeps `packets` payloads and drops the oldest.
"""

from typing import NamedTuple

from .._buffers import ReadableBuffer, byte_view
from .._tracebacks import without_locals
from ..errors import MisuseError
from ..limits import MIN_BASE_KEY, checked
from ..suites import CipherSuite

FIRST, LAST, PACKETIZED = 0x80, 0x40, 0x20
SEQUENCES = 1 << 16
LAST_SSRC = 0xFFFF_FFFF
LARGEST_PAYLOAD = 0xFFFF  # bytes: UDP has no larger datagram


def fragment(ciphertext: ReadableBuffer, size: int, *, packetized: bool = False) -> list[bytes]:
    """RTP payloads of at most `size` bytes, descriptor included; the last takes the marker bit.

    packetized: what was sealed is one packet's payload, made by the codec's own packetizer.

    >>> [payload.hex() for payload in fragment(bytes.fromhex("0102030405"), 3)]
    ['800102', '000304', '4005']
    """
    data = byte_view(ciphertext, "ciphertext")
    step = checked("size", size, 2, LARGEST_PAYLOAD) - 1
    starts = range(0, data.nbytes, step)
    if not starts:
        raise MisuseError("an empty ciphertext has no fragments")
    payloads = []
    for start in starts:
        flags = FIRST * (start == 0) | LAST * (start == starts[-1]) | PACKETIZED * packetized
        payloads.append(bytes([flags]) + data[start : start + step])
    return payloads


class Ciphertext(NamedTuple):
    """What a Depacketizer has joined; packetized: it holds one packet's payload, not a frame."""

    data: bytes
    packetized: bool
    payload_type: int


class _Fragment(NamedTuple):
    flags: int
    payload_type: int
    body: bytes


class Depacketizer:
    """Joins the RTP payloads of one SSRC, in whatever order they come, into SFrame ciphertexts.

    packets: how many payloads behind the newest are kept while others of theirs are missing.

    >>> stream = Depacketizer()
    >>> stream.push(65535, bytes.fromhex("800102"), 96)
    >>> stream.push(1, bytes.fromhex("4005"), 96)
    >>> stream.push(0, bytes.fromhex("000304"), 96).data.hex()
    '0102030405'
    """

    __slots__ = ("_kept", "_newest", "_packets")

    def __init__(self, *, packets: int = 512) -> None:
        self._packets = checked("packets", packets, 1, SEQUENCES // 4)
        self._newest: int | None = None  # sequence number, counted on beyond 2^16
        self._kept: dict[int, _Fragment | None] = {}  # None: it came, and its ciphertext is out

    def push(self, seq: int, payload: ReadableBuffer, payload_type: int) -> Ciphertext | None:
        """The ciphertext that this payload completes. Repeated and late payloads change nothing."""
        data = byte_view(payload, "payload")
        number = self._unwrapped(checked("seq", seq, 0, SEQUENCES - 1))
        oldest = max(number, self._newest or 0) - self._packets
        if data.nbytes < 2 or number in self._kept or number <= oldest:
            return None
        self._advance(number)
        self._kept[number] = _Fragment(data[0] & ~0x1F & 0xFF, payload_type, bytes(data[1:]))
        return self._joined(number)

    def _unwrapped(self, seq: int) -> int:
        """The number nearest to the newest whose low 16 bits these are."""
        if self._newest is None:
            return seq + SEQUENCES  # leaves room for earlier numbers to stay positive
        ahead = (seq - self._newest) % SEQUENCES
        return self._newest + ahead - (SEQUENCES if ahead >= SEQUENCES // 2 else 0)

    def _advance(self, number: int) -> None:
        if self._newest is None or number > self._newest:
            self._newest = number
            for old in [kept for kept in self._kept if kept <= number - self._packets]:
                del self._kept[old]

    def _joined(self, number: int) -> Ciphertext | None:
        """The smallest run from S to E around this one, of one T and one payload type."""
        first = last = number
        while not self._flags(first) & FIRST:
            first -= 1
            if not self._follows(first, number) or self._flags(first) & LAST:
                return None
        while not self._flags(last) & LAST:
            last += 1
            if not self._follows(last, number) or self._flags(last) & FIRST:
                return None
        run = [self._kept[each] for each in range(first, last + 1)]
        self._kept |= dict.fromkeys(range(first, last + 1))
        head = run[0]
        assert head is not None
        data = b"".join(each.body for each in run if each)
        return Ciphertext(data, bool(head.flags & PACKETIZED), head.payload_type)

    def _flags(self, number: int) -> int:
        found = self._kept[number]
        assert found is not None
        return found.flags

    def _follows(self, number: int, like: int) -> bool:
        """Whether the neighbouring payload has arrived and can belong to the same ciphertext."""
        found, other = self._kept.get(number), self._kept[like]
        if found is None or other is None:
            return False
        same_kind = not (found.flags ^ other.flags) & PACKETIZED
        return same_kind and found.payload_type == other.payload_type


@without_locals
def stream_base_key(suite: CipherSuite | int, base_key: ReadableBuffer, ssrc: int) -> bytes:
    """The base_key of one RTP stream, Nh bytes, for a Sender or Receiver of its own.

    All streams of a sender may then share a KID, and a counter may be used once in each. A ratchet
    (RFC 9605 5.1) begins at this key. Python owns the bytes: they cannot be wiped. Raises
    MisuseError unless ssrc is 0..2^32-1 and base_key has 16 bytes or more.

    >>> stream_base_key(4, bytes(range(16)), 0x11223344).hex()[:16]
    '2da9d67194ee2f47'
    """
    from ..engine import key_schedule  # here, because it needs hashlib

    suite = CipherSuite(suite)
    key = bytes(byte_view(base_key, "base_key"))
    if len(key) < MIN_BASE_KEY:
        raise MisuseError(f"base_key has {len(key)} bytes; it needs at least {MIN_BASE_KEY}")
    return key_schedule.derive_stream(suite, key, checked("ssrc", ssrc, 0, LAST_SSRC))
