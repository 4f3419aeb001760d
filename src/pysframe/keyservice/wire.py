"""How the entries of a room's log and what members post are spelled between a member and a service.

A post is a JSON object with "v" and "type"; the body of an entry is the same kind of object. The
service hands a body on as it was stored, and adds the numbers that it gives: docs/key-service.md.
"""

from __future__ import annotations

from typing import Any

from .entries import After, Body, Entry, Have, Joined, Left, Need, Post, Renewed
from .errors import Refusal
from .limits import (
    LAST_GENERATION,
    LAST_INDEX,
    LAST_REVISION,
    LAST_STEP,
    MOST_BODY,
    MOST_HELLO,
    MOST_TOKEN,
)
from .protocol import VERSION, SealedKey, name, number, read, read_object, refuse, write

WHAT = "the message"
MOST_ENTRY = MOST_BODY + 1024  # an entry is a body and its numbers
_KINDS: dict[str, dict[str, type]] = {
    "joined": {"credential": str, "hello": str},
    "renewed": {"credential": str, "hello": str},
    "left": {"member": str},
    "key": {"header": str, "seals": dict},
    "have": {"member": str, "sender": str, "generation": int, "step": int},
    "need": {"member": str, "sender": str},
    "after": {"seq": int},
}
_FROM_MEMBERS = ("renewed", "key", "have", "need", "after", "left")


def write_post(post: Post | Left) -> bytes:
    """What a member sends."""
    return post.to_json() if isinstance(post, SealedKey) else _object(post)


def read_post(text: bytes) -> Post | Left:
    """What a member has sent. Raises Refused: MALFORMED, VERSION, LIMIT."""
    kind = read_object(text, WHAT).get("type")
    if kind not in _FROM_MEMBERS:
        refuse(f"type of {WHAT} must be one of {', '.join(_FROM_MEMBERS)}")
    found = _read(text, kind, revision=0, index=0)
    return found if not isinstance(found, Joined) else refuse("nobody joins twice")


def write_body(body: Body) -> bytes:
    """What the log keeps of an entry; its numbers are kept beside it."""
    return body.to_json() if isinstance(body, SealedKey) else _object(body)


def write_entry(seq: int, revision: int, index: int, body: bytes) -> bytes:
    """What the service sends. body: as it was stored, and not read again."""
    head = {"v": VERSION, "type": "entry", "seq": seq, "revision": revision, "index": index}
    return write(head)[:-1] + b',"body":' + body + b"}"


def read_entry(text: bytes) -> Entry:
    """An entry as the service has sent it. Raises Refused: MALFORMED, VERSION, LIMIT."""
    shape = {"v": int, "type": str, "seq": int, "revision": int, "index": int, "body": dict}
    fields = read(text, "the entry", shape, MOST_ENTRY)
    if fields["type"] != "entry":
        refuse("the service has sent something that is no entry")
    revision = number(fields["revision"], "revision", LAST_REVISION)
    index = number(fields["index"], "index", LAST_INDEX)
    body = _read(write(fields["body"]), fields["body"].get("type"), revision, index)
    if isinstance(body, After):
        refuse("a question is no entry")
    return Entry(number(fields["seq"], "seq", LAST_REVISION), body)


def body_of(text: bytes, revision: int, index: int) -> Body:
    """What the log has kept."""
    found = _read(text, read_object(text, WHAT).get("type"), revision, index)
    assert not isinstance(found, After)  # no store was given one
    return found


def _object(value: Post | Body) -> bytes:
    kind = type(value).__name__.lower()
    fields = {field: getattr(value, field) for field in _KINDS[kind]}
    return write({"v": VERSION, "type": kind, **fields})


def _read(text: bytes, kind: object, revision: int, index: int) -> Body | After:
    if kind == "key":
        return SealedKey.parse(text)
    if not isinstance(kind, str) or kind not in _KINDS:
        refuse(f"type of {WHAT} is not known")
    fields = read(text, WHAT, {"v": int, "type": str, **_KINDS[kind]})
    if kind == "joined":
        return Joined(revision, index, *_papers(fields))
    if kind == "renewed":
        return Renewed(revision, *_papers(fields))
    if kind == "left":
        return Left(revision, name(fields["member"], "member"))
    if kind == "after":
        return After(number(fields["seq"], "seq", LAST_REVISION))
    member, sender = name(fields["member"], "member"), name(fields["sender"], "sender")
    if kind == "need":
        return Need(member, sender)
    generation = number(fields["generation"], "generation", LAST_GENERATION)
    return Have(member, sender, generation, number(fields["step"], "step", LAST_STEP))


def _papers(fields: dict[str, Any]) -> tuple[str, str]:
    """A credential and a hello: their lengths; members verify the rest."""
    credential, hello = fields["credential"], fields["hello"]
    if len(credential) > MOST_TOKEN or len(hello) > MOST_HELLO:
        refuse("a credential or hello is too long", Refusal.LIMIT)
    return credential, hello
