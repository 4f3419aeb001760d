"""Receiver: decides which keys exist and which may come next. The engine opens frames.

Rules of this file:
  1. No code in this file runs for a frame whose key is known. The engine parses, resolves, opens
     and commits on its own; it calls _resolve for an unknown KID, and _confirmed when a tag has
     verified under a derived key.
  2. Derived keys are provisional until then. Only _confirmed, after authentication, moves a
     ratchet.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ._buffers import ReadableBuffer, byte_view
from ._common import Closing, policy_lock
from ._tracebacks import without_locals
from .engine import KeyFlow, KeyFlowMonitor, KeyKind, ReceiverBase, policy
from .limits import DEFAULT_MAX_FRAME, LAST_KID, LIMIT_MAX_FRAME, LIMIT_WINDOW, checked
from .liveness import seconds
from .suites import CipherSuite, allowed_suite

if TYPE_CHECKING:
    import pysframe

    from .keys.derived import DerivedKeys
else:  # whatever the package is called. It loads what a type hint names when that is resolved.
    pysframe = sys.modules[__package__]


@policy
class Receiver(Closing, ReceiverBase):
    """Opens the SFrame ciphertexts of one KID namespace: RFC 9605 4.4.4.

    A namespace is a group, or one sender's generations; make a Receiver for each. suite: a
    CipherSuite or its number. replay_window: frames per KID behind the newest that may still
    arrive, 0..2^20; 0 switches replay protection off. strict: refuse headers that are not
    minimal. max_frame: bytes a frame may have. Suites with 4-byte tags need allow_short_tags=True.

    Thread-safe. After a fork, parent and child both go on, each with its own replay windows. A
    Receiver cannot be copied or pickled. close(), or leaving `with`, wipes all keys.

    >>> import pysframe
    >>> suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
    >>> base_key = suite.generate_base_key()
    >>> sender = pysframe.Sender(suite, kid=7, base_key=base_key, next_ctr=0)
    >>> with pysframe.Receiver(suite) as receiver:
    ...     receiver.add_key(7, base_key)
    ...     receiver.unprotect(sender.protect(b"a frame"))
    b'a frame'
    """

    __slots__ = ()
    _fields = ("suite", "_derived", "_monitor")
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
        suite = allowed_suite(suite, allow_short_tags)
        replay_window = checked("replay_window", replay_window, 0, LIMIT_WINDOW)
        max_frame = checked("max_frame", max_frame, 0, LIMIT_MAX_FRAME)
        # First, because it refuses to be called twice.
        self._open(suite, replay_window, max_frame, bool(strict))
        self.suite = suite
        self._derived: DerivedKeys | None = None  # most receivers are given each key
        self._monitor: KeyFlowMonitor | None = None  # made when it is first asked

    # ---- keys ----

    @without_locals
    def add_key(self, kid: int, base_key: ReadableBuffer) -> None:
        """Adds the key of one KID, 0..2^64-1; base_key: 16 bytes or more.

        Adding the same key again changes nothing: its replay window stays. Raises MisuseError for
        another key under a live KID; remove_key() first.
        """
        kid = checked("kid", kid, 0, LAST_KID)
        secret = self._Secret(self.suite, byte_view(base_key, "base_key"))
        with policy_lock:
            self._refuse_derived(kid)
            self._add(kid, secret, KeyKind.GIVEN)
        secret.close()

    def remove_key(self, kid: int) -> bool:
        """Wipes the key of one KID; False when there was none.

        The replay window and the count of failed tags are dropped with the key: when it is added
        again, it accepts old frames again. Raises MisuseError for a KID of a sender key or epoch,
        whose key would be derived again.
        """
        kid = checked("kid", kid, 0, LAST_KID)
        with policy_lock:
            self._refuse_derived(kid)
            return self._remove(kid)

    @property
    def kids(self) -> tuple[int, ...]:
        """The KIDs whose keys were given or confirmed by a tag, in ascending order."""
        return tuple(sorted(key.kid for key in self._stats().keys if not key.provisional))

    @without_locals
    def add_sender_key(
        self,
        generation: int,
        base_key: ReadableBuffer,
        *,
        layout: pysframe.SenderKeyLayout,
        ratchet_step: int = 0,
        max_steps: int = 16,
    ) -> None:
        """Adds a sender key whose owner may ratchet it forward: RFC 9605 5.1.

        ratchet_step: the step base_key belongs to. Frames may be up to max_steps ratchet steps
        ahead of the last one that opened, and two behind (one for R=2, none for R=1). KIDs repeat
        after 2^R steps, so a frame so late that its KID can also mean a step ahead raises
        AuthenticationFailed, not UnknownKey. Earlier generations stay until a tag verifies under
        this one; then the latest of them stays, for frames still in flight. A step within reach
        is derived once, when a frame first names it, and kept, so no flood of forged frames delays
        it. Adding the same key again changes nothing; a different one under a generation that is
        present is a MisuseError.

        >>> import pysframe
        >>> layout, key = pysframe.SenderKeyLayout(4), bytes(range(16))
        >>> kid = layout.pack(generation=1)
        >>> sender = pysframe.Sender(4, kid=kid, base_key=key, next_ctr=0, layout=layout)
        >>> receiver = pysframe.Receiver(4)
        >>> receiver.add_sender_key(1, key, layout=layout)
        >>> receiver.unprotect(sender.ratchet().protect(b"a frame"))
        b'a frame'
        """
        from .keys.derived import DerivedKeys
        from .keys.layouts import SenderKeyLayout, checked_layout
        from .keys.ratchet import SenderKeys

        checked_layout(layout, SenderKeyLayout).pack(generation, ratchet_step)
        with policy_lock:
            derived = self._derived = self._derived or DerivedKeys(self)
            rules = derived.ruled_by(SenderKeys(layout))
            held = derived.admit(generation, base_key)
            changes = rules.add(generation, ratchet_step, max_steps)
            derived.hold(generation, held, changes)

    def remove_sender_key(self, generation: int) -> bool:
        """Wipes a generation, which opened frames until now; False when it was not present.

        Its replay windows and counts of failed tags are dropped with it: when it is added again, it
        accepts old frames again.
        """
        from .keys.ratchet import SenderKeys

        with policy_lock:
            return self._derived is not None and self._derived.remove(SenderKeys, generation)

    @without_locals
    def add_epoch(
        self,
        epoch: int,
        base_key: ReadableBuffer,
        *,
        layout: pysframe.MLSLayout,
        senders: int | None = None,
    ) -> None:
        """Adds the key of an MLS epoch, from which every member's key follows: RFC 9605 5.2.

        senders: the size of the roster. With it, KIDs beyond the roster are unknown at once, and
        each of the first 4,096 members is heard from its first frame; without it, each of the
        first 64. An attacker can name the other members, and contexts other than 0, without end,
        so these share an allowance: 64 are heard at once, and after that each by its 97th frame,
        however many forged frames come beside it. (One of any 97 consecutive counters is served,
        and a secret decides which. When that one is lost, it is the next 97's; a sender of whose
        frames always the same few of each 97 arrive may never be heard. An attacker who can
        tell from outside for which frames a key was derived can leave each frame a chance of about
        1 in 97 only: then all but one member in a million are heard within 1,400 frames.)

        An earlier epoch with the same low E bits is wiped, as the RFC demands. Adding the same
        epoch again may change its roster; a different key, or an older epoch with the same low
        bits, is a MisuseError.

        >>> import pysframe
        >>> layout = pysframe.MLSLayout(E=4, S=6)
        >>> kid, epoch_key = layout.pack(epoch=17, sender_index=2), bytes(range(16))
        >>> receiver = pysframe.Receiver(4)
        >>> receiver.add_epoch(17, epoch_key, layout=layout, senders=3)
        >>> with pysframe.Sender(4, kid=kid, base_key=epoch_key, next_ctr=0) as sender:
        ...     receiver.unprotect(sender.protect(b"a frame"))
        b'a frame'
        """
        from .keys.derived import DerivedKeys
        from .keys.epochs import Epochs
        from .keys.layouts import MLSLayout, checked_layout

        checked_layout(layout, MLSLayout).pack(epoch, 0)
        with policy_lock:
            derived = self._derived = self._derived or DerivedKeys(self)
            rules = derived.ruled_by(Epochs(layout))
            held = derived.admit(epoch, base_key)
            derived.hold(epoch, held, rules.add(epoch, senders))

    def remove_epoch(self, epoch: int) -> bool:
        """Wipes an epoch and all its members' keys; False when it was not present.

        Their replay windows and counts of failed tags are dropped with them: when the epoch is
        added again, it accepts old frames again.
        """
        from .keys.epochs import Epochs

        with policy_lock:
            return self._derived is not None and self._derived.remove(Epochs, epoch)

    def _refuse_derived(self, kid: int) -> None:
        if self._derived is not None:
            self._derived.refuse(kid)

    def _is_stale(self, kid: int) -> bool:
        return self._derived is not None and self._derived.is_stale(kid)

    # ---- called by the engine ----

    @without_locals
    def _resolve(self, kid: int) -> bool:
        with policy_lock:
            return self._derived is not None and self._derived.resolve(kid)

    @without_locals
    def _confirmed(self, kids: list[int]) -> None:
        with policy_lock:
            if self._derived is not None:
                self._derived.confirm(kids)

    # ---- liveness and end ----

    def key_flow(self, now: float) -> dict[int | None, KeyFlow]:
        """Whether each KID's key is flowing; now: monotonic seconds. See pysframe.KeyFlow.

        KIDs that have a key come first, then those that have none, each in ascending order. A last
        entry under None, if present, tells of frames that are not SFrame at all, such as media in
        the clear; KIDs that only such media seems to carry get no state of their own. States
        follow from the differences between two calls, so call it regularly, about once a second.
        Raises TypeError when `now` is not a number and MisuseError when it is not finite, and then
        changes nothing; when `now` lies before that of the last call, no time has passed.
        A sender that begins again under its old KID, with a fresh key, reads as STALLED while
        `rejected` grows ("replayed", "too old"), and as WRONG_KEY once its counters are new: of a
        counter that the window refuses no tag is looked at, and whoever repeats old frames looks
        the same. Give it another KID, or remove_key() the old key first.

        Of KIDs without a key sixteen are tracked. When more than 128 that send in turn are unknown
        at once, their frames can read as NOT_SFRAME as well; where frames come up to 100 ms late,
        and so overtake each other, more than 48; at 200 ms the frames of one can.

        Thread-safe. Anybody can write headers, so use the states to decide what to show and which
        keys to ask for, and nothing else.
        """
        with policy_lock:
            if self._monitor is None:
                self._monitor = self._Monitor()
            return self._monitor.poll(seconds(now), self, self._is_stale)

    def close(self) -> None:
        """Wipes all keys; idempotent. Later calls raise MisuseError."""
        super().close()
        with policy_lock:
            if self._derived is not None:
                self._derived.close()

    def __repr__(self) -> str:
        try:
            return f"<Receiver {self.suite.name}>"
        except AttributeError:  # __init__ raised, or never ran
            return "<Receiver, never opened>"
