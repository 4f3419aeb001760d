"""The keys that one member seals with: when it makes another, who gets it, when it is used.

Everything follows from one comparison: who was given the newest key, and who may hear now.

    somebody came   one ratchet step for all who came within 0.1 s, sealed to them alone
    somebody went   a new generation for all who are left
    nothing         a new generation every 5 minutes, after 64 steps, and when it is asked for

A new generation is used when everybody has said that they have it, or after 0.3 s. Who went is deaf
within half a second, however many others come and go in the meantime.

Rules of this file:
  1. A generation is for those it was given to. When one of them goes before it is used, it never
     will be.
  2. Who comes is given no key that a frame was sealed with before.
  3. Pure decisions: keys come from `fresh`, time is an argument, and nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from math import inf

from .._values import showable
from ..keys.ratchet import ratchet_base_key
from ..suites import CipherSuite
from .limits import LAST_GENERATION, LAST_STEP


@showable
@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How soon, how long, how often, in seconds."""

    generation: float = 300.0  # that one generation is used
    have: float = 0.3  # to wait for all to have a new one
    keep: float = 10.0  # to keep the key before, for frames on their way
    batch: float = 0.1  # between two changes of one's own key
    need: float = 2.0  # between two requests for one sender's key


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key to seal with, by generation and ratchet step."""

    generation: int
    step: int
    base_key: bytes = field(repr=False)

    @property
    def number(self) -> tuple[int, int]:
        return self.generation, self.step


@dataclass(frozen=True, slots=True)
class Give:
    """Seal this key to these members."""

    key: OwnKey
    to: frozenset[int]


@dataclass(frozen=True, slots=True)
class Begin:
    """Seal frames under this key from now on."""

    key: OwnKey


@dataclass(frozen=True, slots=True)
class End:
    """Forget this key: what was sealed under it has arrived by now, or is lost."""

    key: OwnKey


@dataclass(frozen=True, slots=True)
class Spent:
    """There is no number left for another key, and the present one may not be used any more."""


Step = Give | Begin | End | Spent


@dataclass(slots=True)
class _Held:
    """A key, and who was given it."""

    key: OwnKey
    given: set[int]
    waiting: set[int] = field(default_factory=set)  # who has not said yet that they have it


class OwnKeys:
    """One member's keys in one room. Members are known by their index, which never comes back.

    >>> keys = OwnKeys(CipherSuite(4), lambda: bytes(16), Pace())
    >>> [type(step).__name__ for step in keys.due({1}, 0.0)], keys.current
    (['Give'], None)
    >>> keys.have(1, (0, 0))
    >>> keys.due({1}, 0.0), keys.due({1, 2}, 5.0)[0]
    ([Begin(key=OwnKey(generation=0, step=0))], \
Give(key=OwnKey(generation=0, step=1), to=frozenset({2})))
    """

    def __init__(self, suite: CipherSuite, fresh: Callable[[], bytes], pace: Pace) -> None:
        self._suite, self._fresh, self._pace = suite, fresh, pace
        self._current: _Held | None = None  # frames are sealed with it
        self._pending: _Held | None = None  # given out, and not used yet
        self._wanted = True  # a new generation
        self._next = 0
        self._not_before = self._use_at = -inf
        self._renew_at = self._exclude_by = inf
        self._ending: list[tuple[float, OwnKey]] = []

    @property
    def current(self) -> OwnKey | None:
        """The key that frames are sealed with; None before the first."""
        return self._current.key if self._current else None

    def want_another(self) -> None:
        """Asks for a new generation."""
        self._wanted = True

    def have(self, index: int, number: tuple[int, int]) -> None:
        """This member says that it has the key of this generation and step."""
        if self._pending is not None and number >= self._pending.key.number:
            self._pending.waiting.discard(index)

    def again(self, index: int) -> list[Step]:
        """For a member who has lost keys: those it was given before, and no others."""
        held = [one for one in (self._current, self._pending) if one and index in one.given]
        return [Give(one.key, frozenset({index})) for one in held]

    def due(self, hearing: Set[int], now: float) -> list[Step]:
        """What is to be done now, in this order; hearing: everybody else who may hear."""
        self._notice_who_went(hearing, now)
        steps: list[Step] = []
        if self._wanted:
            steps += self._generation(hearing, now)
        elif newcomers := hearing - self._newest.given:
            steps += self._welcome(newcomers, hearing, now)
        steps += self._use(now)
        steps += [End(key) for at, key in self._ending if at <= now]
        self._ending = [(at, key) for at, key in self._ending if at > now]
        return steps

    def stop(self) -> list[Step]:
        """This member may not send any more: all its keys end. It begins anew when it may again."""
        keys = [key for _, key in self._ending]
        keys += [self._current.key] if self._current else []
        self._current, self._pending, self._wanted, self._ending = None, None, True, []
        return [End(key) for key in keys]

    def next_due(self, hearing: Set[int]) -> float:
        """When due() will have something to do, if nothing happens before; inf for never."""
        changes = self._wanted or bool(hearing - self._newest.given)
        times = [at for at, _ in self._ending]
        times += [self._not_before] if changes else []
        times += [self._use_at] if self._pending else []
        times += [self._renew_at] if self._current and not self._pending else []
        return min(times, default=inf)

    @property
    def _newest(self) -> _Held:
        newest = self._pending or self._current
        assert newest is not None  # or a generation is wanted
        return newest

    def _notice_who_went(self, hearing: Set[int], now: float) -> None:
        if self._pending is not None and self._pending.given - hearing:
            self._pending, self._wanted = None, True  # rule 1
        current = self._current
        if current is not None and current.given - hearing:
            self._exclude_by = min(self._exclude_by, now + self._pace.batch + self._pace.have)
            self._wanted |= self._pending is None
        if self._pending is None:
            self._wanted |= now >= self._renew_at

    def _generation(self, hearing: Set[int], now: float) -> list[Step]:
        if now < self._not_before:
            return []
        if self._next > LAST_GENERATION:
            return self._stop()
        key = OwnKey(self._next, 0, self._fresh())
        self._pending = _Held(key, set(hearing), set(hearing))
        self._next, self._wanted = self._next + 1, False
        self._use_at = min(now + self._pace.have, self._exclude_by)
        self._not_before = now + self._pace.batch
        return [Give(key, frozenset(hearing))] if hearing else []

    def _stop(self) -> list[Step]:
        """Rather nothing than frames for somebody who has gone."""
        self._not_before = inf
        return [*self.stop(), Spent()]

    def _welcome(self, newcomers: Set[int], hearing: Set[int], now: float) -> list[Step]:
        if self._pending is not None:  # no frame was sealed with it
            self._pending.given |= newcomers
            self._pending.waiting |= newcomers
            return [Give(self._pending.key, frozenset(newcomers))]
        current = self._newest
        if now < self._not_before:
            return []
        if current.key.step == LAST_STEP:
            self._wanted = True
            return self._generation(hearing, now)
        return self._ratchet(current, newcomers, now)

    def _ratchet(self, current: _Held, newcomers: Set[int], now: float) -> list[Step]:
        old = current.key
        base_key = ratchet_base_key(self._suite, old.base_key)
        current.key = OwnKey(old.generation, old.step + 1, base_key)
        current.given |= newcomers
        self._not_before = now + self._pace.batch
        self._ending.append((now + self._pace.keep, old))
        return [Give(current.key, frozenset(newcomers)), Begin(current.key)]

    def _use(self, now: float) -> list[Step]:
        pending = self._pending
        if pending is None or (pending.waiting and now < self._use_at):
            return []
        if self._current is not None:
            self._ending.append((now + self._pace.keep, self._current.key))
        self._current, self._pending = pending, None
        self._renew_at, self._exclude_by = now + self._pace.generation, inf
        return [Begin(pending.key)]
