"""Rows near 2^31 bytes, in memory that is never touched: lengths of a batch are int32."""

import mmap

import pytest
from parties import GCM, LAST_CTR, new_receiver, new_sender

from pysframe import FrameBatch, MisuseError
from pysframe.batch import MAX_ROW

LAST = 2**31 - 1  # the largest max_frame, and the largest int32
OVERHEAD = 33  # the longest header and tag


@pytest.fixture(scope="module")
def huge():
    """2^31 + 100 zeros, of which the kernel keeps none until they are looked at."""
    with mmap.mmap(-1, 2**31 + 100, prot=mmap.PROT_READ) as memory, memoryview(memory) as view:
        yield view


@pytest.fixture
def sender(engine, rng):
    """With the longest headers."""
    with new_sender(engine, GCM, rng.randbytes(16), LAST_CTR, 2**60, max_frame=LAST) as sender:
        yield sender


@pytest.mark.parametrize("size", [LAST, LAST - 1, LAST - OVERHEAD + 1])
@pytest.mark.parametrize("more", [{}, {"metadata": b"m"}, {"clear": 1}])
def test_a_row_whose_ciphertext_has_no_int32_length(engine, sender, huge, size, more):
    """Refused before a counter is taken, wherever it stands."""
    batch = FrameBatch(huge, [0, 5], [1, size])
    for out in (None, bytearray(100)):
        with pytest.raises(MisuseError, match=f"^row 1: a frame of {size} bytes is over the limit"):
            engine.protect_batch(sender, batch, out=out, **more)
    assert sender.next_ctr == 2**60


def test_the_largest_row_goes_as_far_as_its_room(engine, sender, huge):
    """One byte less is refused for lack of room in `out` alone, so no memory is needed here."""
    assert MAX_ROW == LAST - OVERHEAD == 2**31 - 34
    batch = FrameBatch(huge, [0], [MAX_ROW])
    with pytest.raises(MisuseError, match=f"{2**31 - 1} are needed"):
        engine.protect_batch(sender, batch, out=bytearray(100))
    assert sender.next_ctr == 2**60


def test_frames_of_over_two_gigabytes(engine, sender, huge):
    for protect in (
        lambda: sender.protect(huge),
        lambda: sender.protect_into(huge, bytearray(100)),
        lambda: engine.protect_many(sender, [huge]),
    ):
        with pytest.raises(MisuseError, match=f"{2**31 + 100} bytes is over the limit of {LAST}"):
            protect()
    assert sender.next_ctr == 2**60
    assert sender.protected_size(2**31 + 100) == 2**31 + 133
    assert sender.protected_size(LAST) == 2**31 + 32


def test_batches_of_over_two_gigabytes(huge):
    """Their rows may lie behind 2^31, and be as long as an int32 can say."""
    batch = FrameBatch(huge, [2**31 + 90, 0], [10, LAST])
    assert [len(row) for row in batch] == [len(batch[0]), len(batch[1])] == [10, LAST]
    with pytest.raises(OverflowError, match="row 0"):
        FrameBatch(huge, [0], [2**31])
    with pytest.raises(MisuseError, match=f"row 1 has {2**31 + 100} bytes"):
        FrameBatch.from_frames([b"", huge])


def test_a_ciphertext_of_over_two_gigabytes(engine, rng, huge):
    """Only where it is not copied: the twin reads a frame once, into memory of its own."""
    receiver = new_receiver(engine, GCM, rng.randbytes(16), 0, max_frame=LAST)
    if engine.name.startswith("native"):
        assert list(engine.unprotect_many(receiver, [huge]).status) == [1]
    batch = engine.unprotect_batch(receiver, FrameBatch(huge, [2**31 + 90], [10]))
    assert list(batch.status) == [1]
