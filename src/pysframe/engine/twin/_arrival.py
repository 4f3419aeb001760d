"""A frame that came from the network: its bytes, and where parsing finds its parts.

Rules of this file:
  1. The bytes are read once, into memory of their own, so that what is authenticated is what is
     returned even while another thread writes to the caller's buffer.
  2. Both classes are immutable: parsing returns what it found, and changes nothing.
"""

from typing import NamedTuple

from ..._buffers import ReadableBuffer, byte_view
from ..._rows import clear_bytes
from ...errors import MisuseCode, misuse
from ...header import too_long, too_short
from ...suites import CipherSuite
from ._formats import SFRAME, Format, Places
from ._memory import distance, metadata_view, overlap


class Arrival(NamedTuple):
    """A ciphertext as its caller gave it: clear bytes, then what the format puts on the wire."""

    view: memoryview  # the caller's memory
    wire: bytes  # what it held when the call began
    metadata: memoryview
    clear: int  # bytes
    format: Format = SFRAME

    def parse(self, suite: CipherSuite, max_frame: int, strict: bool) -> "Parsed":
        """Reads the mark, or raises MalformedFrame; needs no lock."""
        least = self.clear + self.format.least + suite.Nt
        if len(self.wire) < least:
            raise too_short(len(self.wire), least)
        places = self.format.read(self.wire[self.clear :], suite.Nt, strict)
        kid, ctr = places.kid, places.ctr
        size = self.clear + len(places.sealed) - suite.Nt
        if size > max_frame:
            raise too_long(size, max_frame, kid, ctr)
        return Parsed(self, places, kid, ctr, size)

    def wipe_before_key(self, out: memoryview | None) -> None:
        """Clears `out` although no key ran: what it held before must not pass for the frame.

        Unless `out` holds the ciphertext itself, which the caller may want to try again.
        """
        if out is None:
            return
        written = out[: len(self.wire)]
        if not overlap(self.view, written):
            written[:] = bytes(written.nbytes)


class Parsed(NamedTuple):
    """An arrival and the places of its parts; kid and ctr are what its mark claims."""

    arrival: Arrival
    places: Places
    kid: int
    ctr: int
    size: int  # bytes that it may open to, clear bytes included

    def check_out(self, out: memoryview | None) -> None:
        """Refuses an `out` that is too small, or that overlaps other than exactly in place."""
        if out is None:
            return
        if self.size > out.nbytes:
            raise misuse(MisuseCode.ROOM, size=self.size, limit=out.nbytes)
        written, arrival = out[: self.size], self.arrival
        if overlap(arrival.metadata, written):
            raise misuse(MisuseCode.OVERLAP)
        if overlap(arrival.view, written) and distance(out, arrival.view) != self.places.front:
            raise misuse(MisuseCode.OVERLAP)

    @property
    def aad(self) -> bytes:
        """The received header, minimal or not, clear bytes, metadata: RFC 9605 4.4.4."""
        wire, clear = self.arrival.wire, self.arrival.clear
        return self.arrival.format.aad(self.places.mark, wire[:clear], self.arrival.metadata)

    @property
    def sealed(self) -> bytes:
        """Ciphertext and tag."""
        return self.places.sealed

    def deliver(self, payload: bytes, out: memoryview | None) -> bytes:
        """The frame, also written to `out` when there is one."""
        frame = self.arrival.wire[: self.arrival.clear] + payload
        if out is not None:
            out[: len(frame)] = frame
        return frame

    def wipe(self, out: memoryview | None) -> None:
        """Leaves zeros where the frame would have been."""
        if out is not None:
            out[: self.size] = bytes(self.size)


def arrival(
    ciphertext: "ReadableBuffer",
    metadata: "ReadableBuffer | None",
    clear: int,
    wire_format: Format = SFRAME,
) -> Arrival:
    """A ciphertext to be opened; MisuseError for a negative number of clear bytes."""
    view = byte_view(ciphertext, "ciphertext")
    extra = metadata_view(metadata)
    count = clear_bytes(clear)
    if count < 0:
        reason = f"clear is {clear} and the frame has {view.nbytes} bytes"
        raise misuse(MisuseCode.ARGUMENT, reason=reason)
    return Arrival(view, bytes(view), extra, count, wire_format)
