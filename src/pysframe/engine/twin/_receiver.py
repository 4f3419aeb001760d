"""Receiver: parse -> resolve -> open -> commit.

Rules of this file:
  1. Windows and provisional keys change in commit, after a tag has verified, and nowhere else.
  2. A forged header can change little: counts of rejected frames, sixteen remembered KIDs, and the
     allowances for derivation in _shares.py.
  3. Commit checks the window again, under the lock: when two threads open one frame, one of them
     wins.
  4. A rejected frame leaves zeros in `out`, never plaintext.
"""

from typing import NamedTuple

from ..._buffers import ReadableBuffer
from ...errors import FrameRejected, FrameStatus, MisuseCode, misuse, rejection
from ...limits import LIMIT_MAX_FRAME, LIMIT_WINDOW, MAX_ASKED, SHORT_TAG, SHORT_TAG_FAILURES
from ...stats import KeyStats, ReceiverStats
from ...suites import CipherSuite
from .._aead import Provider
from .._types import KeyKind, Reach
from ._arrival import Arrival, Parsed, arrival
from ._formats import SFRAME, Format
from ._guard import new_lock
from ._keys import FrameKey, Secret
from ._shares import Shares
from ._strangers import Strangers
from ._trail import Trail
from ._window import ReplayWindow


class Slot:
    """The key of one KID, its replay window and its counts."""

    __slots__ = (
        "auth_failed", "closed", "key", "kid", "kind", "opened", "refused", "replayed", "too_old",
        "window",
    )  # fmt: skip

    def __init__(self, kid: int, key: FrameKey, window: int, kind: KeyKind) -> None:
        self.kid = kid
        self.key = key
        self.window = ReplayWindow(window)
        self.kind = kind
        self.closed = False
        self.opened = self.auth_failed = self.replayed = self.too_old = 0
        self.refused = Trail()  # rejected frames, whatever the reason

    def judge(self, ctr: int) -> FrameStatus:
        """The verdict of the window, counted unless it is OK."""
        verdict = self.window.judge(ctr)
        self.replayed += verdict == FrameStatus.REPLAYED
        self.too_old += verdict == FrameStatus.TOO_OLD
        if verdict != FrameStatus.OK:
            self.refused.follow(ctr)
        return verdict

    def fail(self, times: int) -> None:
        """Counts failures; a key with a 4-byte tag closes itself after so many."""
        self.auth_failed += times
        if self.key.tag_size == SHORT_TAG and self.auth_failed >= SHORT_TAG_FAILURES:
            self.closed = True

    def stats(self) -> KeyStats:
        """The counts, by name."""
        return KeyStats(
            self.kid,
            self.opened,
            self.auth_failed,
            self.replayed,
            self.too_old,
            self.window.top or 0,
            self.kind != KeyKind.GIVEN,
            self.closed,
            self.refused.advanced,
        )


class Opened(NamedTuple):
    """A frame whose tag has verified, and the KID and counter that it came under."""

    kid: int
    ctr: int
    frame: bytes


class ReceiverState:
    """The keys and replay windows of one KID namespace. Thread-safe; goes on in a forked child.

    replay_window in frames, 0..2^20 (0: no checks); max_frame in bytes.
    """

    __slots__ = (
        "_asked", "_confirmed", "_format", "_lock", "_malformed", "_max_frame", "_shares", "_slots",
        "_source", "_strangers", "_strict", "_window", "closed", "suite", "watched",
    )  # fmt: skip

    def __init__(
        self,
        suite: CipherSuite,
        window: int,
        max_frame: int,
        strict: bool,
        source: Provider,
        wire_format: Format = SFRAME,
    ) -> None:
        if not (0 <= window <= LIMIT_WINDOW and 0 <= max_frame <= LIMIT_MAX_FRAME):
            reason = "replay_window or max_frame is out of range"
            raise misuse(MisuseCode.ARGUMENT, reason=reason)
        self.suite = suite
        self._window = window
        self._max_frame = max_frame
        self._strict = strict
        self._source = source
        self._format = wire_format
        self._lock = new_lock()
        self._slots: dict[int, Slot] = {}  # by KID
        self._asked: dict[int, Slot] = {}  # those of kind ASKED, in order of arrival
        self._shares = Shares()
        self._strangers = Strangers()
        self._malformed = 0  # frames
        self._confirmed: list[int] = []  # KIDs confirmed, and not yet told to the policy
        self.closed = False
        self.watched = False  # the policy wants to be asked and told

    # ---- keys ----

    def add(self, kid: int, secret: Secret, kind: KeyKind) -> None:
        """Adds a key. Adding the same one again can only change its kind, to an earlier one.

        MisuseError when another key lives under this KID. The oldest of more than 128 ASKED keys
        makes room.
        """
        key = FrameKey(secret.of_suite(self.suite), kid, self._source, self._format)
        with self._lock:
            self.check_open()
            known = self._slots.get(kid)
            if known is None:
                self._take_in(Slot(kid, key, self._window, kind))
            elif known.key.fingerprint != key.fingerprint:
                raise misuse(MisuseCode.CONFLICT, kid=kid)
            elif kind < known.kind:
                known.kind = kind
                self._asked.pop(kid, None)

    def remove(self, kid: int) -> bool:
        """Forgets a key; False when there is none."""
        with self._lock:
            self.check_open()
            self._asked.pop(kid, None)
            return self._slots.pop(kid, None) is not None

    def reach(self, reach: Reach) -> None:
        """Which keys the policy can derive; replaces what was said of the same group."""
        with self._lock:
            self.check_open()
            self._shares.reach(reach)

    def forget(self, mask: int, group: int) -> None:
        """Forgets what could be derived of a group, and every key under its KIDs."""
        with self._lock:
            self.check_open()
            self._shares.forget(group)
            for kid in [kid for kid in self._slots if kid & mask == group]:
                self.remove(kid)

    def kind(self, kid: int) -> KeyKind | None:
        """GIVEN, AHEAD or ASKED; None when there is no key for this KID."""
        with self._lock:
            self.check_open()
            slot = self._slots.get(kid)
            return None if slot is None else slot.kind

    def knows(self, kid: int) -> bool:
        """Whether this KID has a key."""
        return kid in self._slots

    def may_derive(self, kid: int, ctr: int) -> bool:
        """Whether the policy is to derive the key of an unknown KID."""
        with self._lock:
            return self.watched and not self.closed and self._shares.may_derive(kid, ctr)

    def give_up(self, kid: int, ctr: int) -> None:
        """Counts a frame under an unknown KID, once nobody has a key for it."""
        with self._lock:
            self._strangers.note(kid, ctr)

    def take_confirmed(self) -> list[int]:
        """Provisional keys that became real since the last call; none unless it is watched."""
        if not self.watched or not self._confirmed:
            return []
        with self._lock:
            confirmed, self._confirmed = self._confirmed, []
            return [kid for kid in confirmed if kid in self._slots]

    def stats(self) -> ReceiverStats:
        """The counts, by name."""
        with self._lock:
            self.check_open()
            keys = [slot.stats() for slot in self._slots.values()]
            strangers = self._strangers
            return ReceiverStats(self._malformed, strangers.frames, strangers.stats(), keys)

    def close(self) -> None:
        """Releases all keys; idempotent."""
        with self._lock:
            self.closed = True
            self._slots.clear()
            self._asked.clear()

    def check_open(self) -> None:
        """Raises MisuseError after close()."""
        if self.closed:
            raise misuse(MisuseCode.ARGUMENT, reason="this receiver is closed")

    def _take_in(self, slot: Slot) -> None:
        if slot.kind == KeyKind.ASKED:
            self._make_room()
            self._asked[slot.kid] = slot
            if self.suite.has_short_tag:
                slot.fail(self._shares.failures_of(slot.key.fingerprint))
                # Count them as a sender's frames: nothing says that they are media in the clear.
                slot.refused.advanced = slot.auth_failed
        self._slots[slot.kid] = slot

    def _make_room(self) -> None:
        # Forged headers ask for many keys, which evict one another and no others.
        if len(self._asked) < MAX_ASKED:
            return
        kid, oldest = next(iter(self._asked.items()))
        if self.suite.has_short_tag and oldest.auth_failed:
            self._shares.keep_failures(oldest.key.fingerprint, oldest.auth_failed)
        del self._asked[kid], self._slots[kid]

    # ---- one frame ----

    def arrival(
        self, ciphertext: "ReadableBuffer", metadata: "ReadableBuffer | None", clear: int
    ) -> Arrival:
        """A frame to be opened here."""
        given = arrival(ciphertext, metadata, clear, self._format)
        self.check_open()
        return given

    def room(self, given: Arrival) -> int:
        """Bytes this frame may open to, parsed leniently; 0 when its sizes are wrong."""
        try:
            return given.parse(self.suite, self._max_frame, False).size
        except FrameRejected:
            return 0

    def attempt(self, given: Arrival, out: memoryview | None) -> Opened:
        """Parse, resolve, open, commit; writes to `out`, or wipes it when the frame is rejected."""
        try:
            parsed = self._parse(given)
            parsed.check_out(out)
            slot = self._resolve(parsed)
        except FrameRejected:
            given.wipe_before_key(out)
            raise
        opened = slot.key.open(parsed.ctr, parsed.aad, parsed.sealed, parsed.places.mark)
        try:
            with self._lock:
                payload = self._commit(slot, parsed, opened)
        except FrameRejected:
            parsed.wipe(out)  # RFC 9605 4.4.4 MUST: discarded
            raise
        return Opened(parsed.kid, parsed.ctr, parsed.deliver(payload, out))

    def _parse(self, given: Arrival) -> Parsed:
        try:
            return given.parse(self.suite, self._max_frame, self._strict)
        except FrameRejected:
            with self._lock:
                self._malformed += 1
            raise

    def _resolve(self, parsed: Parsed) -> Slot:
        kid, ctr = parsed.kid, parsed.ctr
        with self._lock:
            slot = self._slots.get(parsed.kid)
            if slot is None:
                detail = f"{len(self._slots)} keys are known"
                raise rejection(FrameStatus.UNKNOWN_KEY, kid, ctr, detail)
            verdict = slot.judge(ctr)
        if verdict != FrameStatus.OK:
            raise rejection(verdict, kid, ctr)
        return slot

    def _commit(self, slot: Slot, parsed: Parsed, opened: bytes | None) -> bytes:
        kid, ctr = parsed.kid, parsed.ctr
        if self._slots.get(kid) is not slot:  # removed while the frame was being opened
            raise rejection(FrameStatus.UNKNOWN_KEY, kid, ctr)
        verdict = slot.judge(ctr)
        if verdict != FrameStatus.OK:
            raise rejection(verdict, kid, ctr)
        if opened is None or slot.closed:
            slot.fail(1)
            slot.refused.follow(ctr)
            raise rejection(FrameStatus.AUTHENTICATION_FAILED, kid, ctr)
        slot.window.mark(ctr)
        slot.opened += 1
        self._shares.count_opened()
        if slot.kind != KeyKind.GIVEN:
            slot.kind = KeyKind.GIVEN
            self._asked.pop(slot.kid, None)
            self._confirmed.append(slot.kid)
        return opened
