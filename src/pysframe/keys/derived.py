"""Keys that follow from others: the secrets of one Receiver, moved as the rules decide.

Rules of this file:
  1. Secrets are objects of the engine; their bytes never enter this file. When a chain advances or
     a number is forgotten, the older secret is closed, so its keys cannot be derived again.
  2. The rules (ratchet.py, epochs.py) decide and this file carries out. The caller holds the lock.
"""

from __future__ import annotations

import os
from _weakref import proxy
from typing import TypeVar

from .._buffers import ReadableBuffer, byte_view
from ..engine import KeyKind, Secret
from ..errors import MisuseError
from .plan import Changes, Derive, Rules
from .port import KeyRing

STRIDE = 32  # ratchet steps between two secrets that are kept on the way to a distant one

_process_salt = os.urandom(32)
_Rules = TypeVar("_Rules", bound=Rules)


class Held:
    """A secret, and the name of the base_key it was extracted from.

    A forger may ask for every ratchet step. Every STRIDEth secret is therefore kept, so that
    deriving one costs at most STRIDE steps, however distant it is.
    """

    __slots__ = ("_marks", "name")

    def __init__(self, secret: Secret, name: bytes) -> None:
        self._marks = [secret]
        self.name = name

    @property
    def secret(self) -> Secret:
        return self._marks[0]

    def ahead(self, steps: int) -> Secret:
        """A new secret, `steps` ratchet steps ahead (RFC 9605 5.1), for the caller to close."""
        while len(self._marks) <= steps // STRIDE:
            self._marks.append(self._marks[-1].ratchet(STRIDE))
        return self._marks[steps // STRIDE].ratchet(steps % STRIDE)

    def advance(self, steps: int) -> None:
        """RFC 9605 5.1: what came before a ratchet step is deleted promptly."""
        old, self._marks = self._marks, [self.ahead(steps)]
        for secret in old:
            secret.close()

    def close(self) -> None:
        for secret in self._marks:
            secret.close()


class DerivedKeys:
    """What one Receiver can derive: a secret for each generation or epoch, under one layout."""

    __slots__ = ("_held", "_ring", "_rules")

    def __init__(self, ring: KeyRing) -> None:
        # The ring's owner holds this object; a strong reference back would keep keys in memory
        # until the cycle is collected.
        self._ring: KeyRing = proxy(ring)
        self._rules: Rules | None = None
        self._held: dict[int, Held] = {}

    # ---- generations and epochs ----

    def ruled_by(self, rules: _Rules) -> _Rules:
        """The rules in force: these, unless there are some already for the same layout.

        Raises MisuseError when there are others, since one KID would then mean two keys.
        """
        there = self._rules
        if there is not None and there.layout == rules.layout:
            return there  # type: ignore[return-value]  # a layout has one class of rules
        if there is not None and self._held:
            raise MisuseError(
                f"this Receiver's KIDs are laid out by {there.layout}; "
                f"make another Receiver for {rules.layout}"
            )
        self._rules = rules
        self._ring._watch(True)
        return rules

    def admit(self, number: int, base_key: ReadableBuffer) -> Held:
        """The secret to hold under this number: a new one, or the one already held.

        Raises MisuseError for a different base_key under a held number, and when a KID that was
        added by hand would belong to it.
        """
        base_key = byte_view(base_key, "base_key")
        name = _name(base_key)
        held = self._held.get(number)
        if held is None:
            self._refuse_overlap(number)
            return Held(self._ring._Secret(self._ring.suite, base_key), name)
        if held.name != name:
            raise MisuseError(f"another base_key is in use for {number}; remove that one first")
        return held

    def hold(self, number: int, held: Held, changes: Changes) -> None:
        """Keeps what admit() returned, and carries out what the rules answered."""
        self._held[number] = held
        self._carry_out(changes)

    def remove(self, rules: type[Rules], number: int) -> bool:
        """Forgets a number under these rules; False when it is not held."""
        if not isinstance(self._rules, rules) or number not in self._held:
            return False
        self._carry_out(self._rules.remove(number))
        return True

    def close(self) -> None:
        """Wipes all secrets."""
        for held in self._held.values():
            held.close()
        self._held.clear()
        self._rules = None

    # ---- KIDs ----

    def refuse(self, kid: int) -> None:
        """Raises MisuseError for a KID whose key follows from a secret held here."""
        if self._owns(kid):
            raise MisuseError(
                f"KID {kid:#x} is of a sender key or epoch; add or remove that as a whole"
            )

    def resolve(self, kid: int) -> bool:
        """Adds the key of an unknown KID provisionally; False when it follows from nothing held."""
        derive = self._rules.resolve(kid) if self._rules else None
        if derive is None:
            return False
        self._derive(derive)
        return True

    def confirm(self, kids: list[int]) -> None:
        """Tags have verified under these KIDs.

        Another thread may have advanced the chain since. When a key is gone, or a new provisional
        one lives under its KID, the confirmation was for a key of the past and is ignored.
        """
        if self._rules:
            real = [kid for kid in kids if self._ring._kind(kid) == KeyKind.GIVEN]
            self._carry_out(self._rules.confirm(real))

    def is_stale(self, kid: int) -> bool:
        """Whether an unknown KID is of the past."""
        return self._rules is not None and self._rules.is_stale(kid)

    def _owns(self, kid: int) -> bool:
        rules = self._rules
        return rules is not None and any(rules.covers(number, kid) for number in self._held)

    def _refuse_overlap(self, number: int) -> None:
        rules = self._rules
        for key in self._ring._stats().keys:
            if rules is not None and rules.covers(number, key.kid) and not self._owns(key.kid):
                raise MisuseError(
                    f"KID {key.kid:#x} has a key of its own; remove_key({key.kid:#x}) first"
                )

    # ---- carrying out ----

    def _carry_out(self, changes: Changes) -> None:
        assert self._rules is not None
        for number in changes.forget:
            self._ring._forget(*self._rules.group(number))
            self._held.pop(number).close()
        for kid in changes.drop:
            self._ring._remove(kid)
        for derive in changes.derive:
            self._derive(derive)
        for number, steps in changes.advance:
            self._held[number].advance(steps)
        for reach in changes.reach:
            self._ring._reach(reach)

    def _derive(self, derive: Derive) -> None:
        held = self._held[derive.number]
        if not derive.steps:
            self._ring._add(derive.kid, held.secret, derive.kind)
            return
        secret = held.ahead(derive.steps)
        self._ring._add(derive.kid, secret, derive.kind)
        secret.close()


def _name(base_key: memoryview) -> bytes:
    """Equal for equal base keys; without meaning outside this process."""
    import hashlib  # here, because not every application has keys that follow from others

    digest = hashlib.sha256(_process_salt)
    digest.update(base_key)
    return digest.digest()
