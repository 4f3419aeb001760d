"""From recordings and keys to the frames as their encoders made them.

    file -> datagrams -> packets -> in order, each once -> wire frames -> opened -> in time

Everything that is left out on the way is counted: in `notes` what was no packet of a known stream,
in a Track's numbers what was lost before it was recorded, in `flows` what no key opened.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import SEEK_END
from typing import BinaryIO, NamedTuple

from ..._values import showable
from ...errors import MisuseError
from ..envelope import Envelope
from . import codecs, mjr, packets, pcap, red
from ._source import Captured, RecordingError, Source
from .clock import WRAP, Clock
from .codecs import Meaning
from .frames import Assembler, Wire
from .opening import Flow, Key, Opener
from .order import Order
from .packets import Packet

MOST_STREAMS = 1000
STEP = 256  # packets


@showable
@dataclass
class Track:
    """One codec of one stream (SSRC), and what became of it.

    number: of its recording, in the order given. lost: packets that are not in the recording;
    incomplete: frames that are therefore not whole; recovered: frames that RED had a copy of.
    """

    number: int
    flow: str
    ssrc: int
    codec: str
    opened: int = 0
    recovered: int = 0
    incomplete: int = 0
    lost: int = 0
    repeated: int = 0
    seconds: float = 0.0
    kids: set[int] = field(default_factory=set)


class Restored(NamedTuple):
    """One frame; ticks: when, in ticks of codecs.rate() from the beginning of all recordings."""

    track: Track
    ticks: int
    data: bytes


class Recording:
    """One file: an mjr of Janus, a pcap or a pcapng.

    names: what payload types a capture has, see codecs.meanings(); an mjr says so itself. file must
    be able to seek. Raises RecordingError when it is no such file.
    """

    def __init__(self, file: BinaryIO, names: Mapping[int, str] | None = None) -> None:
        self._file = file
        self._source = Source(file, Counter())
        self.size = file.seek(0, SEEK_END)
        file.seek(0)
        magic = file.read(8)
        self.is_mjr = magic in mjr.MAGIC
        if not self.is_mjr and magic[:4] not in pcap.MAGIC:
            raise RecordingError("is neither an mjr of Janus nor a pcap or pcapng capture")
        self._ssrc = 0  # of an mjr
        self.meanings = self._of_mjr() if self.is_mjr else codecs.meanings(names or {})

    @property
    def position(self) -> int:
        """The read position in bytes."""
        return self._source.position

    def packets(self, notes: Counter[str]) -> Iterator[tuple[str, Packet]]:
        """(flow, packet) from the beginning of the file on.

        Of simulcast Janus makes one stream, with the SSRC of one layer, and 0 until it knows one.
        """
        for captured in self._datagrams(notes):
            try:
                packet = packets.parse(captured.data, captured.at)
            except packets.NotRTP as other:
                notes[str(other)] += 1
            else:
                yield captured.flow, packet if packet.ssrc else packet._replace(ssrc=self._ssrc)

    def unnamed(self) -> Counter[tuple[int, int]]:
        """How many packets come under each (payload type, SSRC) that has no meaning yet."""
        found = Counter((packet.payload_type, packet.ssrc) for _, packet in self.packets(Counter()))
        return Counter({name: n for name, n in found.items() if name[0] not in self.meanings})

    def _datagrams(self, notes: Counter[str]) -> Iterator[Captured]:
        self._file.seek(0)
        self._source = Source(self._file, notes)
        return mjr.read(self._source)[1] if self.is_mjr else pcap.read(self._source)

    def _of_mjr(self) -> dict[int, Meaning]:
        """The codec of the header is that of the payload type most packets have: Janus records
        telephone events and comfort noise into the same file."""
        self._file.seek(0)
        info, _ = mjr.read(self._source)
        try:
            known = codecs.meanings({0: info.codec})[0]
        except MisuseError as fault:
            raise RecordingError(f"holds {fault}") from None
        found = Counter((packet.ssrc, packet.payload_type) for _, packet in self.packets(Counter()))
        types, sources = Counter[int](), Counter[int]()
        for (ssrc, kind), count in found.items():
            types[kind] += count
            sources[ssrc] += count if ssrc else 0
        self._ssrc = sources.most_common(1)[0][0] if sources else 0
        redundant = {} if info.red is None else {info.red: known._replace(red=True)}
        plain = [number for number, _ in types.most_common() if number not in redundant]
        return redundant | {number: known for number in plain[:1]}


class _Stream:
    """One SSRC of one flow."""

    def __init__(self) -> None:
        self.order = Order()
        self.types: set[int] = set()
        self.assemblers: dict[str, Assembler] = {}
        self.tracks: dict[str, Track] = {}
        self.clocks: dict[str, Clock] = {}
        self.stamps: dict[str, int] = {}


StreamName = tuple[int, str, int]  # recording, flow, SSRC


class Restorer:
    """Restores once; make another to do so again. Closing it wipes its keys.

    step: called every STEP packets, to show progress.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        keys: Iterable[Key],
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self.notes: Counter[str] = Counter()
        self._step = step
        self._recordings = recordings
        self._opener = Opener(keys)
        self._envelopes: dict[str, Envelope] = {}
        self._streams: dict[StreamName, _Stream] = {}
        self._repairs: dict[StreamName, StreamName] = {}
        self._began: float | None = None

    @property
    def flows(self) -> Mapping[int | str, Flow]:
        """What became of the frames of each KID."""
        return self._opener.flows

    @property
    def tracks(self) -> list[Track]:
        """Every track in which a frame was found."""
        for stream in self._streams.values():
            for codec, track in stream.tracks.items():
                track.incomplete = stream.assemblers[codec].incomplete
                track.lost, track.repeated = stream.order.lost, stream.order.repeated
        return [track for stream in self._streams.values() for track in stream.tracks.values()]

    def close(self) -> None:
        self._opener.close()

    def frames(self) -> Iterator[Restored]:
        """Every frame that can be opened; of each track in the order of time."""
        for count, (number, flow, packet) in enumerate(self._merged()):
            if count % STEP == 0:
                self._step()
            if self._began is None:
                self._began = packet.at
            yield from self._packet(number, flow, packet)
        for name, stream in self._streams.items():
            yield from self._ordered(name, stream, stream.order.flush())
            for codec, assembler in stream.assemblers.items():
                for wire in assembler.flush():
                    yield from self._open(name, stream, codec, False, wire)

    def _merged(self) -> Iterator[tuple[int, str, Packet]]:
        """The packets of all recordings by their arrival, so that tracks are side by side."""

        def of(number: int, recording: Recording) -> Iterator[tuple[int, str, Packet]]:
            for flow, packet in recording.packets(self.notes):
                yield number, flow, packet

        rows = [of(number, recording) for number, recording in enumerate(self._recordings)]
        return heapq.merge(*rows, key=lambda row: (row[2].at or 0.0, row[0]))

    def _packet(self, number: int, flow: str, packet: Packet) -> Iterator[Restored]:
        name = (number, flow, packet.ssrc)
        meaning = self._recordings[number].meanings.get(packet.payload_type)
        if meaning is not None and meaning.rtx_of is not None:
            yield from self._repeated(name, packet, meaning.rtx_of)
            return
        stream = self._streams.get(name)
        if meaning is None:
            self.notes[f"packets of payload type {packet.payload_type}, which has no codec"] += 1
        elif stream is None:
            stream = self._new_stream(name)
        if stream is not None:  # without a meaning, too: its number counts
            stream.types.add(packet.payload_type)
            yield from self._ordered(name, stream, stream.order.push(packet))

    def _new_stream(self, name: StreamName) -> _Stream | None:
        if len(self._streams) >= MOST_STREAMS:
            self.notes[f"packets of streams beyond the first {MOST_STREAMS}"] += 1
            return None
        return self._streams.setdefault(name, _Stream())

    def _repeated(self, name: StreamName, packet: Packet, of: int) -> Iterator[Restored]:
        """RTX has an SSRC of its own; which stream it repeats shows when one misses the packet."""
        original = packets.retransmitted(packet, 0, of)
        if original is None:
            return
        if name not in self._repairs:
            repaired = self._repaired_by(name, original)
            if repaired is None:
                self.notes["retransmissions for a stream that is not known"] += 1
                return
            self._repairs[name] = repaired
        name = self._repairs[name]
        stream = self._streams[name]
        original = original._replace(ssrc=name[2])
        yield from self._ordered(name, stream, stream.order.push_again(original))

    def _repaired_by(self, name: StreamName, original: Packet) -> StreamName | None:
        fitting = [
            (other, stream)
            for other, stream in self._streams.items()
            if other[:2] == name[:2] and original.payload_type in stream.types
        ]
        missing = [other for other, stream in fitting if stream.order.misses(original.sequence)]
        found = missing if missing else [other for other, _ in fitting]
        return found[0] if len(found) == 1 else None

    def _ordered(
        self, name: StreamName, stream: _Stream, due: list[tuple[int, Packet]]
    ) -> Iterator[Restored]:
        for number, packet in due:
            meaning = self._recordings[name[0]].meanings.get(packet.payload_type)
            if meaning is None:
                continue
            if not packet.payload:
                self.notes["empty packets: padding, or silence"] += 1
            assembler = stream.assemblers.get(meaning.codec)
            if assembler is None:
                assembler = Assembler(meaning.form, self.notes)
                stream.assemblers[meaning.codec] = assembler
            for wire in assembler.push(number, packet):
                yield from self._open(name, stream, meaning.codec, meaning.red, wire)

    def _open(
        self, name: StreamName, stream: _Stream, codec: str, is_red: bool, wire: Wire
    ) -> Iterator[Restored]:
        if codec not in stream.tracks:
            stream.tracks[codec] = Track(*name, codec)
            stream.clocks[codec] = Clock(codecs.rate(codec), self._began)
            self._envelopes.setdefault(codec, Envelope(codec))
        opened = self._opener.open(self._envelopes[codec], wire.data)
        if opened is None:
            return
        kid, frame = opened
        track = stream.tracks[codec]
        track.kids.add(kid)
        track.opened += 1
        for block in self._blocks(frame, is_red):
            yield from self._timed(stream, track, wire, block)

    def _blocks(self, frame: bytes, is_red: bool) -> list[red.Block]:
        if not is_red:
            return [red.Block(0, frame)]
        try:
            return red.blocks(frame)
        except ValueError as fault:
            self.notes[f"RED frames in which {fault}"] += 1
            return []

    def _timed(
        self, stream: _Stream, track: Track, wire: Wire, block: red.Block
    ) -> Iterator[Restored]:
        stamp = (wire.timestamp - block.before) % WRAP
        if block.before:
            last = stream.stamps.get(track.codec)
            if last is None or not 0 < (stamp - last) % WRAP < WRAP // 2 or not block.data:
                return
            track.recovered += 1
        stream.stamps[track.codec] = stamp
        at = None if wire.at is None else wire.at - block.before / codecs.rate(track.codec)
        ticks = stream.clocks[track.codec].ticks(stamp, at)
        track.seconds = ticks / codecs.rate(track.codec)
        yield Restored(track, ticks, block.data)
