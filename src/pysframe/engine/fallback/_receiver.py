"""Receiver: parse -> resolve -> open -> commit.

Rules of this file:
  1. Parse and resolve only look. Windows, statistics of a key and provisional marks change in
     commit, after a tag has verified.
  2. What a forged header can move is bounded: two frame counts, sixteen remembered KIDs and the
     derivation allowance.
  3. Commit judges the window again, under the lock: of two threads with one frame, one wins.
  4. A frame that is refused leaves zeros in `out`, never plaintext.
"""

from operator import index
from typing import TYPE_CHECKING, ClassVar

from ...errors import FrameRejected, FrameStatus, MisuseCode, MisuseError, misuse, rejection
from ...header import MAX_VALUE
from ...suites import CipherSuite
from .. import _aead
from .._types import KeyStats
from ._arrival import Arrival
from ._guard import Lock, Unshareable
from ._keys import FrameKey, Secret
from ._memory import writable_view
from ._sender import LIMIT_MAX_FRAME
from ._strangers import Strangers
from ._window import ReplayWindow

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# Failures after which a key with a 4-byte tag closes itself: 2^12 tries leave a forger 2^-20.
SHORT_TAG_FAILURES = 1 << 12
MAX_PROVISIONAL = 128
MAX_WINDOW = 1 << 20  # frames


class Slot:
    """One KID's key, its replay window, and what was counted under it."""

    __slots__ = (
        "auth_failed", "closed", "key", "kid", "opened", "provisional", "replayed", "too_old",
        "window",
    )  # fmt: skip

    def __init__(self, kid: int, key: FrameKey, window: int, provisional: bool) -> None:
        self.kid = kid
        self.key = key
        self.window = ReplayWindow(window)
        self.provisional = provisional
        self.closed = False
        self.opened = self.auth_failed = self.replayed = self.too_old = 0

    def judge(self, ctr: int) -> FrameStatus:
        """The window's verdict, counted unless it is OK."""
        verdict = self.window.judge(ctr)
        self.replayed += verdict == FrameStatus.REPLAYED
        self.too_old += verdict == FrameStatus.TOO_OLD
        return verdict

    def stats(self) -> KeyStats:
        return KeyStats(
            self.kid,
            self.opened,
            self.auth_failed,
            self.replayed,
            self.too_old,
            self.window.top or 0,
            self.provisional,
            self.closed,
        )


class ReceiverCore(Unshareable):
    """The keys and replay windows of one KID namespace. Thread-safe; goes on in a forked child."""

    _kernel: ClassVar[str | None] = None  # AEAD provider; None: the best there is

    _lock: Lock
    _slots: dict[int, Slot]  # in order of arrival
    _strangers: Strangers
    _news: list[int]  # KIDs confirmed, and not yet told to the policy
    _suite = CipherSuite.AES_128_GCM_SHA256_128
    _window = _max_frame = _malformed = 0
    _strict = True
    _closed = True  # until opened
    _watched = False

    def __new__(cls, *args: object, **kwargs: object) -> "ReceiverCore":
        self = super().__new__(cls)
        self._lock = Lock()
        self._slots = {}
        self._strangers = Strangers()
        self._news = []
        return self

    def _open(self, suite: int, replay_window: int, max_frame: int, strict: bool) -> None:
        """replay_window in frames, 0..2^20 (0: no checks); max_frame in bytes."""
        self._suite = CipherSuite(suite)
        if not 0 <= index(replay_window) <= MAX_WINDOW:
            raise MisuseError(f"replay_window is {replay_window}; it must be 0..{MAX_WINDOW}")
        if not 0 <= index(max_frame) <= LIMIT_MAX_FRAME:
            raise MisuseError(f"max_frame is {max_frame}; it must be 0..{LIMIT_MAX_FRAME}")
        self._window, self._max_frame, self._strict = replay_window, max_frame, strict
        self._closed = False

    # ---- the public verbs ----

    def unprotect(
        self,
        ciphertext: "ReadableBuffer",
        metadata: "ReadableBuffer | None" = b"",
        *,
        clear: int = 0,
    ) -> bytes:
        """The frame in this ciphertext, clear bytes first (RFC 9605 4.4.4).

        Raises FrameRejected (MalformedFrame, UnknownKey, ReplayedFrame, FrameTooOld,
        AuthenticationFailed, in this order), after which nothing has changed.
        """
        return self._receive(self._arrival(ciphertext, metadata, clear), None)

    def unprotect_into(
        self,
        ciphertext: "ReadableBuffer",
        out: "WriteableBuffer",
        metadata: "ReadableBuffer | None" = b"",
        *,
        clear: int = 0,
    ) -> int:
        """unprotect, written to the start of `out`; returns the bytes written.

        `out` lies apart from ciphertext and metadata, or so that the payload stays where it is
        (out begins a header's size behind ciphertext). A rejected frame leaves zeros in it.
        """
        target = writable_view(out)
        return len(self._receive(self._arrival(ciphertext, metadata, clear), target))

    def close(self) -> None:
        """Lets go of all keys; what comes after raises MisuseError. Idempotent."""
        with self._lock:
            self._closed = True
            self._slots.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._suite.name}, {len(self._slots)} keys>"

    # ---- what the policy uses ----

    def _add(self, kid: int, secret: Secret, provisional: bool) -> None:
        """Knows a key; the same one again changes nothing, but makes a provisional one real.

        MisuseError when another key lives under this KID. Of more than 128 provisional keys
        the oldest makes room.
        """
        if not 0 <= index(kid) <= MAX_VALUE:
            raise MisuseError(f"kid is {kid}; it must be 0..2^64-1")
        if secret._suite != self._suite:
            raise MisuseError(f"the secret is of {secret._suite.name}, not of {self._suite.name}")
        key = FrameKey(secret, kid, _aead.provider(self._kernel))
        with self._lock:
            self._check_open()
            known = self._slots.get(kid)
            if known is None:
                self._make_room(provisional)
                self._slots[kid] = Slot(kid, key, self._window, provisional)
            elif known.key.fingerprint != key.fingerprint:
                raise misuse(MisuseCode.CONFLICT, kid=kid)
            else:
                known.provisional &= provisional

    def _remove(self, kid: int) -> bool:
        """Forgets a key; False when there is none."""
        with self._lock:
            self._check_open()
            return self._slots.pop(kid, None) is not None

    def _watch(self, on: bool) -> None:
        """Whether _resolve and _confirmed are to be called."""
        self._watched = on

    def _resolve(self, kid: int) -> bool:
        """Policy hook: a frame names an unknown KID; True when its key was added just now."""
        return False

    def _confirmed(self, kids: list[int]) -> None:
        """Policy hook: under these provisional keys a tag has verified; they are real now."""

    def _stats(self) -> tuple[int, int, dict[int, int], list[KeyStats]]:
        """(malformed, unknown, {unknown KID: frames}, one KeyStats per key)."""
        with self._lock:
            self._check_open()
            keys = [slot.stats() for slot in self._slots.values()]
            return self._malformed, self._strangers.frames, dict(self._strangers.kids), keys

    # ---- one frame ----

    def _arrival(
        self, ciphertext: "ReadableBuffer", metadata: "ReadableBuffer | None", clear: int
    ) -> Arrival:
        arrival = Arrival(ciphertext, metadata, clear)
        self._check_open()
        return arrival

    def _room(self, arrival: Arrival) -> int:
        """Bytes this frame may open to; 0 when it is malformed."""
        try:
            arrival.parse(self._suite, self._max_frame, self._strict)
        except FrameRejected:
            return 0
        return arrival.size

    def _receive(self, arrival: Arrival, out: memoryview | None) -> bytes:
        try:
            plaintext = self._attempt(arrival, out)
        except FrameRejected as error:
            if error.status != FrameStatus.UNKNOWN_KEY or not self._now_knows(arrival.kid):
                raise
            plaintext = self._attempt(arrival, out)
        self._tell()
        return plaintext

    def _attempt(self, arrival: Arrival, out: memoryview | None) -> bytes:
        """Parse, resolve, open, commit; writes to `out`, and wipes it when the frame is refused."""
        try:
            arrival.parse(self._suite, self._max_frame, self._strict)
            arrival.check_out(out)
            slot = self._find(arrival)
        except FrameRejected as error:
            self._count(error.status, arrival.kid)
            arrival.wipe_before_key(out)
            raise
        opened = slot.key.open(arrival.ctr, arrival.aad, arrival.sealed)
        try:
            with self._lock:
                payload = self._commit(slot, arrival, opened)
        except FrameRejected:
            arrival.wipe(out)
            raise
        return arrival.deliver(payload, out)

    def _find(self, arrival: Arrival) -> Slot:
        with self._lock:
            slot = self._slots.get(arrival.kid)
            if slot is None:
                detail = f"; {len(self._slots)} keys are known"
                raise rejection(FrameStatus.UNKNOWN_KEY, arrival.kid, arrival.ctr, detail)
            verdict = slot.judge(arrival.ctr)
        if verdict != FrameStatus.OK:
            raise rejection(verdict, arrival.kid, arrival.ctr)
        return slot

    def _commit(self, slot: Slot, arrival: Arrival, opened: bytes | None) -> bytes:
        self._strangers.count_frame()
        if self._slots.get(arrival.kid) is not slot:  # removed meanwhile
            raise rejection(FrameStatus.UNKNOWN_KEY, arrival.kid, arrival.ctr)
        verdict = slot.judge(arrival.ctr)
        if verdict != FrameStatus.OK:
            raise rejection(verdict, arrival.kid, arrival.ctr)
        if opened is None or slot.closed:
            self._count_failure(slot)
            raise rejection(FrameStatus.AUTHENTICATION_FAILED, arrival.kid, arrival.ctr)
        slot.window.mark(arrival.ctr)
        slot.opened += 1
        if slot.provisional:
            slot.provisional = False
            self._news.append(slot.kid)
        return opened

    def _count(self, status: FrameStatus, kid: int) -> None:
        with self._lock:
            self._strangers.count_frame()
            if status == FrameStatus.MALFORMED:
                self._malformed += 1
            elif status == FrameStatus.UNKNOWN_KEY:
                self._strangers.note(kid)

    def _count_failure(self, slot: Slot) -> None:
        slot.auth_failed += 1
        if self._suite.has_short_tag and slot.auth_failed >= SHORT_TAG_FAILURES:
            slot.closed = True

    # ---- the policy's say ----

    def _now_knows(self, kid: int) -> bool:
        """Whether a KID that was unknown is known by now, after asking the policy if need be."""
        with self._lock:
            if kid in self._slots:
                return True
            if not self._watched or not self._strangers.may_derive():
                return False
        return self._resolve(kid)

    def _tell(self) -> None:
        if not self._watched or not self._news:
            return
        with self._lock:
            news, self._news = [kid for kid in self._news if kid in self._slots], []
        if news:
            self._confirmed(news)

    def _make_room(self, provisional: bool) -> None:
        kids = [slot.kid for slot in self._slots.values() if slot.provisional]
        if provisional and len(kids) >= MAX_PROVISIONAL:
            del self._slots[kids[0]]

    def _check_open(self) -> None:
        if self._closed:
            raise misuse(MisuseCode.ARGUMENT, reason="this Receiver is closed; make another one")
