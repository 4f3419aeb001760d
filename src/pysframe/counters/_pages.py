"""The format of a counter store's file: pages of records in a tree. This module does no I/O.

Rules of this file:
  1. A page carries its number and a checksum, so torn, rotten, zeroed and misplaced pages are
     detected. Every page that a parent points to exists, so a key counts as new only when every
     page on its path is whole and none contains it.
  2. Records never move, are never deleted, and are independent. A page may therefore be written at
     any time without regard to others, and no transaction spans several pages.

The file is a sequence of pages of 4096 bytes, each stored twice in a row (_file.py says why). Page
0 holds the line "pysframe-counters/2". Every other page is, with big-endian numbers,
    its number (8 bytes) | how many records (8) | first child (8) | second child (8) | records
and every page ends with the first 16 bytes of SHA-256 of all before them. A record is
    a key's fingerprint (16 bytes) | its next counter (16) | AES blocks charged to it (8)
Every search begins at page 1. When a page is full, the next bit of the fingerprint selects the
child to continue with; 0 stands for a child that does not exist yet.
"""

import hashlib

SIZE = 4096  # bytes of a page
FORMAT = "pysframe-counters/2"
ROOT = 1

_DIGEST = 16
_BODY = SIZE - _DIGEST
_HEAD = 32
_NAME, _NEXT, _RECORD = 16, 32, 40  # where each field of a record ends
RECORDS = (_BODY - _HEAD) // _RECORD  # that one page holds

Entry = tuple[bytes, int, int]  # fingerprint, next counter, blocks


class Page:
    """One page of records, as stored in the file, without the checksum."""

    __slots__ = ("_body",)

    def __init__(self, number: int, body: bytes = b"") -> None:
        self._body = bytearray(body or bytes(_BODY))
        self._set(0, 8, number)

    @property
    def number(self) -> int:
        return self._get(0, 8)

    @property
    def is_full(self) -> bool:
        return self._get(8, 16) == RECORDS

    def child(self, side: int) -> int:
        return self._get(16 + 8 * side, 24 + 8 * side)

    def set_child(self, side: int, number: int) -> None:
        self._set(16 + 8 * side, 24 + 8 * side, number)

    def find(self, name: bytes) -> int:
        """The offset of a key's record; 0 when this page has none."""
        end = _HEAD + self._get(8, 16) * _RECORD
        at = self._body.find(name, _HEAD, end)
        while at != -1 and (at - _HEAD) % _RECORD:  # a match that straddles two fields
            at = self._body.find(name, at + 1, end)
        return max(at, 0)

    def add(self, name: bytes) -> int:
        """Adds a record of zeros to a page that is not full; returns its offset."""
        count = self._get(8, 16)
        at = _HEAD + count * _RECORD
        self._body[at : at + _NAME] = name
        self._set(8, 16, count + 1)
        return at

    def get(self, at: int) -> tuple[int, int]:
        """(next counter, blocks) of the record there."""
        return self._get(at + _NAME, at + _NEXT), self._get(at + _NEXT, at + _RECORD)

    def put(self, at: int, following: int, blocks: int) -> None:
        """Changes the record there. following: 0..2^64, the latter when no counter is left."""
        self._set(at + _NAME, at + _NEXT, following)
        self._set(at + _NEXT, at + _RECORD, blocks)

    def fill(self, records: list[Entry]) -> None:
        """Up to RECORDS at once, in an empty page."""
        packed = b"".join(
            name + following.to_bytes(16) + blocks.to_bytes(8)
            for name, following, blocks in records
        )
        self._body[_HEAD : _HEAD + len(packed)] = packed
        self._set(8, 16, len(records))

    def sealed(self) -> bytes:
        """The whole page, with its checksum."""
        return seal(bytes(self._body))

    def _get(self, first: int, end: int) -> int:
        return int.from_bytes(self._body[first:end])

    def _set(self, first: int, end: int, value: int) -> None:
        self._body[first:end] = value.to_bytes(end - first)


def seal(body: bytes) -> bytes:
    """A page with this body."""
    body = body.ljust(_BODY, b"\0")
    return body + hashlib.sha256(body).digest()[:_DIGEST]


FIRST_PAGE = seal(f"{FORMAT}\n".encode())


def opened(number: int, page: bytes) -> bytes | None:
    """The body of these bytes if they are the page of this number, intact; else None."""
    body, digest = page[:_BODY], page[_BODY:]
    if len(page) != SIZE or hashlib.sha256(body).digest()[:_DIGEST] != digest:
        return None
    is_its_own = page == FIRST_PAGE if number == 0 else int.from_bytes(body[:8]) == number
    return body if is_its_own else None


def branch(name: bytes, depth: int) -> int:
    """The child of a full page at this depth that this fingerprint continues with."""
    return name[depth // 8 % _NAME] >> depth % 8 & 1


def tree(records: list[Entry]) -> list[Page]:
    """All pages of a new store with these (fingerprint, next counter, blocks), from ROOT on."""
    pages = [Page(ROOT)]
    waiting = [(pages[0], records, 0)]
    for page, mine, depth in waiting:  # grows as it goes
        page.fill(mine[:RECORDS])
        rests: tuple[list[Entry], list[Entry]] = ([], [])
        for record in mine[RECORDS:]:
            rests[branch(record[0], depth)].append(record)
        for side, rest in enumerate(rests):
            if rest:
                pages.append(Page(ROOT + len(pages)))
                page.set_child(side, pages[-1].number)
                waiting.append((pages[-1], rest, depth + 1))
    return pages
