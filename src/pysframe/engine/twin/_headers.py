"""Header, and headers in bulk: the specification of _headers.pxi."""

from array import array
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, TypeAlias

from ..._buffers import ReadableBuffer, byte_view
from ..._rows import as_rows, clear_per_row
from ..._values import made_already
from ...batch import FrameBatch
from ...errors import FrameStatus, MalformedFrame
from ...header import Header as HeaderFace
from ...header import HeaderColumns as ColumnsFace
from ...header import header_size, negative_clear, parse_header
from ...limits import LAST_KID, MAX_HEADER, checked
from .._types import completed
from ._columns import ColumnsCore


class HeaderCore:
    """What pysframe.Header is completed with."""

    __slots__ = ("ctr", "kid", "size")

    kid: int
    ctr: int
    size: int

    def __init__(self, kid: int, ctr: int, size: int = 0) -> None:
        if hasattr(self, "size"):
            raise made_already(self)
        kid, ctr = checked("kid", kid, 0, LAST_KID), checked("ctr", ctr, 0, LAST_KID)
        size = checked("size", size, 0, MAX_HEADER) or header_size(kid, ctr)
        fields = {"kid": kid, "ctr": ctr, "size": size}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def parse(ciphertext: "ReadableBuffer", *, strict: bool = True) -> "Header":
        """The header at the start of an SFrame ciphertext.

        strict refuses encodings that are not minimal, which no sender may produce (RFC 9605 4.3).
        Raises MalformedFrame with what is wrong, where, and in which bytes.
        """
        return Header(*parse_header(byte_view(ciphertext, "ciphertext"), strict))


if TYPE_CHECKING:
    Header: TypeAlias = HeaderFace
else:
    Header = completed(HeaderFace, HeaderCore)
HeaderColumns = completed(ColumnsFace, ColumnsCore)


def parse_headers(
    batch: "FrameBatch | Sequence[ReadableBuffer]",
    *,
    clear: "int | Sequence[int] | None" = None,
    strict: bool = True,
) -> ColumnsFace:
    """What a forwarder can see of many ciphertexts without any key; it never raises for a frame.

    clear is how many bytes lie before each header: one number, or one for each row. Raises
    TypeError for a row that is not bytes-like, MisuseError for a clear below 0.

    >>> parse_headers([bytes.fromhex("9901234567"), b""]).status.tolist()
    [0, 1]
    """
    listed = batch if isinstance(batch, FrameBatch) else as_rows("batch", batch)
    starts = [index(start) for start in clear_per_row(clear, len(listed))]
    if min(starts, default=0) < 0:
        raise negative_clear(min(starts))
    rows = zip(listed, starts, strict=True)
    return _columns([_parse_or_zeros(ciphertext, start, strict) for ciphertext, start in rows])


def _columns(rows: list[tuple[int, int, int]]) -> ColumnsFace:
    kids, ctrs, sizes = zip(*rows, strict=True) if rows else ((), (), ())
    statuses = [FrameStatus.OK if size else FrameStatus.MALFORMED for size in sizes]
    columns = HeaderColumns.__new__(HeaderColumns)
    parts = array("Q", kids), array("Q", ctrs), array("B", sizes), array("B", statuses)
    columns._columns, columns._count = b"".join(parts), len(rows)
    return columns


def _parse_or_zeros(ciphertext: "ReadableBuffer", start: int, strict: bool) -> tuple[int, int, int]:
    try:
        return parse_header(byte_view(ciphertext, "ciphertext")[start:], strict)
    except MalformedFrame:
        return 0, 0, 0
