"""Plans a file's tracks on a first pass, before anything is written."""

from collections.abc import Collection, Iterator, Mapping

from . import codecs, matroska
from .matroska import Block, Plan
from .opening import Flow
from .restoring import Restored, Track

Name = tuple[int, str, int, str]


class Plans:
    """Collects what is needed to plan the tracks: it is shown every frame of a recording once."""

    def __init__(self) -> None:
        self._first: dict[Name, bytes] = {}

    def see(self, restored: Restored) -> None:
        """Keeps the first frame of a track from which a decoder can begin."""
        codec, name = restored.track.codec, name_of(restored.track)
        if name in self._first or not matroska.is_key(codec, restored.data):
            return
        if matroska.is_readable(codec, restored.data):
            self._first[name] = b"" if codec in codecs.AUDIO_RATES else restored.data

    def is_playable(self, track: Track) -> bool:
        """Whether a frame came from which a decoder can begin."""
        return name_of(track) in self._first

    def titled(
        self, tracks: Collection[Track], flows: Mapping[int | str, Flow]
    ) -> dict[Name, Plan]:
        """The plan of each track that is playable; its title says whose it is."""
        plans = {}
        for track in filter(self.is_playable, tracks):
            senders = dict.fromkeys(flows[kid].sender for kid in sorted(track.kids))
            name = name_of(track)
            plans[name] = Plan(track.codec, ", ".join(filter(None, senders)), self._first[name])
        return plans


def blocks(plans: Mapping[Name, Plan], frames: Iterator[Restored]) -> Iterator[Block]:
    """The frames of the planned tracks, as matroska.write() takes them."""
    numbers = {name: number for number, name in enumerate(plans)}
    for restored in frames:
        number = numbers.get(name_of(restored.track))
        if number is not None and restored.data:
            yield Block(number, restored.ticks, restored.data)


def name_of(track: Track) -> Name:
    """A key for a track that stays the same when the recording is read again."""
    return track.number, track.flow, track.ssrc, track.codec
