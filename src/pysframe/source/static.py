"""StaticKeys: the keys of a room from a file, keys.json.

Rules of this file:
  1. A file that others could read or write is refused: its keys are no secret any more.
  2. Everything in it is checked before the first key is handed over, and what is unknown is
     refused: a misspelled field would be a key that never comes.
  3. An error names the place in the file, never what stands there. Errors of the JSON reader carry
     the whole text, so none of them is a cause or context of ours.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from .._tracebacks import without_locals
from .._values import showable
from ..counters import CounterStore
from ..engine import KeyFlow
from ..errors import MisuseError
from ..limits import LAST_KID, MIN_BASE_KEY
from ..media.envelope import UNSAID
from ..media.envelope import VERSION as ENVELOPE
from ..suites import CipherSuite
from .events import InstallKey, KeyEvent, Use

VERSION = 1
MOST = 1 << 20  # bytes of the file
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")


class KeyFileError(MisuseError):
    """The file of keys cannot be used; no key of it was handed over."""


@showable
class StaticKeys:
    """A KeySource that reads its keys once, from a file only its owner can read (mode 0600).

    {"version": 1, "suite": 4, "envelope": 1,
     "send": {"sender": "agent", "kid": 7, "base_key": "<base64url>", "counters": "agent.counters"},
     "receive": [{"sender": "alice", "kid": 300, "base_key": "<base64url>"}]}

    base_key: base64url, 16 bytes or more. counters: the path of the CounterStore that remembers
    how far this key has been used, relative to the file. One of send and receive may be left out,
    and so may envelope: then it is 1.
    Raises KeyFileError, which says what is wrong and where, and never repeats a key.
    """

    __slots__ = ("_events", "_path")

    @without_locals
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._events: list[KeyEvent] = []
        try:
            self._events = _Reader(self._path).events()
        except OSError as error:
            words = f"{self._path} cannot be read: {error.strerror or error}"
            raise KeyFileError(words) from error

    async def events(self) -> AsyncIterator[KeyEvent]:
        """Every key, then under which KID to seal; then it ends, and the keys stay as they are."""
        for number in range(len(self._events)):  # so that no local variable holds a key
            yield self._events[number]

    async def report(self, flows: Mapping[str, Mapping[int | None, KeyFlow]]) -> None:
        """Does nothing: a file cannot react to a report."""

    async def close(self) -> None:
        """Forgets the keys. Python owned their bytes: they cannot be wiped."""
        self._events = []

    def __repr__(self) -> str:
        return f"<StaticKeys {str(self._path)!r}>"


class _Reader:
    """Reads one file. Every method that meets a key runs under StaticKeys' without_locals."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self) -> list[KeyEvent]:
        with self._path.open("rb") as file:
            self._refuse_public(file)
            text = file.read(MOST + 1)
        if len(text) > MOST:
            self._fail("it", f"holds more than {MOST >> 20} MiB")
        content = self._object(self._parsed(text), "it", {"version", "suite"}, _TOP)
        self._refuse_version(content)
        suite = self._suite(content)
        receive = self._received(suite, content)
        send = self._sent(suite, content)
        if not receive and not send:
            self._fail("it", 'has neither "send" nor "receive"')
        self._refuse_both(send, receive)
        return [*receive, *send, *(Use(key.sender, key.kid) for key in send)]

    def _refuse_public(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            self._fail("it", "is no regular file")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            self._fail("it", f"has mode {mode:04o}, so others can reach its keys; use new keys, "
                             "and chmod 0600 before they are written")  # fmt: skip
        if status.st_uid not in (0, os.geteuid()):
            self._fail("it", f"belongs to user {status.st_uid}, who could put other keys in it")

    def _parsed(self, text: bytes) -> object:
        where = "it"
        try:
            return json.loads(text.decode(), object_pairs_hook=_no_repeats)
        except UnicodeDecodeError:
            why = "is no UTF-8 text"
        except json.JSONDecodeError as error:
            why = f"is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        except _Repeated as error:
            why = f"says {error.name!r} twice in one object"
        except (RecursionError, ValueError):
            why = "is no JSON that this program can read (too deep, or too long a number)"
        self._fail(where, why)

    def _refuse_version(self, content: dict[str, Any]) -> None:
        version = content["version"]
        if type(version) is not int or version != VERSION:
            self._fail("its version", f"is unknown here; this pysframe knows version {VERSION}")
        envelope = content.get("envelope", UNSAID)
        if type(envelope) is not int or envelope != ENVELOPE:
            self._fail("its envelope version", "is unknown here; this pysframe knows version "
                       f"{ENVELOPE}: update it, or have senders use that version")  # fmt: skip

    def _suite(self, content: dict[str, Any]) -> CipherSuite:
        suite = content["suite"]
        if type(suite) is not int or suite not in list(CipherSuite):
            self._fail("its suite", "must be the number of a cipher suite, 1..8")
        if CipherSuite(suite).has_short_tag:
            self._fail("its suite", "has 4-byte tags, which a file of keys cannot allow")
        return CipherSuite(suite)

    def _received(self, suite: CipherSuite, content: dict[str, Any]) -> list[InstallKey]:
        rows = content.get("receive", [])
        if type(rows) is not list:
            self._fail("receive", "must be a list")
        keys = [self._key(suite, row, f"receive[{number}]") for number, row in enumerate(rows)]
        if len({key.kid for key in keys}) != len(keys):
            self._fail("receive", "has one KID twice; a KID names one key of the room")
        return keys

    def _sent(self, suite: CipherSuite, content: dict[str, Any]) -> list[InstallKey]:
        if "send" not in content:
            return []
        row = self._object(content["send"], "send", {*_KEY, "counters"}, {*_KEY, "counters"})
        name = row["counters"]
        if type(name) is not str or not name or "\0" in name:
            self._fail("send.counters", "must be the path of a counter store: a key that is sealed "
                       "with needs one, or a restart would use counters twice")  # fmt: skip
        return [self._key(suite, row, "send", CounterStore(self._path.parent / name))]

    def _key(
        self, suite: CipherSuite, given: object, where: str, start: CounterStore | None = None
    ) -> InstallKey:
        row = self._object(given, where, _KEY, {*_KEY, "counters"} if start else _KEY)
        sender, kid = row["sender"], row["kid"]
        if type(sender) is not str or not sender:
            self._fail(f"{where}.sender", "must be a name")
        if type(kid) is not int or not 0 <= kid <= LAST_KID:
            self._fail(f"{where}.kid", "must be a whole number, 0..2^64-1")
        key = self._secret(row["base_key"], f"{where}.base_key")
        return InstallKey(
            sender=sender, suite=suite, kid=kid, base_key=key, mine=start is not None, start=start,
            envelope=ENVELOPE,
        )  # fmt: skip

    def _secret(self, text: object, where: str) -> bytes:
        if type(text) is not str or not _BASE64URL.fullmatch(text):
            self._fail(where, "must be base64url: letters, digits, - and _")
        digits = text.rstrip("=")
        if len(digits) % 4 == 1:
            self._fail(where, "is no base64url: it was cut short")
        key = base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
        if len(key) < MIN_BASE_KEY:
            self._fail(where, f"has {len(key)} bytes; it needs at least {MIN_BASE_KEY}")
        return key

    def _refuse_both(self, send: list[InstallKey], receive: list[InstallKey]) -> None:
        # RFC 9605 4.4.1: a base_key is for encryption or decryption, never both.
        for mine in send:
            for number, key in enumerate(receive):
                if key.kid == mine.kid or key.base_key == mine.base_key:
                    self._fail(f"receive[{number}]", "has the KID or base_key of send; a key is to "
                               "seal with or to open with, never both")  # fmt: skip

    def _object(
        self, value: object, where: str, needed: set[str], known: set[str]
    ) -> dict[str, Any]:
        if type(value) is not dict:
            self._fail(where, "must be an object, { }")
        if missing := sorted(needed - value.keys()):
            self._fail(where, f"lacks {missing[0]!r}")
        if value.keys() - known:
            self._fail(
                where, f"has a field that is unknown here; known are {', '.join(sorted(known))}"
            )
        return value

    def _fail(self, where: str, why: str) -> NoReturn:
        raise KeyFileError(f"{self._path}: {where} {why}")


_KEY = {"sender", "kid", "base_key"}
_TOP = {"version", "suite", "envelope", "send", "receive"}


class _Repeated(Exception):
    """One name twice in an object: readers differ in which one they take."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Repeated(name)
        found[name] = value
    return found
