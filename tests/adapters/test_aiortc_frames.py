"""What stands before an aiortc decoder, frame by frame: what opens, what is dropped, and why."""

import asyncio
import queue
import threading
from types import SimpleNamespace

import pytest
from adapters.peers import GCM, Film, Tone, to_open
from aiortc import RTCRtpCodecParameters, RTCRtpReceiver
from aiortc.codecs.opus import OpusEncoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpreceiver import decoder_worker
from figures import load
from hypothesis import given
from hypothesis import strategies as st

import pysframe
from pysframe import Header
from pysframe import engine as engines
from pysframe.adapters.aiortc import _private, _receiving
from pysframe.adapters.aiortc._receiving import Incoming, OpenedFrames, is_key_frame
from pysframe.adapters.aiortc._troubles import _WORDS, trouble_in
from pysframe.media import Envelope
from pysframe.source import Keyring, TroubleKind

CODECS = {
    name: RTCRtpCodecParameters(mimeType=name, clockRate=clock, payloadType=number)
    for number, (name, clock) in enumerate(
        {"audio/opus": 48_000, "video/VP8": 90_000, "video/H264": 90_000}.items(), 96
    )
}
KEY, OTHER = bytes(range(16)), bytes(range(1, 17))


class Bench:
    """A receiver's queue without a network, and senders that fill it."""

    def __init__(self, kind="audio", key=KEY):
        transport = SimpleNamespace(state="new")
        self.incoming = Incoming(RTCRtpReceiver(kind, transport), kind)
        self.frames, self.keys, self.time = OpenedFrames(self.incoming), Keyring(), 0
        self.frames.bind(self.keys.scope())
        if key:
            self.keys.apply(to_open(key))

    def put(self, data, codec="audio/opus"):
        self.time += 960
        self.frames.put((CODECS[codec], JitterFrame(data, self.time)))

    def out(self):
        """The data of all that a decoder would be given, to the end."""
        self.frames.put(None)
        found = []
        while (task := self.frames.get()) is not None:
            found.append(task[1].data)
        return found

    @property
    def counts(self):
        return dict(self.incoming.counts)

    @property
    def asks(self):
        return getattr(self.incoming.receiver, _private.DECODER_ERROR).is_set()


@pytest.fixture
def seal(engine):
    """seal(frame, codec, key, kid): what goes on the wire; one sender for each key and KID."""
    senders = {}

    def sealed(frame, codec="audio/opus", key=KEY, kid=300):
        if (key, kid) not in senders:
            senders[key, kid] = engine.Sender(GCM, kid=kid, base_key=key, next_ctr=0)
        return Envelope(codec).seal(senders[key, kid], frame)

    yield sealed
    for sender in senders.values():
        sender.close()


@pytest.fixture
def bench(engine, monkeypatch):
    """Makes a Bench whose receivers are of this engine. Its keys are new for each test."""
    monkeypatch.setattr(pysframe, "Receiver", engine.Receiver)
    return Bench


@pytest.fixture(autouse=True)
def _keys_of_this_test(rng, monkeypatch):
    """Two senders with one key and KID in one process are refused, so each test has its own."""
    monkeypatch.setitem(globals(), "KEY", rng.randbytes(16))
    monkeypatch.setitem(globals(), "OTHER", rng.randbytes(16))


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_sealed_comes_out(bench, rng, codec):
    here, frames = bench(codec.partition("/")[0], KEY), [rng.randbytes(n) for n in (1, 80, 2000)]
    with pysframe.Sender(GCM, kid=300, base_key=KEY, next_ctr=0) as sender:
        for frame in frames:
            here.put(Envelope(codec).seal(sender, frame), codec)
    assert here.out() == frames and here.counts == {"opened": 3} and here.incoming.ended


def test_each_refusal_has_its_name(bench, seal, rng):
    here = bench(key=KEY)
    sealed = [seal(b"%d" % n, key=KEY) for n in range(9)]
    wrong = [seal(b"%d" % n, key=OTHER) for n in range(9)]
    here.put(sealed[0])
    here.put(sealed[0])  # again
    here.put(seal(b"of another room", key=OTHER, kid=301))
    here.put(wrong[5])
    here.put(sealed[6][:-1] + bytes([sealed[6][-1] ^ 1]))  # forged
    here.put(sealed[7][:5])  # cut short
    here.put(b"\x7f" + bytes(70))  # no header
    here.put(b"")  # padding, DTX
    here.put(sealed[8])
    assert here.out() == [b"0", b"8"]
    assert here.counts == {
        "opened": 2, "replay": 1, "keyID": 1, "authentication": 2, "syntax": 2, "empty": 1,
    }  # fmt: skip


NAMES = {"opened", "late", "replay", "empty", "authentication", "keyID", "syntax"}


def test_before_it_is_bound_nothing_opens(bench, seal):
    here = bench(key=KEY)
    here.incoming.scope = None
    here.put(seal(b"a frame", key=KEY))
    assert here.out() == [] and here.counts == {"unbound": 1}


def test_a_sealed_frame_of_no_bytes_reaches_no_decoder(bench):
    here = bench(key=KEY)
    with pysframe.Sender(GCM, kid=300, base_key=KEY, next_ctr=0) as sender:
        here.put(sender.protect(b""))
    assert here.out() == [] and here.counts == {"opened": 1, "empty": 1}


def test_a_codec_that_changes(bench, seal):
    here = bench("video", KEY)
    here.put(seal(b"\x10 picture", "video/VP8", KEY), "video/VP8")
    here.put(seal(b"\0\0\0\1\x65 picture", "video/H264", KEY), "video/H264")
    here.put(seal(b"\x11 picture", "video/VP8", KEY), "video/H264")  # relabelled on the way
    here.put(seal(b"\x11 picture", "video/VP8", KEY), "video/VP8")
    assert here.out() == [b"\x10 picture", b"\0\0\0\1\x65 picture", b"\x11 picture"]
    assert here.counts == {"opened": 3, "syntax": 1}


def test_pictures_cut_short(bench, seal):
    """aiortc hands on what it has when packets are lost for good."""
    here = bench("video", KEY)
    picture = seal(bytes(3000), "video/H264", KEY)
    for size in (1, 4, 9, 30, 100, 2999):
        here.put(picture[:size], "video/H264")
    here.put(seal(b"\0\0\0\1\x65", "video/H264", KEY), "video/H264")
    assert here.out() == [b"\0\0\0\1\x65"] and here.counts["opened"] == 1
    assert sum(here.counts.values()) == 7


# ---- late keys ----


def test_frames_wait_for_their_key_in_order(bench, seal):
    here, frames = bench(key=None), [b"%d" % n for n in range(100)]
    for frame in frames[:90]:
        here.put(seal(frame, key=KEY))
    drain(here)
    here.keys.apply(to_open(KEY))
    for frame in frames[90:]:
        here.put(seal(frame, key=KEY))
    assert here.out() == frames[90 - _receiving.HELD_FRAMES :]
    assert here.counts["late"] == _receiving.HELD_FRAMES and here.counts["keyID"] == 90


def test_what_waits_in_vain_is_forgotten(bench, seal):
    here = bench(key=None)
    for n in range(90):
        here.put(seal(b"%d" % n, key=KEY))
    assert here.out() == [] and here.counts == {"keyID": 90} and not here.frames._held


def drain(here):
    """Has the queue take what is in it."""
    while here.frames.qsize():
        here.frames._take(super(OpenedFrames, here.frames).get())


def test_what_waits_is_bounded_in_bytes(bench, seal):
    here = bench(key=None)
    for _ in range(20):
        here.put(seal(bytes(1 << 19), key=KEY))
    drain(here)
    assert sum(len(task[1].data) for task in here.frames._held) <= _receiving.HELD_BYTES
    here.keys.apply(to_open(KEY))
    assert len(here.out()) == 7


def test_a_hundred_thousand_kids(engine, bench, seal):
    here, count = bench(key=KEY), 100_000 if engine.name == engines.available()[0] else 10_000
    for kid in range(1000, 1000 + count):
        here.put(Header(kid, 1).encode() + bytes(30))
    here.put(seal(b"a frame", key=KEY))
    assert here.out() == [b"a frame"] and here.counts == {"keyID": count, "opened": 1}
    flows = here.keys.flows(1.0)
    assert sum(map(len, flows.values())) < 100 and len(here.frames._held) == 0


# ---- key frames ----


def test_a_key_frame_is_asked_for_after_a_gap(bench, seal):
    here = bench("video", KEY)
    delta, key = b"\x11 delta", b"\x10 key"
    here.put(seal(delta, "video/VP8", KEY), "video/VP8")
    here.put(seal(key, "video/VP8", KEY), "video/VP8")
    drain(here)
    getattr(here.incoming.receiver, _private.DECODER_ERROR).clear()
    here.put(seal(delta, "video/VP8", OTHER, 302), "video/VP8")
    drain(here)
    assert not here.asks  # a PLI storm would help nobody while no frame opens
    here.put(seal(delta, "video/VP8", KEY), "video/VP8")
    here.frames._asked -= _receiving.KEY_FRAME_EVERY
    drain(here)
    assert here.asks and here.frames._gap
    here.put(seal(key, "video/VP8", KEY), "video/VP8")
    drain(here)
    assert not here.frames._gap


def test_after_a_key_frame_nothing_is_asked(bench, seal):
    here = bench("video", KEY)
    here.put(seal(b"\x10 key", "video/VP8", KEY), "video/VP8")
    here.put(seal(b"\x11 delta", "video/VP8", KEY), "video/VP8")
    assert len(here.out()) == 2 and not here.asks


@pytest.mark.parametrize(("codec", "encoder"), [("VP8", _private.WholeVp8),
                                                ("H264", _private.WholeH264)])  # fmt: skip
def test_key_frames_are_known(codec, encoder):
    encode, film = encoder().encode, Film()
    kinds = [
        is_key_frame(codec, encode(film.frame(n), force_keyframe=n in (0, 3))[0][0])
        for n in range(5)
    ]
    assert kinds == [True, False, False, True, False]


# ---- a real decoder thread ----


def opus_frames(count):
    """Encoded frames of a tone, one for each 20 ms."""
    encoder, tone = OpusEncoder(), Tone()
    encoded = [encoder.encode(tone.frame(n)) for n in range(count + 5)]
    return [payloads[0] for payloads, _ in encoded if payloads][:count]


def decoded(frames, timeout=60):
    """How many frames aiortc's own decoder thread makes of a queue, to its end."""

    async def decode():
        output, failed = asyncio.Queue(), threading.Event()
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=decoder_worker, args=(loop, frames, output, failed))
        thread.start()
        await asyncio.to_thread(thread.join, timeout)
        assert not thread.is_alive()
        await asyncio.sleep(0)
        return output.qsize()

    return asyncio.run(decode())


def test_a_decoder_hears_on_after_everything_bad(bench, seal, rng):
    here = bench(key=KEY)
    for number, frame in enumerate(opus_frames(50)):
        here.put(seal(frame, key=KEY))
        here.put((b"", b"\xff" * 50, rng.randbytes(90), b"\x01")[number % 4])
    here.frames.put(None)
    assert decoded(here.frames) == 50 + 1  # and the end
    assert here.counts["opened"] == 50


def test_an_empty_frame_makes_a_decoder_deaf():
    """The seeded fault: without the rule for empty frames the decoder takes one for the end."""
    plain = queue.Queue()
    for number, frame in enumerate(opus_frames(50)):
        plain.put((CODECS["audio/opus"], JitterFrame(frame if number != 10 else b"", number * 960)))
    plain.put(None)
    assert decoded(plain) < 20


def test_a_fault_of_this_program_costs_a_frame(bench, seal, monkeypatch, caplog):
    """The seeded fault: whatever a call raises, the thread goes on, and the frame is counted."""
    here, opens = bench(key=KEY), Envelope.open
    failing = iter([RuntimeError("secret"), MemoryError(), None])

    def open_or_fail(self, receiver, wire, metadata=b""):
        if (error := next(failing)) is not None:
            raise error
        return opens(self, receiver, wire, metadata)

    monkeypatch.setattr(Envelope, "open", open_or_fail)
    for frame in (b"one", b"two", b"three"):
        here.put(seal(frame, key=KEY))
    assert here.out() == [b"three"] and here.counts == {"error": 2, "opened": 1}
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_in_get_would_end_the_thread(bench):
    """The seeded fault: the thread is gone before the end of the queue, and nobody is told."""

    class Raising(OpenedFrames):
        def get(self, block=True, timeout=None):
            raise RuntimeError

    here = Raising(bench().incoming)
    here.put(None)
    assert decoded(here) == 0


# ---- fuzzed ----

FRAME = st.binary(min_size=1, max_size=60)
KINDS = ["good", "again", "other", "stranger", "garbage", "cut", "flipped", "empty", "key"]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), FRAME, st.sampled_from(list(CODECS))))


class Life:
    """What a network may make of a sender's frames, and which of them may be decoded."""

    def __init__(self):
        key, other = pysframe.suites.urandom(16), pysframe.suites.urandom(16)
        self.here, self.late = Bench(key=key), other
        self.senders = {
            kid: pysframe.Sender(GCM, kid=kid, base_key=secret, next_ctr=0)
            for kid, secret in ((300, key), (301, other), (302, bytes(reversed(other))))
        }
        self.wire, self.sealed, self.frames = b"\x12\0", set(), 0

    def step(self, kind, frame, codec):
        if kind == "key":
            drain(self.here)
            self.here.keys.apply(to_open(self.late, 301))
            return
        self.frames += 1
        self.here.put(self.made(kind, frame, codec), codec)

    def made(self, kind, frame, codec):
        if kind in ("good", "other", "stranger"):
            kid = {"good": 300, "other": 301, "stranger": 302}[kind]
            self.wire = Envelope(codec).seal(self.senders[kid], frame)
            if kid != 302:
                self.sealed.add(frame)
            return self.wire
        flipped = bytes([self.wire[0], *(byte ^ 1 for byte in self.wire[1:])])
        return {
            "again": self.wire, "garbage": frame, "cut": self.wire[: len(frame)],
            "flipped": flipped, "empty": b"",
        }[kind]  # fmt: skip


def check(life):
    """Only what was sealed came out, and each frame was counted under a name."""
    out = life.here.out()
    counts = life.here.counts
    assert set(out) <= life.sealed and len(out) == counts.get("opened", 0)
    assert set(counts) <= NAMES  # no "error"
    late = counts.pop("late", 0)
    assert sum(counts.values()) == life.frames + late


@given(STEPS)
def test_whatever_comes_only_sealed_frames_come_out(steps):
    life = Life()
    for step in steps:
        life.step(*step)
    check(life)
    for sender in life.senders.values():
        sender.close()


def test_the_fuzzed_path_opens(rng):
    """At least a fifth of what is fuzzed must open: this list is half good."""
    life = Life()
    for kind in ("good", "garbage", "other", "key", "other", "cut"):
        life.step(kind, rng.randbytes(20), "audio/opus")
    assert len(life.here.out()) == 3 and life.here.counts["late"] == 1


def test_a_hook_that_lets_garbage_pass_is_seen(monkeypatch, rng):
    """The seeded fault."""
    monkeypatch.setattr(OpenedFrames, "_open", lambda self, task, late=False: (
        self._ready.append(task), True)[1])  # fmt: skip
    life = Life()
    life.step("garbage", rng.randbytes(20), "audio/opus")
    with pytest.raises(AssertionError):
        check(life)


@pytest.mark.parametrize("kind", ["garbage", "stranger", "empty"])
def test_a_frame_that_is_dropped_without_a_count_is_seen(monkeypatch, rng, kind):
    """The seeded fault."""
    for counting in ("refuse", "count"):
        monkeypatch.setattr(Incoming, counting, lambda self, *why: None)
    life = Life()
    life.step(kind, rng.randbytes(20), "audio/opus")
    with pytest.raises(AssertionError):
        check(life)


# ---- what a trouble is called ----


def troubles_of(here, frames, begun=100.0):
    """The kinds that four looks a second would say while such frames come, 50 a second, and in ten
    seconds after the last."""
    kinds, trouble = [], None
    for number in range(len(frames) + 500):
        if number < len(frames):
            here.put(frames[number])
            here.frames._take(here.frames.queue.popleft())
        here.incoming.refused_since, now = begun, begun + number / 50
        if number % 12 == 0:
            trouble = trouble_in(here.incoming, now, here.keys, trouble)
            kinds += [trouble.kind] if trouble else []
    return kinds


def random_after(rng, first, count=150):
    return [bytes([first]) + rng.randbytes(80) for _ in range(count)]


@pytest.mark.parametrize("first", [0x0C, 0x58, 0x78, 0xFC])  # of clear Opus, speech and music
def test_media_in_the_clear_is_never_called_a_missing_or_wrong_key(bench, rng, first):
    kinds = troubles_of(bench(), random_after(rng, first))
    assert len(kinds) > 5 and set(kinds) == {TroubleKind.NOT_SFRAME}


def test_the_words_are_those_of_the_figures():
    """Which web/test/key-flow.test.ts holds the browser's side to."""
    assert {kind.value: words for kind, words in _WORDS.items()} == load("media_in_clear")["words"]


def test_a_sender_without_its_key_is_in_one_trouble_over_all_its_kids(bench, seal):
    sealed = [seal(b"%d" % n, key=OTHER, kid=400 + n // 30) for n in range(150)]
    kinds = troubles_of(bench(), sealed)
    assert len(kinds) > 9 and set(kinds) == {TroubleKind.MISSING_KEY}


def test_a_sender_with_another_key_is_named(bench, seal):
    kinds = troubles_of(bench(), [seal(b"%d" % n, key=OTHER) for n in range(150)])
    assert len(kinds) > 9 and set(kinds) == {TroubleKind.WRONG_KEY}
