"""What a stream of frames sounds like, with or without the key.

Rule: a frame is judged by what is heard, never by whether a decoder complains. Opus refuses some
random bytes and plays the rest, so everything that it plays goes to the digit reader and, frame by
frame, to a comparison with what was really said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from .. import Header, MalformedFrame
from .digits import DigitReader, Samples, silence
from .opus import OpusDecoder
from .rtp import JitterBuffer

_TOC = b"\xf8"  # first byte of the call's Opus frames: full band, 20 ms, mono (RFC 6716 3.1)


class Likeness:
    """The correlation of what was heard with what was said: 1 when equal, near 0 for noise."""

    def __init__(self, said: Mapping[int, Samples]) -> None:
        self._said = said
        self._sums = np.zeros(3)

    def add(self, seq: int, heard: Samples) -> None:
        if seq not in self._said:
            return  # the ciphertext of an end mark, played as audio
        said = self._said[seq][: len(heard)].astype(np.float32)
        other = heard[: len(said)].astype(np.float32)
        self._sums += ((said * other).sum(), (said * said).sum(), (other * other).sum())

    @property
    def value(self) -> float:
        """0..1; 0 when there is nothing to compare."""
        both, said, heard = self._sums
        return float(abs(both) / np.sqrt(said * heard)) if said * heard else 0.0


class Ear:
    """One listener's loudspeaker for one stream: jitter buffer, decoder, digit reader."""

    def __init__(self, said: Mapping[int, Samples]) -> None:
        self.reader = DigitReader()
        self.likeness = Likeness(said)
        self.played: list[int] = []  # seqs, in order
        self.fingerprint = hashlib.sha256()  # of every decoded sample
        self.over = False  # the speaker's end mark, an empty frame, has arrived
        self.level = 0.0  # RMS of the last frame, of full scale
        self._buffer, self._decoder, self._last = JitterBuffer(), OpusDecoder(), silence(1)

    @property
    def refused(self) -> int:
        """Frames that the decoder refused."""
        return self._decoder.refused

    def push(self, seq: int, frame: bytes) -> None:
        self._buffer.push(seq, frame)
        for due, waiting in self._buffer.pull():
            self._play(due, waiting)

    def finish(self) -> None:
        """Plays the frames that are still waiting."""
        for due, waiting in self._buffer.pull(depth=0):
            self._play(due, waiting)

    def _play(self, seq: int, frame: bytes | None) -> None:
        if frame == b"":
            self.over, self.level = True, 0.0
            return
        pcm = self._decoder.decode(frame) if frame else None
        if pcm is None:
            pcm = self._last // 2  # conceal a gap: the previous frame, fading
        else:
            self._note(seq, pcm)
        self._last = pcm
        self.level = float(np.sqrt(np.mean((pcm / 32768.0) ** 2)))
        self.reader.feed(pcm)

    def _note(self, seq: int, pcm: Samples) -> None:
        self.played.append(seq)
        self.fingerprint.update(pcm.tobytes())
        self.likeness.add(seq, pcm)


def replay(frames: Mapping[int, bytes], seqs: list[int]) -> str:
    """The fingerprint of a fresh decoder for these clear frames, to compare with an Ear's."""
    decoder, fingerprint = OpusDecoder(), hashlib.sha256()
    for seq in seqs:
        pcm = decoder.decode(frames.get(seq, b""))
        fingerprint.update(b"" if pcm is None else pcm.tobytes())
    return fingerprint.hexdigest()


def _without_header(payload: bytes) -> bytes:
    try:
        return payload[Header.parse(payload).size :]
    except MalformedFrame:
        return payload


# What an eavesdropper can feed to an Opus decoder, from the worst to the best informed.
GUESSES: tuple[Callable[[bytes], bytes], ...] = (
    lambda payload: payload,
    _without_header,
    lambda payload: _TOC + _without_header(payload)[1:],
)


class Eavesdropper:
    """An eavesdropper: tries to hear every payload in three ways at once."""

    def __init__(self, said: Mapping[int, Samples]) -> None:
        self.ears = [Ear(said) for _ in GUESSES]
        self.tried = 0  # frames, once for each guess

    def push(self, seq: int, payload: bytes) -> None:
        for ear, guess in zip(self.ears, GUESSES, strict=True):
            ear.push(seq, guess(payload))
            self.tried += 1

    def finish(self) -> None:
        for ear in self.ears:
            ear.finish()

    @property
    def digits(self) -> str:
        """The longest text that any of the three could read."""
        return max((ear.reader.digits for ear in self.ears), key=len)

    @property
    def played(self) -> int:
        """Frames that the decoder accepted as audio, over all three."""
        return sum(len(ear.played) for ear in self.ears)

    @property
    def likeness(self) -> float:
        return max(ear.likeness.value for ear in self.ears)

    @property
    def level(self) -> float:
        return max(ear.level for ear in self.ears)
