"""Every engine does what the twin does: random calls on both, outcome by outcome.

The twin is the specification in Python. What is compared: bytes returned and written, the kind
of every error, the KID and counter it names, counters, block meters and statistics.
"""

import pytest
from parties import LAST_CTR, options

from pysframe import FrameBatch, FrameRejected, Header, MalformedFrame, MLSLayout
from pysframe import engine as engines
from pysframe.engine.twin import _registry, _sender

SESSIONS = 25
STEPS = 60
LAYOUT = MLSLayout(E=4, S=6)
SIZES = (0, 1, 15, 16, 17, 47, 49, 50, 51, 160, 300)
LONG = (163839, 163840, 170_000)  # from 163840 bytes on the native engine lets go of the GIL
COUNTS = (0, 1, 2, 3, 5, 6, 7, 63, 64, 65, 130)


@pytest.fixture
def reference(engine, monkeypatch):
    """The twin, over the other provider when the engine is itself a twin."""
    names = [name for name in engines.available() if name.startswith("fallback")]
    others = [name for name in names if name != engine.name]
    return engines.bind((others or names)[0])


def outcome(call):
    """What a call returned, or the kind of its error and the frame that it names."""
    try:
        return "returned", call()
    except MalformedFrame:
        return ("MalformedFrame",)
    except FrameRejected as error:
        return type(error).__name__, error.kid, error.ctr
    except Exception as error:
        return (type(error).__name__,)


def contents(batch: FrameBatch):
    columns = batch.kid, batch.ctr, batch.lengths, batch.status
    return batch.to_list(), [column.tolist() for column in columns]


def leftovers(batch: FrameBatch) -> set[int]:
    """The bytes in the data of a batch beside its rows; how much room a malformed row has, and
    leaves as zeros, is the engine's own affair."""
    data = bytearray(batch.data)
    for start, size in zip(batch.offsets, batch.lengths, strict=True):
        data[start : start + size] = bytes(size)
    return set(data)


class Session:
    """One sender and one receiver of the same key, on both engines at once."""

    def __init__(self, engine, reference, rng, monkeypatch) -> None:
        self.rng = rng
        self.wires: list[tuple[bytes, bytes, int]] = []  # ciphertext, metadata, clear
        self.suite, self.base_key = rng.randrange(1, 9), rng.randbytes(rng.choice((16, 32, 64)))
        self.kid = LAYOUT.pack(5, rng.randrange(12), rng.choice((0, 1, 2**40)))
        next_ctr = rng.choice((0, 5, 250, 65530, 2**32 - 3, LAST_CTR - 7))
        max_frame = rng.choice((50, 1 << 16, 1 << 17))
        receiving = {
            "replay_window": rng.choice((0, 1, 2, 63, 64, 100, 1024)),
            "strict": rng.random() < 0.7,
        }
        by_epoch, roster = rng.random() < 0.5, rng.choice((None, 10))
        self.sides = []
        for side in (engine, reference):
            # Two twins share a registry, which would rightly refuse the second sender.
            monkeypatch.setattr(_sender, "SENDERS", _registry.SenderRegistry())
            common = options(self.suite) | {"max_frame": max_frame}
            receiver = side.Receiver(self.suite, **receiving, **common)
            if by_epoch:
                receiver.add_epoch(5, self.base_key, layout=LAYOUT, senders=roster)
            else:
                receiver.add_key(self.kid, self.base_key)
            key = {"kid": self.kid, "base_key": self.base_key, "next_ctr": next_ctr}
            self.sides.append((side, side.Sender(self.suite, **key, **common), receiver))

    def both(self, what, call):
        """call(engine, sender, receiver) on both sides; returns the outcome they agree on."""
        found, wanted = (outcome(lambda side=side: call(*side)) for side in self.sides)
        assert found == wanted, what
        return found

    def step(self) -> None:
        steps = {
            self.protect: 30, self.protect_into: 8, self.protect_many: 5, self.protect_batch: 5,
            self.unprotect: 20, self.unprotect_into: 20, self.unprotect_in_place: 6,
            self.unprotect_many: 6, self.unprotect_batch: 8, self.raise_blocks: 1,
        }  # fmt: skip
        self.rng.choices([*steps], [*steps.values()])[0]()
        self.both("next_ctr", lambda _engine, sender, _receiver: sender.next_ctr)
        self.both("blocks", lambda _engine, sender, _receiver: sender.blocks)
        self.both("stats", lambda _engine, _sender, receiver: statistics(receiver))

    # ---- sending ----

    def frame(self) -> tuple[bytes, bytes | None, int]:
        size = self.rng.choice(SIZES if self.rng.random() < 0.95 else LONG)
        metadata = self.rng.choice((b"", b"m", self.rng.randbytes(40), None))
        return self.rng.randbytes(size), metadata, self.rng.choice((0, 0, 0, 1, size, size + 1, -1))

    def protect(self) -> None:
        frame, metadata, clear = self.frame()
        sent = self.both(
            ("protect", len(frame), clear),
            lambda _engine, sender, _receiver: sender.protect(frame, metadata, clear=clear),
        )
        if sent[0] == "returned":
            self.wires.append((sent[1], metadata or b"", clear))

    def protect_into(self) -> None:
        frame, metadata, clear = self.frame()
        room = self.rng.choice((0, len(frame) + 5, len(frame) + 33, 400))

        def call(_engine, sender, _receiver):
            out = bytearray(b"\xa5" * room)
            return outcome(lambda: sender.protect_into(frame, out, metadata, clear=clear)), out

        self.both(("protect_into", len(frame), clear, room), call)

    def frames(self) -> tuple[list[bytes], list[bytes] | bytes | None, list[int] | int | None]:
        longest = self.rng.choice((52, 52, 60, 3000))
        frames = [
            self.rng.randbytes(self.rng.randrange(longest)) for _ in range(self.rng.choice(COUNTS))
        ]
        if self.rng.random() < 0.5:  # plain: columns to columns where the engine has them
            return frames, None, None
        metadata = self.rng.choice((None, b"x", [b"%d" % row for row in range(len(frames))]))
        return frames, metadata, self.rng.choice((None, 0, 1, [0] * len(frames)))

    def keep(self, sent, metadata, clear) -> None:
        """What a batch sent, to be received by later steps."""
        if sent[0] == "returned" and not isinstance(metadata, list) and not isinstance(clear, list):
            self.wires += [(wire, metadata or b"", clear or 0) for wire in sent[1][:20]]

    def protect_many(self) -> None:
        frames, metadata, clear = self.frames()
        sent = self.both(
            ("protect_many", len(frames), clear),
            lambda engine, sender, _receiver: engine.protect_many(sender, frames, metadata, clear),
        )
        self.keep(sent, metadata, clear)

    def protect_batch(self) -> None:
        frames, metadata, clear = self.frames()
        batch, exact = FrameBatch.from_frames(frames), sum(map(len, frames)) + 33 * len(frames)
        room = self.rng.choice((None, None, exact, exact // 2))

        def call(engine, sender, _receiver):
            out = None if room is None else bytearray(b"\xa5" * room)
            sent = outcome(
                lambda: contents(engine.protect_batch(sender, batch, metadata, clear, out))
            )
            return sent, out

        _, (sent, _) = self.both(("protect_batch", len(frames), clear, room), call)
        if sent[0] == "returned":
            self.keep((sent[0], sent[1][0]), metadata, clear)

    def raise_blocks(self) -> None:
        blocks = self.rng.choice((0, (1 << 35) - 1, (1 << 36) - 3))
        self.both("set", lambda _engine, sender, _receiver: sender._raise_blocks(blocks))

    # ---- receiving ----

    def wire(self) -> tuple[bytes, bytes, int]:
        """A ciphertext of this session, as it is or spoiled on its way."""
        wire, metadata, clear = self.rng.choice(self.wires[-20:] or [(b"", b"", 0)])
        spoiled = bytearray(wire)
        match self.rng.randrange(12):
            case 0 | 1 if wire:
                spoiled[self.rng.randrange(len(wire))] ^= 1 << self.rng.randrange(8)
            case 2:
                spoiled = spoiled[: self.rng.randrange(len(wire) + 1)]
            case 3:
                spoiled = bytearray(self.rng.randbytes(self.rng.randrange(60)))
            case 4:
                clear = self.rng.choice((0, 1, len(wire), len(wire) + 1))
            case 5:
                metadata = b"other"
        return bytes(spoiled), metadata, clear

    def unprotect(self) -> None:
        wire, metadata, clear = self.wire()
        self.both(
            ("unprotect", wire.hex(), clear),
            lambda _engine, _sender, receiver: receiver.unprotect(wire, metadata, clear=clear),
        )

    def unprotect_into(self) -> None:
        wire, metadata, clear = self.wire()
        room = self.rng.choice((0, len(wire), 400, max(0, len(wire) - 20)))

        def call(_engine, _sender, receiver):
            out = bytearray(b"\xa5" * room)
            return outcome(lambda: receiver.unprotect_into(wire, out, metadata, clear=clear)), out

        self.both(("unprotect_into", wire.hex(), clear, room), call)

    def unprotect_in_place(self) -> None:
        """Over the ciphertext itself, where its header ends."""
        wire, metadata, clear = self.wire()
        header = self.rng.choice((0, 1, 2, 3, 10, 11, 17))
        if 0 <= clear < len(wire) and self.rng.random() < 0.9:
            header = outcome(lambda: Header.parse(wire[clear:]).size)[-1]

        def call(_engine, _sender, receiver):
            memory = bytearray(wire)
            out = memoryview(memory)[header:] if isinstance(header, int) else memory
            return outcome(
                lambda: receiver.unprotect_into(memory, out, metadata, clear=clear)
            ), memory

        self.both(("unprotect_in_place", wire[:40].hex(), clear, header), call)

    def wires_of_a_batch(self):
        """Rows with all they need; or plain ones, which have columns of their own."""
        rows = [self.wire() for _ in range(self.rng.choice(COUNTS))]
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        wires, metadata, clear = (list(column) for column in columns)
        return (wires, None, None) if self.rng.random() < 0.5 else (wires, metadata, clear)

    def unprotect_many(self) -> None:
        wires, metadata, clear = self.wires_of_a_batch()
        self.both(
            ("unprotect_many", wires, clear),
            lambda engine, _sender, receiver: contents(
                engine.unprotect_many(receiver, wires, metadata, clear)
            ),
        )

    def unprotect_batch(self) -> None:
        wires, metadata, clear = self.wires_of_a_batch()
        batch, size = FrameBatch.from_frames(wires), sum(map(len, wires))
        room = self.rng.choice((None, size))

        def call(engine, _sender, receiver):
            out = None if room is None else bytearray(b"\xa5" * room)
            batches = []

            def unprotected():
                batches.append(engine.unprotect_batch(receiver, batch, metadata, clear, out))
                return contents(batches[0])

            return outcome(unprotected), [leftovers(made) <= {0, 0xA5} for made in batches]

        self.both(("unprotect_batch", len(wires), clear, room), call)


def statistics(receiver):
    malformed, unknown, strangers, keys = receiver._stats()
    return malformed, unknown, strangers, sorted(keys)


def test_every_outcome_is_the_twin_s(engine, reference, rng, monkeypatch):
    for _ in range(SESSIONS):
        session = Session(engine, reference, rng, monkeypatch)
        for _ in range(STEPS):
            session.step()
