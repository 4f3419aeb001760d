"""The messages of docs/sealed-keys.md as values, and the one spelling that each of them has.

Rules of this file:
  1. A reader takes exactly the fields it knows, each of its type, once: two readers who differ in
     what they overlook would differ in what was agreed on.
  2. What is signed or hashed is the text that was sent. Nothing is written again to be compared.
  3. An error names the field, never what stands in it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from .._values import showable
from ..media import VERSION as ENVELOPE
from ..suites import CipherSuite
from .errors import Refusal, Refused
from .limits import (
    LAST_GENERATION,
    LAST_INDEX,
    LAST_REVISION,
    LAST_STEP,
    MOST_BODY,
    MOST_HEADER,
    MOST_NAME,
    SEALS_IN_MESSAGE,
)

VERSION = 1
DIGEST = 32  # bytes of SHA-256

# Letters that look alike, and a dot or slash that means something in a path, are no name.
_NAME = re.compile(rf"(?!\.{{1,2}}\Z)[A-Za-z0-9._:@+=~-]{{1,{MOST_NAME}}}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


@showable
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHeader:
    """Whose key this is, which, for whom, and what it commits to; the signed part of a message."""

    tenant: str
    room: str
    sender: str
    index: int
    generation: int
    step: int
    suite: CipherSuite
    revision: int
    roster: bytes
    commitment: bytes
    envelope: int = ENVELOPE

    @property
    def number(self) -> tuple[int, int]:
        """(generation, step): it only goes up."""
        return self.generation, self.step

    @property
    def generation_field(self) -> int:
        """The generation of RFC 9605 5.1, which no two members of a room share."""
        return self.index << 20 | self.generation

    def encode(self) -> bytes:
        """The JSON that is signed."""
        return write(
            {
                "v": VERSION,
                "tenant": self.tenant,
                "room": self.room,
                "sender": self.sender,
                "index": self.index,
                "generation": self.generation,
                "step": self.step,
                "suite": int(self.suite),
                "envelope": self.envelope,
                "revision": self.revision,
                "roster": to_base64url(self.roster),
                "commitment": to_base64url(self.commitment),
            }
        )

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Raises Refused: MALFORMED, or VERSION."""
        fields = read(text, "the header of the key", HEADER)
        return cls(
            tenant=name(fields["tenant"], "tenant"),
            room=name(fields["room"], "room"),
            sender=name(fields["sender"], "sender"),
            index=number(fields["index"], "index", LAST_INDEX),
            generation=number(fields["generation"], "generation", LAST_GENERATION),
            step=number(fields["step"], "step", LAST_STEP),
            suite=suite(fields["suite"]),
            envelope=_envelope(fields["envelope"]),
            revision=number(fields["revision"], "revision", LAST_REVISION),
            roster=from_base64url(fields["roster"], "roster", DIGEST),
            commitment=from_base64url(fields["commitment"], "commitment", DIGEST),
        )


@showable
@dataclass(frozen=True, slots=True)
class SealedKey:
    """One key message: a signed header, and a seal for each member, or for one of them.

    header: a JWS in compact form. seals: by the name of the member who can open it.
    """

    header: str
    seals: Mapping[str, bytes]

    def to_json(self) -> bytes:
        """The body of the message."""
        seals = {member: to_base64url(seal) for member, seal in self.seals.items()}
        return write({"v": VERSION, "type": "key", "header": self.header, "seals": seals})

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Raises Refused: MALFORMED, VERSION or LIMIT."""
        fields = read(text, "the message", {"v": int, "type": str, "header": str, "seals": dict})
        if fields["type"] != "key":
            refuse("the message's type is not known")
        if len(fields["header"]) > MOST_HEADER:
            refuse(f"header is longer than {MOST_HEADER} characters", Refusal.LIMIT)
        if len(fields["seals"]) > SEALS_IN_MESSAGE:
            words = f"a message has at most {SEALS_IN_MESSAGE} seals; send more of them in parts"
            refuse(words, Refusal.LIMIT)
        seals = {
            name(member, "a name in seals"): from_base64url(seal, "a seal")
            for member, seal in fields["seals"].items()
        }
        return cls(fields["header"], seals)


HEADER = {
    "v": int,
    "tenant": str,
    "room": str,
    "sender": str,
    "index": int,
    "generation": int,
    "step": int,
    "suite": int,
    "envelope": int,
    "revision": int,
    "roster": str,
    "commitment": str,
}


# ---- how values are spelled ----


def refuse(words: str, reason: Refusal = Refusal.MALFORMED) -> NoReturn:
    raise Refused(reason, words)


def name(value: object, what: str) -> str:
    """A name as it is compared, shown and hashed: ASCII, so that no two look alike."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        refuse(f"{what} must be 1 to {MOST_NAME} of A-Z a-z 0-9 . _ : @ + = ~ -, not . or ..")
    return value


def number(value: object, what: str, last: int) -> int:
    if type(value) is not int or not 0 <= value <= last:
        refuse(f"{what} must be a whole number, 0..{last}")
    return value


def suite(value: object) -> CipherSuite:
    if type(value) is not int or value not in list(CipherSuite):
        refuse("suite must be the number of a cipher suite, 1..8")
    if CipherSuite(value).has_short_tag:
        refuse("suite has 4-byte tags, which sealed keys do not allow")
    return CipherSuite(value)


def _envelope(value: object) -> int:
    if value != ENVELOPE:
        words = f"envelope is a version that is unknown here; this pysframe knows {ENVELOPE}"
        refuse(words, Refusal.VERSION)
    return ENVELOPE


def to_base64url(value: bytes) -> str:
    """RFC 4648 5, without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def from_base64url(value: object, what: str, size: int | None = None) -> bytes:
    """The bytes of the one base64url that encodes them; Python's own reader skips bad letters."""
    if not isinstance(value, str) or not _BASE64URL.fullmatch(value):
        refuse(f"{what} must be base64url without padding")
    try:
        found = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except binascii.Error:
        found = b""
    if to_base64url(found) != value:
        refuse(f"{what} must be base64url without padding, and whole")
    if size is not None and len(found) != size:
        refuse(f"{what} must be {size} bytes")
    return found


# ---- JSON ----


def write(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def read(
    text: bytes, what: str, fields: Mapping[str, type], most: int = MOST_BODY
) -> dict[str, Any]:
    """An object with exactly these fields, each of its type. A field v is the version."""
    found = read_object(text, what, most)
    if "v" in fields and found.get("v") != VERSION:
        refuse(f"{what} is of another version; this pysframe knows {VERSION}", Refusal.VERSION)
    if found.keys() != fields.keys():
        refuse(f"{what} must have exactly these fields: {', '.join(fields)}")
    for field, kind in fields.items():
        if type(found[field]) is not kind:
            refuse(f"{field} of {what} is of the wrong type")
    return found


def read_object(text: bytes, what: str, most: int = MOST_BODY) -> dict[str, Any]:
    """Any JSON object that says nothing twice."""
    if len(text) > most:
        refuse(f"{what} is longer than {most} bytes", Refusal.LIMIT)
    try:
        found = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # the reader's errors repeat the whole text
        found = None
    if type(found) is not dict:
        refuse(f"{what} is no JSON object, or says something twice")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are no JSON
