"""Promise 11: memory is bounded, whatever KIDs a flood of frames names."""

import json

from isolated import python

from pysframe import engine as engines

MEBIBYTE = 1 << 20

# In a process of its own, so that nothing else grows there. The frames of a call are made before
# it, in memory that is there already; the process has seen one flood before it is measured.
FLOOD = """
import json, os
import numpy
from pysframe import FrameBatch, MLSLayout, SenderKeyLayout, engine

engine = engine.bind({name!r})
ROWS, SIZE = 1000, 1 + 8 + 1 + 30 + 16

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

def receivers():
    plain, ratcheting, grouped, anybody = (engine.Receiver(4) for _ in range(4))
    plain.add_key(7, bytes(16))
    ratcheting.add_sender_key(5, bytes(16), layout=SenderKeyLayout(8))
    grouped.add_epoch(3, bytes(16), layout=MLSLayout(E=4, S=10), senders=64)
    anybody.add_epoch(3, bytes(16), layout=MLSLayout(E=4, S=10))
    return plain, ratcheting, grouped, anybody

rows = numpy.zeros((ROWS, SIZE), dtype=numpy.uint8)
rows[:, 0] = 0xF8                                  # eight bytes of KID, one of CTR
rows[:, 9] = 0x80
batch = FrameBatch(rows, [SIZE * row for row in range(ROWS)], [SIZE] * ROWS)
kids = iter(range(1 << 60, 1 << 62, ROWS))

def flood(receiver, frames):
    for _ in range(frames // ROWS):
        block = numpy.arange(ROWS, dtype=numpy.uint64) + numpy.uint64(next(kids))
        rows[:, 1:9] = block.astype(">u8")[:, None].view(numpy.uint8)
        statuses = set(engine.unprotect_batch(receiver, batch).status)
        assert statuses <= {{2, 3}}, statuses
        {also}

parties, seen = receivers(), []
for receiver in parties:
    flood(receiver, {warm})
    receiver.key_flow(now=1.0)
before = resident()
for number, receiver in enumerate(parties):
    flood(receiver, {frames} // 4)
    receiver.key_flow(now=2.0 + number)
print(json.dumps([resident() - before, next(kids) - (1 << 60)]))
"""


def growth(engine, frames, warm, also="pass"):
    """(bytes of memory that a flood of so many distinct KIDs left behind, KIDs)"""
    done = python(FLOOD.format(name=engine.name, frames=frames, warm=warm, also=also))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_flood_of_unknown_kids(engine, by_tier, figure):
    native = engine.name.startswith("native")
    frames = by_tier(1_000_000, 1_000_000, 10_000_000) if native else by_tier(9000, 60_000, 200_000)
    grown, kids = growth(engine, frames, by_tier(2000, 20_000, 20_000))
    figure(f"{kids} distinct KIDs, memory grew by {grown / MEBIBYTE:.2f} MiB")
    assert kids > frames
    assert grown < MEBIBYTE


def test_a_receiver_that_remembers_every_kid_is_noticed():
    """The seeded fault: 200 bytes for each KID."""
    assert (
        growth(engines.default(), 9000, 1000, "seen.extend(bytes(167) for _ in range(ROWS))")[0]
        > MEBIBYTE
    )
