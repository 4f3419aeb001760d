"""Scope: what opens the frames of one sender, or of everybody in the room.

Rules of this file:
  1. A scope opens with the keys of its sender alone, and with those of the group's epochs, in which
     all members share one key.
  2. It keeps its Receiver, and with it the replay windows, as long as it has had a key.
"""

from __future__ import annotations

from collections.abc import Callable

import pysframe  # of Receiver, which belongs to an engine

from .._values import showable
from ..errors import MisuseError
from ..keys.layouts import MLSLayout, SenderKeyLayout
from ..limits import ROOM_WINDOW
from ..suites import CipherSuite
from .events import InstallEpoch, InstallKey, InstallSenderKey

SENDER_KEYS = SenderKeyLayout(8)  # R
MAX_STEPS = 200  # ratchet steps that a sender may be ahead

NO_SENDER = (
    "sender keys (RFC 9605 5.1) need to know whose frame it is: name the sender of each track"
)

Install = InstallKey | InstallSenderKey | InstallEpoch


@showable
class Scope:
    """The receiving half for one sender, or for the whole room.

    receiver opens its frames. It is replaced only while it has no key, by one of the keys' suite.
    Adapters use the receiver and watch(); the keyring does the rest.
    """

    __slots__ = ("_watchers", "receiver", "sender")

    receiver: pysframe.Receiver
    sender: str | None  # None: the whole room

    def __init__(self, sender: str | None, suite: CipherSuite) -> None:
        self.sender = sender
        self.receiver = _receiver(suite)
        self._watchers: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> None:
        """changed() is called after each key that was added, by whatever thread added it."""
        self._watchers.append(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Ends watch(); a callable that does not watch is ignored."""
        if changed in self._watchers:
            self._watchers.remove(changed)

    def tell(self) -> None:
        """Calls all watchers: a key was added."""
        for changed in list(self._watchers):
            changed()

    # ---- its keys, as the keyring says ----

    def is_for(self, event: Install) -> bool:
        """Whether it may open with this key."""
        return isinstance(event, InstallEpoch) or self.sender in (None, event.sender)

    def takes(self, suite: CipherSuite) -> None:
        """The room's first key has named the suite; until then there is no key."""
        if self.receiver.suite is not suite:
            self.receiver = _receiver(suite)

    def install(self, event: Install, epochs: MLSLayout) -> None:
        """Adds the key to the receiver. Raises MisuseError for one that it cannot take."""
        receiver, key = self.receiver, event.base_key
        if isinstance(event, InstallKey):
            receiver.add_key(event.kid, key)
        elif isinstance(event, InstallEpoch):
            receiver.add_epoch(event.epoch, key, layout=epochs, senders=event.senders)
        elif self.sender is None:
            raise MisuseError(NO_SENDER)
        else:
            receiver.add_sender_key(
                event.generation, key, layout=SENDER_KEYS, ratchet_step=event.step,
                max_steps=MAX_STEPS,
            )  # fmt: skip

    def remove(self, event: Install) -> None:
        """Removes the key from the receiver."""
        if isinstance(event, InstallKey):
            self.receiver.remove_key(event.kid)
        elif isinstance(event, InstallSenderKey):
            self.receiver.remove_sender_key(event.generation)
        else:
            self.receiver.remove_epoch(event.epoch)

    def __repr__(self) -> str:
        return f"<Scope of {self.sender or 'the whole room'}>"


def _receiver(suite: CipherSuite) -> pysframe.Receiver:
    return pysframe.Receiver(suite, replay_window=ROOM_WINDOW)
