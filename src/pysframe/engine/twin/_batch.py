"""Many frames in one call, equal to single calls in row order.

Rules of this file:
  1. Sending: check every row, then reserve every counter, then seal every row. A MisuseError names
     its row, and nothing has been sealed.
  2. Receiving: a bad frame raises nothing; it sets its row's status. Frames under unknown KIDs are
     retried once after all others, in case their keys can be derived by then.
  3. The output does not overlap the input.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from ..._buffers import ReadableBuffer, WriteableBuffer, writable_view
from ..._rows import Clear, Metadata, as_rows, clear_per_row, per_row
from ...batch import MAX_ROW, FrameBatch, too_long_for_a_batch
from ...errors import FrameRejected, FrameStatus, MisuseCode, MisuseError, misuse
from ._arrival import Arrival
from ._cores import ReceiverCore, SenderCore, give_up, knows_now, receiver_state, sender_state, tell
from ._frame_batch import FrameBatch as OwnBatch
from ._frame_batch import pack_columns
from ._memory import metadata_view, overlap
from ._sender import Departure, Reserved

_Senders: TypeAlias = SenderCore | Sequence[SenderCore]
_Receivers: TypeAlias = ReceiverCore | Sequence[ReceiverCore]
_Frames: TypeAlias = "Sequence[ReadableBuffer]"
_Owner = TypeVar("_Owner", SenderCore, ReceiverCore)
_Result = TypeVar("_Result")


class Outcome(NamedTuple):
    """What became of one row; kid and ctr are what its header says, if it could be read."""

    status: FrameStatus
    kid: int | None
    ctr: int | None


def protect_many(
    senders: _Senders,
    frames: "Sequence[ReadableBuffer]",
    metadata: "Metadata" = None,
    clear: "Clear" = None,
) -> list[bytes]:
    """Protects each frame under its sender: one for all, or one per frame.

    metadata and clear: None, one for all, or one per frame. Raises what protect raises, prefixed
    with the row's number, and then nothing has been sealed.
    """
    owners, departures = _departures(senders, as_rows("frames", frames), metadata, clear)
    reserved = _each(_reserve, owners, departures)
    return [one.seal(departure) for one, departure in zip(reserved, departures, strict=True)]


def protect_batch(
    senders: _Senders,
    batch: FrameBatch,
    metadata: "Metadata" = None,
    clear: "Clear" = None,
    out: "WriteableBuffer | None" = None,
) -> FrameBatch:
    """protect_many from columns to columns: rows back to back, in `out` or a new buffer.

    Raises MisuseError saying the bytes needed when `out` is too small.
    """
    owners, departures = _departures(senders, _rows_of(batch), metadata, clear)
    for number, departure in enumerate(departures):
        if departure.size > MAX_ROW:
            raise too_long_for_a_batch(number, departure.size)
    target = _apart(out, [(departure.frame, departure.metadata) for departure in departures])
    # Before any counter is taken, with the longest headers this batch can have.
    _lay_out([_expected(*job, len(owners)) for job in zip(owners, departures, strict=True)], target)
    reserved = _each(_reserve, owners, departures)
    jobs = list(zip(reserved, departures, strict=True))
    data, rows = _lay_out([one.size_of(departure) for one, departure in jobs], target)
    for (one, departure), row in zip(jobs, rows, strict=True):
        row[:] = one.seal(departure)
    outcomes = [Outcome(FrameStatus.OK, one.kid, one.ctr) for one in reserved]
    return _finish(out, data, rows, outcomes)


def unprotect_many(
    receivers: _Receivers,
    ciphertexts: "Sequence[ReadableBuffer]",
    metadata: "Metadata" = None,
    clear: "Clear" = None,
) -> FrameBatch:
    """Opens each ciphertext under its receiver: one for all, or one per ciphertext.

    A rejected frame has length 0 and its status, and raises nothing. MisuseError and TypeError
    concern the arguments and name the row. After a MemoryError frames of the failed call may read
    as REPLAYED; the native engine takes all memory before it opens a frame.
    """
    owners, arrivals = _arrivals(receivers, as_rows("ciphertexts", ciphertexts), metadata, clear)
    return _receive(owners, arrivals, None, None)


def unprotect_batch(
    receivers: _Receivers,
    batch: FrameBatch,
    metadata: "Metadata" = None,
    clear: "Clear" = None,
    out: "WriteableBuffer | None" = None,
) -> FrameBatch:
    """unprotect_many from columns to columns: rows back to back, in `out` or a new buffer.

    A rejected row leaves zeros. Raises MisuseError saying the bytes needed when `out` is too
    small.
    """
    owners, arrivals = _arrivals(receivers, _rows_of(batch), metadata, clear)
    target = _apart(out, [(arrival.view, arrival.metadata) for arrival in arrivals])
    return _receive(owners, arrivals, out, target)


def _receive(
    owners: list[ReceiverCore],
    arrivals: list[Arrival],
    out: "WriteableBuffer | None",
    target: memoryview | None,
) -> FrameBatch:
    jobs = list(zip(owners, arrivals, strict=True))
    data, rows = _lay_out([receiver_state(owner).room(arrival) for owner, arrival in jobs], target)
    outcomes = [_outcome(*job, row) for job, row in zip(jobs, rows, strict=True)]
    _tell_receivers(owners)
    for number, (owner, arrival) in enumerate(jobs):
        if outcomes[number].status == FrameStatus.UNKNOWN_KEY:
            outcomes[number] = _retried(owner, arrival, rows[number], outcomes[number])
    _tell_receivers(owners)
    return _finish(out, data, rows, outcomes)


def _retried(owner: ReceiverCore, arrival: Arrival, row: memoryview, unknown: Outcome) -> Outcome:
    known = knows_now(owner, unknown.kid, unknown.ctr)
    again = _outcome(owner, arrival, row) if known else unknown
    if again.status == FrameStatus.UNKNOWN_KEY:
        give_up(owner, again.kid, again.ctr)
    return again


def _outcome(owner: ReceiverCore, arrival: Arrival, row: memoryview) -> Outcome:
    try:
        kid, ctr, _ = receiver_state(owner).attempt(arrival, row)
    except FrameRejected as error:
        return Outcome(error.status, error.kid, error.ctr)
    return Outcome(FrameStatus.OK, kid, ctr)


# ---- a row and its owner ----


def _depart(
    owner: SenderCore, frame: "ReadableBuffer", metadata: "ReadableBuffer | None", clear: int
) -> Departure:
    state = sender_state(owner)
    departure = state.departure(frame, metadata, clear)
    state.check(owner._lease_ended)
    return departure


def _arrive(
    owner: ReceiverCore, frame: "ReadableBuffer", metadata: "ReadableBuffer | None", clear: int
) -> Arrival:
    return receiver_state(owner).arrival(frame, metadata, clear)


def _expected(owner: SenderCore, departure: Departure, rows: int) -> int:
    """Bytes that suffice for this row at any place in the batch."""
    return sender_state(owner).protected_size(departure.size, rows)


def _reserve(owner: SenderCore, departure: Departure) -> Reserved:
    reserved = sender_state(owner).reserve(departure, None, owner._lease_ended)
    if reserved.rekey_due:  # now, since the rest of the batch may be refused
        owner._rekey_due()
    return reserved


def _tell_receivers(owners: list[ReceiverCore]) -> None:
    for owner in dict.fromkeys(owners):
        tell(owner)


# ---- rows from arguments ----


def _rows_of(batch: FrameBatch) -> list[memoryview]:
    if not isinstance(batch, FrameBatch):
        raise TypeError(f"batch must be a FrameBatch, not {type(batch).__name__}")
    return list(batch)


def _departures(
    senders: _Senders, frames: _Frames, metadata: "Metadata", clear: "Clear"
) -> tuple[list[SenderCore], list[Departure]]:
    owners = _owners(SenderCore, "senders", senders, len(frames))
    columns = _metadata(metadata, len(frames)), clear_per_row(clear, len(frames))
    return owners, _each(_depart, owners, frames, *columns)


def _arrivals(
    receivers: _Receivers, ciphertexts: _Frames, metadata: "Metadata", clear: "Clear"
) -> tuple[list[ReceiverCore], list[Arrival]]:
    owners = _owners(ReceiverCore, "receivers", receivers, len(ciphertexts))
    columns = _metadata(metadata, len(ciphertexts)), clear_per_row(clear, len(ciphertexts))
    return owners, _each(_arrive, owners, ciphertexts, *columns)


def _owners(
    kind: type[_Owner], name: str, given: "_Owner | Sequence[_Owner]", count: int
) -> list[_Owner]:
    if isinstance(given, kind):
        return [given] * count
    owners = per_row(name, cast("Sequence[_Owner]", given), count)
    for row, owner in enumerate(owners):
        if not isinstance(owner, kind):
            wanted = kind.__name__.removesuffix("Core")
            raise TypeError(f"row {row}: {type(owner).__name__} is no {wanted} of this engine")
    return owners


def _metadata(given: "Metadata", count: int) -> "Sequence[ReadableBuffer | None]":
    try:
        return [metadata_view(cast("ReadableBuffer | None", given))] * count
    except TypeError:
        return per_row("metadata", cast("Sequence[ReadableBuffer | None]", given), count)


def _each(function: Callable[..., _Result], *columns: Iterable[Any]) -> list[_Result]:
    """Calls function for each row; its errors are raised with the row's number."""
    results = []
    for row, values in enumerate(zip(*columns, strict=True)):
        try:
            results.append(function(*values))
        except (MisuseError, TypeError, BufferError, OverflowError) as error:
            raise type(error)(f"row {row}: {error}") from None
    return results


# ---- the output ----


def _apart(
    out: "WriteableBuffer | None", read: list[tuple[memoryview, memoryview]]
) -> memoryview | None:
    """A view of `out`, which must not overlap any frame or metadata."""
    if out is None:
        return None
    target = writable_view(out)
    for row, views in enumerate(read):
        if any(overlap(view, target) for view in views):
            raise misuse(MisuseCode.OVERLAP, row=row)
    return target


def _lay_out(sizes: list[int], target: memoryview | None) -> tuple[memoryview, list[memoryview]]:
    """The buffer and one slice of it for each row, back to back."""
    needed = sum(sizes)
    data = memoryview(bytearray(needed)) if target is None else target
    if needed > data.nbytes:
        raise misuse(MisuseCode.ROOM, size=needed, limit=data.nbytes)
    ends = accumulate(sizes)
    return data, [data[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _finish(
    out: "WriteableBuffer | None",
    data: memoryview,
    rows: list[memoryview],
    outcomes: list[Outcome],
) -> FrameBatch:
    """The batch of these rows; a rejected one has length, KID and counter 0."""
    sizes = [row.nbytes for row in rows]
    columns = pack_columns(
        [end - size for end, size in zip(accumulate(sizes), sizes, strict=True)],
        [0 if one.status else size for one, size in zip(outcomes, sizes, strict=True)],
        [0 if one.status else one.kid or 0 for one in outcomes],
        [0 if one.status else one.ctr or 0 for one in outcomes],
        [one.status for one in outcomes],
    )
    return OwnBatch._from_columns(bytes(data) if out is None else out, columns, len(rows))
