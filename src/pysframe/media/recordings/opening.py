"""Opens the frames of a recording, each once, and counts per KID what became of them.

Rules of this file:
  1. A frame is given out only when its tag has verified, and once: every (KID, counter) that was
     opened is remembered, however far apart two copies are. A Receiver's window is for live media;
     in a recording one sender's counters run through several streams, read one behind another.
  2. What headers claim is bounded: beyond MOST_KIDS the KIDs that no key is here for share a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import pysframe  # of Receiver and Header, which belong to an engine

from ..._tracebacks import without_locals
from ..._values import showable
from ...errors import AuthenticationFailed, MalformedFrame, MisuseError, UnknownKey
from ...suites import CipherSuite
from ..envelope import Envelope, checked_version

MOST_KIDS = 100
NOT_SFRAME, OTHERS = "not SFrame", "more KIDs without a key"
REPEATED, WRONG, MISSING = "repeated", "not authentic", "no key"
PAGE = 1 << 15  # counters in one page of the bitmap


class Key(Protocol):
    """A key to open with: pysframe.source.InstallKey is one."""

    @property
    def sender(self) -> str: ...
    @property
    def suite(self) -> CipherSuite: ...
    @property
    def kid(self) -> int: ...
    @property
    def base_key(self) -> bytes: ...
    @property
    def envelope(self) -> int: ...


@showable
@dataclass
class Flow:
    """What became of the frames that named one KID; sender: "" when no key is here for it.

    repeated: copies of frames that were opened before, which lose nothing.
    """

    sender: str = ""
    opened: int = 0
    repeated: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def verdict(self) -> str:
        """One of "restored", "in part", "wrong key", "no key", "not SFrame", "nothing seen"."""
        if not self.rejected:
            return "restored" if self.opened + self.repeated else "nothing seen"
        if self.opened:
            return "in part"
        if self.rejected[WRONG]:
            return "wrong key"
        return NOT_SFRAME if self.rejected[NOT_SFRAME] else MISSING


class Once:
    """The set of counters opened under one KID, as a paged bitmap."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def __contains__(self, ctr: int) -> bool:
        page = self._pages.get(ctr // PAGE)
        return page is not None and bool(page[ctr % PAGE // 8] >> ctr % 8 & 1)

    def add(self, ctr: int) -> None:
        page = self._pages.setdefault(ctr // PAGE, bytearray(PAGE // 8))
        page[ctr % PAGE // 8] |= 1 << ctr % 8


class Opener:
    """The keys of a recording. flows: by KID, by NOT_SFRAME, or by OTHERS."""

    @without_locals
    def __init__(self, keys: Iterable[Key]) -> None:
        self.flows: dict[int | str, Flow] = {}
        self._once: dict[int, Once] = {}
        self._receiver: pysframe.Receiver | None = None
        for key in keys:
            checked_version(key.envelope)
            self._receiver = self._receiver or pysframe.Receiver(key.suite, replay_window=0)
            self._receiver.add_key(key.kid, key.base_key)
            self.flows[key.kid] = Flow(key.sender)
            self._once[key.kid] = Once()
        if self._receiver is None:
            raise MisuseError("no key to open with")

    def open(self, envelope: Envelope, wire: bytes) -> tuple[int, bytes] | None:
        """(KID, frame), or None; the KID's entry in `flows` then says why."""
        assert self._receiver is not None
        try:
            ciphertext = envelope.ciphertext(wire)
            header = pysframe.Header.parse(ciphertext)
        except MalformedFrame:
            self._flow(NOT_SFRAME).rejected[NOT_SFRAME] += 1
            return None
        try:
            frame = self._receiver.unprotect(ciphertext)
        except UnknownKey:
            self._flow(header.kid).rejected[MISSING] += 1
        except AuthenticationFailed:
            self._flow(header.kid).rejected[WRONG] += 1
        except MalformedFrame:
            self._flow(NOT_SFRAME).rejected[NOT_SFRAME] += 1
        else:
            return self._first(header, frame)
        return None

    def _first(self, header: pysframe.Header, frame: bytes) -> tuple[int, bytes] | None:
        flow, once = self.flows[header.kid], self._once[header.kid]
        if header.ctr in once:
            flow.repeated += 1
            return None
        once.add(header.ctr)
        flow.opened += 1
        return header.kid, frame

    def _flow(self, name: int | str) -> Flow:
        if name not in self.flows and len(self.flows) - len(self._once) >= MOST_KIDS:
            name = OTHERS
        return self.flows.setdefault(name, Flow())

    def close(self) -> None:
        """Wipes the keys."""
        if self._receiver is not None:
            self._receiver.close()
