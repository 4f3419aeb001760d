"""Digits as DTMF tones, and a reader that recovers them from decoded audio.

Rule: everybody reads with the same `DigitReader`. "Heard nothing" is worth something only when
the reader that stays silent on ciphertext is the one that reads every digit on clear audio.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

RATE = 48_000  # samples a second
FRAME = 960  # samples in 20 ms, one Opus frame
TONE_FRAMES, GAP_FRAMES = 10, 6  # 200 ms of tone, 120 ms of silence
DIGIT_S = (TONE_FRAMES + GAP_FRAMES) * FRAME / RATE

_ROWS = (697, 770, 852, 941)  # Hz, ITU-T Q.23
_COLUMNS = (1209, 1336, 1477, 1633)
_KEYS = ("123A", "456B", "789C", "*0#D")
_SILENT, _UNCLEAR = " ", "?"  # a window without a digit
_LEVEL = 0.25  # of full scale, each of the two tones

_MIN_TONE, _MIN_GAP = 3, 2  # windows of 20 ms: the fewest that make a digit, and that end it
_MIN_PURITY = 0.6  # the pair's share of the window's energy; noise has about 0.1
_MIN_RMS = 0.02  # of full scale: -34 dBFS


def tone(digit: str) -> Samples:
    """One digit: TONE_FRAMES of its two tones, then GAP_FRAMES of silence."""
    row = next(i for i, keys in enumerate(_KEYS) if digit in keys)
    seconds = np.arange(TONE_FRAMES * FRAME) / RATE
    low, high = _ROWS[row], _COLUMNS[_KEYS[row].index(digit)]
    wave = np.sin(2 * np.pi * low * seconds) + np.sin(2 * np.pi * high * seconds)
    return np.concatenate([_int16(_LEVEL * wave), silence(GAP_FRAMES)])


def speak(digits: str) -> Samples:
    """The digits in sequence, after 200 ms of silence."""
    return np.concatenate([silence(TONE_FRAMES), *map(tone, digits)])


def silence(frames: int) -> Samples:
    return np.zeros(frames * FRAME, np.int16)


def frames_of(pcm: Samples) -> Sequence[Samples]:
    """Cuts samples into 20 ms frames; the last one is padded with silence."""
    padded = np.concatenate([pcm, np.zeros(-len(pcm) % FRAME, np.int16)])
    return list(padded.reshape(-1, FRAME))


class DigitReader:
    """Reads DTMF digits from a stream of 48 kHz samples: Goertzel's eight bins, every 20 ms.

    `digits` grows by one when a pair of tones has stood for 60 ms. The same digit again needs
    40 ms of silence between: an unclear window, which a lost frame leaves, does not end a digit.
    """

    def __init__(self) -> None:
        self.digits = ""
        self._rest = np.zeros(0, np.int16)
        self._key, self._run = _SILENT, 0  # the key of the latest windows, and their number
        self._standing = ""  # a digit that has been counted and has not ended

    def feed(self, pcm: Samples) -> None:
        """Takes any number of samples."""
        pcm = np.concatenate([self._rest, pcm])
        whole = len(pcm) - len(pcm) % FRAME
        self._rest = pcm[whole:]
        for window in pcm[:whole].reshape(-1, FRAME):
            self._step(_tone_in(window))

    def _step(self, key: str) -> None:
        self._run = self._run + 1 if key == self._key else 1
        self._key = key
        if key == _SILENT and self._run >= _MIN_GAP:
            self._standing = ""
        elif key not in (_SILENT, _UNCLEAR) and self._run >= _MIN_TONE and key != self._standing:
            self._standing = key
            self.digits += key


def _bins() -> NDArray[np.float32]:
    """Cosine and sine of the eight tones over one window: [2, 8, FRAME]."""
    phase = 2 * np.pi * np.outer((*_ROWS, *_COLUMNS), np.arange(FRAME) / RATE)
    return np.stack([np.cos(phase), np.sin(phase)]).astype(np.float32)


_BINS = _bins()


def _tone_in(window: Samples) -> str:
    """The key whose two tones make up this window; _SILENT or _UNCLEAR when there is none."""
    wave = window.astype(np.float32) / 32768
    energy = float((wave * wave).sum())
    if energy < _MIN_RMS**2 * FRAME:
        return _SILENT
    # |bin|^2 of a sine of amplitude A over N samples is (A N / 2)^2, its energy A^2 N / 2.
    # Sums instead of @: BLAS would use threads even here, which cost more than they save.
    shares = ((_BINS * wave).sum(axis=2) ** 2).sum(axis=0) * (2 / FRAME) / energy
    row, column = int(shares[:4].argmax()), int(shares[4:].argmax())
    each = (shares[row], shares[4 + column])
    return _KEYS[row][column] if sum(each) > _MIN_PURITY and min(each) > 0.15 else _UNCLEAR


def _int16(wave: NDArray[np.float64]) -> Samples:
    return np.round(wave * 32767).astype(np.int16)
