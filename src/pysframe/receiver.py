"""Receiver: which keys there are, and which may come. The engine opens frames.

Rules of this file:
  1. Nothing here runs for a frame whose key is known: the engine parses, resolves, opens and
     commits by itself, and asks here about unknown KIDs (_resolve) or tells what a verified tag
     has confirmed (_confirmed).
  2. Keys derived ahead are provisional. Only _confirmed, after authentication, moves a ratchet.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from .engine import ReceiverBase, policy
from .epochs import Epoch, Epochs
from .errors import MisuseError
from .kid import MLSLayout, SenderKeyLayout
from .liveness import KeyFlow, Monitor
from .ratchet import BEHIND, Ratchet
from .suites import CipherSuite

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DEFAULT_MAX_FRAME = 16 << 20  # bytes


@policy
class Receiver(ReceiverBase):
    """Opens the SFrame ciphertexts of one KID namespace: RFC 9605 4.4.4.

    A namespace is a group, or one sender's generations; make a Receiver for each. suite: a
    CipherSuite. replay_window: frames per KID behind the newest that may still arrive (0 switches
    replay protection off). strict: refuse headers that are not minimal. max_frame: bytes a frame
    may have. Suites with 4-byte tags need allow_short_tags=True.

    Thread-safe. After a fork it goes on in both processes, each with its own replay windows. It
    cannot be copied or pickled. close() wipes all keys.

    >>> import pysframe
    >>> suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
    >>> sender = pysframe.Sender.generate(suite, kid=7)
    >>> with pysframe.Receiver(suite) as receiver:
    ...     receiver.add_key(7, sender.base_key)
    ...     receiver.unprotect(sender.protect(b"a frame"))
    b'a frame'
    """

    __slots__ = ()
    _fields = ("suite", "_lock", "_ratchets", "_epochs", "_monitor")
    suite: CipherSuite

    def __init__(
        self,
        suite: CipherSuite | int,
        *,
        replay_window: int = 1024,
        strict: bool = True,
        max_frame: int = DEFAULT_MAX_FRAME,
        allow_short_tags: bool = False,
    ) -> None:
        self.suite = allowed_suite(suite, allow_short_tags)
        self._open(self.suite, replay_window, max_frame, strict)
        self._lock = RLock()
        self._ratchets: dict[int, tuple[Ratchet, Any]] = {}  # generation -> its secret, too
        self._epochs: tuple[Epochs, dict[int, Any]] = (Epochs(), {})
        self._monitor: Monitor | None = None

    # ---- keys that are given ----

    def add_key(self, kid: int, base_key: ReadableBuffer) -> None:
        """Takes the key of one KID; base_key: 16 bytes or more.

        The same key again changes nothing: its replay window goes on. Raises MisuseError for
        another key under a live KID; remove_key() first.
        """
        secret = self._Secret(self.suite, base_key)
        try:
            self._add(kid, secret, False)
        finally:
            secret.close()

    def remove_key(self, kid: int) -> bool:
        """Wipes the key of one KID; False when there was none."""
        return self._remove(kid)

    @property
    def kids(self) -> tuple[int, ...]:
        """The KIDs whose keys were given or confirmed, in ascending order."""
        return tuple(sorted(key.kid for key in self._stats()[3] if not key.provisional))

    # ---- keys that follow from others ----

    def add_sender_key(
        self,
        generation: int,
        base_key: ReadableBuffer,
        *,
        layout: SenderKeyLayout,
        max_steps: int = 16,
    ) -> None:
        """Takes a sender key whose owner may ratchet it forward: RFC 9605 5.1.

        Frames may be up to max_steps ratchet steps ahead of the last one that opened. The two
        newest generations before this one stay, for frames under way; older ones are wiped.
        """
        ratchet = Ratchet(layout, generation, max_steps)
        with self._lock:
            if generation in self._ratchets:
                raise MisuseError(f"generation {generation} is there already; add a new one")
            secret = self._Secret(self.suite, base_key)
            self._add(ratchet.kid_of(0), secret, False)
            self._ratchets[generation] = ratchet, secret
            self._derive_steps(ratchet, secret, 0, ratchet.missing())
            for old in sorted(self._ratchets)[: -1 - BEHIND]:
                self.remove_sender_key(old)
        self._watch(True)

    def remove_sender_key(self, generation: int) -> bool:
        """Wipes a generation and all its steps; False when it was not there."""
        with self._lock:
            if generation not in self._ratchets:
                return False
            ratchet, secret = self._ratchets.pop(generation)
            secret.close()
            for kid in ratchet.kids:
                self._remove(kid)
        return True

    def add_epoch(
        self,
        epoch: int,
        base_key: ReadableBuffer,
        *,
        layout: MLSLayout,
        senders: int | None = None,
    ) -> None:
        """Takes the key of an MLS epoch, from which every member's follows: RFC 9605 5.2.

        senders: the size of the roster. With it KIDs of others are refused at once and the first
        64 members' keys are ready before their first frame; without it each new KID costs one
        derivation, from an allowance that forged headers cannot outrun. An epoch with the same
        low E bits is wiped, as the RFC demands.
        """
        new = Epoch(epoch, layout, senders)
        secret = self._Secret(self.suite, base_key)
        with self._lock:
            epochs, secrets = self._epochs
            replaced = epochs.add(new)
            if replaced is not None:
                self._wipe_epoch(replaced)
            secrets[epoch] = secret
            for kid in new.ahead():
                self._add(kid, secret, True)
        self._watch(True)

    def remove_epoch(self, epoch: int) -> bool:
        """Wipes an epoch and all its members' keys; False when it was not there."""
        with self._lock:
            removed = self._epochs[0].remove(epoch)
            if removed is not None:
                self._wipe_epoch(removed)
        return removed is not None

    def _wipe_epoch(self, epoch: Epoch) -> None:
        self._epochs[1].pop(epoch.number).close()
        for key in self._stats()[3]:
            if epoch.owns(key.kid):
                self._remove(key.kid)

    # ---- what the engine asks and tells ----

    def _resolve(self, kid: int) -> bool:
        """Derives the key of an unknown KID, provisionally, if it follows from a known secret."""
        with self._lock:
            epoch = self._epochs[0].find(kid)
            if epoch is not None:
                self._add(kid, self._epochs[1][epoch.number], True)
                return True
            for ratchet, secret in self._ratchets.values():
                step = ratchet.step_of(kid)
                if step is not None:
                    self._derive_steps(ratchet, secret, ratchet.step, (step,))
                    return True
        return False

    def _confirmed(self, kids: list[int]) -> None:
        with self._lock:
            for kid in kids:
                for generation, (ratchet, secret) in list(self._ratchets.items()):
                    step = ratchet.step_of(kid)
                    if step is not None:
                        self._advance(generation, ratchet, secret, step)

    def _advance(self, generation: int, ratchet: Ratchet, secret: Any, step: int) -> None:
        before = ratchet.step
        move = ratchet.confirm(step)
        for old in move.forget:
            self._remove(ratchet.kid_of(old))
        self._derive_steps(ratchet, secret, before, move.derive)
        self._ratchets[generation] = ratchet, secret.ratchet(step - before)
        secret.close()

    def _derive_steps(
        self, ratchet: Ratchet, secret: Any, base: int, steps: tuple[int, ...]
    ) -> None:
        """Adds provisional keys; `secret` is that of step `base`."""
        for step in steps:
            if step > base:
                later = secret.ratchet(step - base)
                self._add(ratchet.kid_of(step), later, True)
                later.close()
                ratchet.hold(step)

    # ---- liveness and end ----

    def key_flow(self, now: float) -> dict[int | None, KeyFlow]:
        """Per KID, whether its key is flowing; now: monotonic seconds. See pysframe.KeyFlow.

        The entry under None, when there is one, tells of frames that are not SFrame at all.
        Differences between two calls count, so call it regularly, about once a second.
        """
        with self._lock:
            if self._monitor is None:
                self._monitor = Monitor()
            return self._monitor.poll(now, self._stats())

    def close(self) -> None:
        """Wipes all keys; idempotent. Later calls raise MisuseError."""
        with self._lock:
            super().close()
            for secret in [s for _, s in self._ratchets.values()] + [*self._epochs[1].values()]:
                secret.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Receiver {self.suite.name}>"


def allowed_suite(suite: CipherSuite | int, allow_short_tags: bool) -> CipherSuite:
    """The suite, unless its tags are 4 bytes and the caller has not said that this is meant."""
    suite = CipherSuite(suite)
    if suite.has_short_tag and not allow_short_tags:
        raise MisuseError(
            f"{suite.name} has 4-byte tags: one forgery succeeds in 2^32 tries (RFC 9605 7.5); "
            "pass allow_short_tags=True if that is meant"
        )
    return suite
