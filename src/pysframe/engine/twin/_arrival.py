"""A frame that came from the network: where its parts lie, and what may be written for it.

Rule: its bytes are read once, into memory of its own, so that what is authenticated is what is
      returned even while another thread writes to the caller's buffer.
"""

from ..._buffers import ReadableBuffer, byte_view
from ..._rows import clear_bytes
from ...errors import FrameStatus, MisuseCode, misuse, rejection
from ...header import parse_header
from ...suites import CipherSuite
from ._memory import distance, metadata_view, overlap


class Arrival:
    """clear || header || ciphertext || tag; kid and ctr are what the header claims."""

    __slots__ = ("_body", "_wire", "clear", "ctr", "kid", "metadata", "size", "view")

    def __init__(
        self, ciphertext: "ReadableBuffer", metadata: "ReadableBuffer | None", clear: int
    ) -> None:
        self.view = byte_view(ciphertext, "ciphertext")
        self.metadata = metadata_view(metadata)
        self.clear = clear_bytes(clear)
        if self.clear < 0:
            reason = f"clear is {clear} and the frame has {self.view.nbytes} bytes"
            raise misuse(MisuseCode.ARGUMENT, reason=reason)
        self._wire = bytes(self.view)
        self._body = self.clear  # where the ciphertext begins, once parsed
        self.kid = self.ctr = 0
        self.size = 0  # bytes of the frame it may open to, clear bytes included

    def parse(self, suite: CipherSuite, max_frame: int, strict: bool) -> None:
        """Reads the header, or raises MalformedFrame; the receiver's constants suffice."""
        least = self.clear + 1 + suite.Nt
        if len(self._wire) < least:
            detail = f"it has {len(self._wire)} bytes where the least is {least}"
            raise rejection(FrameStatus.MALFORMED, detail=detail)
        claimed = self._wire[self.clear : len(self._wire) - suite.Nt]
        self.kid, self.ctr, header_bytes = parse_header(claimed, strict)
        self._body = self.clear + header_bytes
        self.size = self.clear + len(claimed) - header_bytes
        if self.size > max_frame:
            detail = f"its frame has {self.size} bytes, more than max_frame={max_frame}"
            raise rejection(FrameStatus.MALFORMED, self.kid, self.ctr, detail)

    def check_out(self, out: memoryview | None) -> None:
        """Refuses an `out` that is too small, or overlaps other than exactly in place."""
        if out is None:
            return
        if self.size > out.nbytes:
            raise misuse(MisuseCode.ROOM, size=self.size, limit=out.nbytes)
        written = out[: self.size]
        if overlap(self.metadata, written):
            raise misuse(MisuseCode.OVERLAP)
        if overlap(self.view, written) and distance(out, self.view) != self._body - self.clear:
            raise misuse(MisuseCode.OVERLAP)

    @property
    def aad(self) -> bytes:
        """The received header, minimal or not, clear bytes, metadata: RFC 9605 4.4.4."""
        wire, clear = self._wire, self.clear
        return b"".join((wire[clear : self._body], wire[:clear], self.metadata))

    @property
    def sealed(self) -> bytes:
        """Ciphertext and tag."""
        return self._wire[self._body :]

    def deliver(self, payload: bytes, out: memoryview | None) -> bytes:
        """The frame, written to `out` when there is one."""
        frame = self._wire[: self.clear] + payload
        if out is not None:
            out[: len(frame)] = frame
        return frame

    def wipe(self, out: memoryview | None) -> None:
        """Leaves zeros where the frame would have been."""
        if out is not None:
            out[: self.size] = bytes(self.size)

    def wipe_before_key(self, out: memoryview | None) -> None:
        """The same for a frame whose key did not run: whatever `out` held is not to pass for it.

        Unless `out` holds the ciphertext itself, which the caller may want to try again.
        """
        if out is None:
            return
        written = out[: len(self._wire)]
        if not overlap(self.view, written):
            written[:] = bytes(written.nbytes)
