"""What the policy of keys needs of an engine's receiver, and no more.

Rule: the port carries no frame. Whatever holds keys by KID can stand behind it.
"""

from typing import Protocol

from ..engine import KeyKind, Reach, Secret
from ..stats import ReceiverStats
from ..suites import CipherSuite


class KeyRing(Protocol):
    """Keys by KID. Engines hide these methods from callers, hence the underscores."""

    suite: CipherSuite

    @property
    def _Secret(self) -> type[Secret]:
        """The engine's class of secrets."""

    def _add(self, kid: int, secret: Secret, kind: KeyKind) -> None:
        """Knows a key; MisuseError when another one lives under this KID."""

    def _remove(self, kid: int) -> bool:
        """Forgets a key; False when there is none."""

    def _kind(self, kid: int) -> KeyKind | None:
        """How the key of this KID came to be known; None when there is none."""

    def _reach(self, reach: Reach) -> None:
        """Says which keys can be derived when a frame asks for them."""

    def _forget(self, mask: int, group: int) -> None:
        """Forgets a group of KIDs: their keys, and what could be derived of them."""

    def _watch(self, on: bool) -> None:
        """Whether unknown KIDs and confirmed keys are to be reported."""

    def _stats(self) -> ReceiverStats:
        """The counts, and with them the KIDs that have keys."""
