"""The digit reader: it reads every digit of clear audio, also through Opus and losses, and reads
nothing in noise. What "cannot be heard" is worth rests on this file."""

import numpy as np
import pytest

from pysframe.demo.digits import FRAME, DigitReader, frames_of, silence, speak, tone
from pysframe.demo.listening import GUESSES, Ear
from pysframe.demo.opus import OpusDecoder, OpusEncoder


def read(frames):
    reader = DigitReader()
    for frame in frames:
        reader.feed(frame)
    return reader.digits


@pytest.mark.parametrize("digits", ["0123456789", "*#ABCD", "5", "55555", "1212", ""])
def test_reads_what_was_spoken(digits):
    assert read(frames_of(speak(digits))) == digits


def test_reads_samples_in_pieces_of_any_size(rng):
    pcm, pieces = speak("90210"), []
    while len(pcm):
        size = rng.randint(1, 3 * FRAME)
        pieces.append(pcm[:size])
        pcm = pcm[size:]
    assert read(pieces) == "90210"


def test_reads_through_opus_with_one_frame_in_twenty_five_lost(rng):
    for _ in range(5):
        digits = "".join(rng.choices("0123456789", k=12))
        encoder, ear = OpusEncoder(), Ear({})
        for seq, pcm in enumerate(frames_of(speak(digits))):
            frame = encoder.encode(pcm)
            if seq % 25 != 13:
                ear.push(seq, frame)
        ear.finish()
        assert ear.reader.digits == digits


def test_a_muddled_window_does_not_end_a_digit():
    pcm = tone("7")
    pcm[3 * FRAME : 4 * FRAME] = noise(1)[:FRAME]
    assert read([pcm]) == "7"


@pytest.mark.parametrize("hz", [[697], [1209], [440, 480], [697, 770], [1000]])
def test_other_tones_are_no_digits(hz):
    t = np.arange(20 * FRAME) / 48_000
    wave = sum(8000 * np.sin(2 * np.pi * each * t) for each in hz).astype(np.int16)
    assert read([wave]) == ""


def test_noise_and_silence_are_no_digits():
    assert read([noise(500), silence(10), noise(500)]) == ""


def test_random_bytes_that_opus_plays_are_no_digits(rng):
    decoder, played = OpusDecoder(), []
    for _ in range(1500):
        pcm = decoder.decode(GUESSES[2](b"\x08" + rng.randbytes(90)))
        if pcm is not None:
            played.append(pcm)
    assert len(played) > 1000  # the control: the decoder does not refuse them
    assert read(played) == ""


def noise(frames, seed=1):
    source = np.random.default_rng(seed)
    return source.normal(0, 8000, frames * FRAME).clip(-32768, 32767).astype(np.int16)
