"""The parties of the call.

Rules of this file:
  1. Parties exchange bytes only: RTP packets through the forwarder, key messages beside it.
  2. Time comes in as ticks of 20 ms; nothing here waits or prints.
  3. Each party counts for itself. What it counted is the evidence that expectations.py judges.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns

from .. import CipherSuite, FrameRejected, FrameStatus, Header, KeyState, Receiver, Sender
from .digits import Samples, frames_of, silence, speak
from .listening import Ear, Eavesdropper
from .opus import OpusDecoder, OpusEncoder
from .rtp import Packet

SUITE = CipherSuite.AES_128_GCM_SHA256_128
OVER = 5  # empty frames that mean "over"; the network may lose some
OVERLAP = 25  # frames after a rotation during which the old and the new key alternate
GRACE = 10  # further frames before the old key is dropped
PAUSE = 10  # ticks between the end of speech and the answer
GIVE_UP = 75  # ticks that the publisher waits for an answer
TICK_S = 0.02

_KID = struct.Struct("!Q")


class Latency:
    """The duration of each call in nanoseconds: by the clock, and in processor time.

    On a busy machine the clock also counts what other processes do in the middle of a call.
    """

    def __init__(self) -> None:
        self.wall_ns: list[int] = []
        self.cpu_ns: list[int] = []

    def time(self, call: Callable[[bytes], bytes], argument: bytes) -> bytes:
        """Runs the call and records it unless it raises."""
        cpu = thread_time_ns()
        wall = perf_counter_ns()
        result = call(argument)
        self.wall_ns.append(perf_counter_ns() - wall)
        self.cpu_ns.append(thread_time_ns() - cpu)
        return result


def quantile_us(ns: list[int], share: float) -> float:
    """A quantile in microseconds: 0.5 the median, 1 the slowest; 0 when nothing was measured."""
    return sorted(ns)[int(share * (len(ns) - 1))] / 1000 if ns else 0.0


class Voice:
    """A microphone, and the referee's record: clear Opus frames and their sound, by seq."""

    def __init__(self) -> None:
        self.frames: dict[int, bytes] = {}
        self.sounds: dict[int, Samples] = {}
        self._encoder, self._decoder = OpusEncoder(), OpusDecoder()

    def encode(self, seq: int, pcm: Samples) -> bytes:
        frame = self._encoder.encode(pcm)
        sound = self._decoder.decode(frame)
        self.frames[seq] = frame
        self.sounds[seq] = silence(1) if sound is None else sound
        return frame


class Member:
    """A listener: unprotects every packet and plays what opens, with one Ear for each stream."""

    def __init__(self, name: str, ears: dict[int, Ear]) -> None:
        self.name, self.ears = name, ears
        self.receiver = Receiver(SUITE)
        self.frames_in = self.frames_out = 0
        self.order: list[int] = []  # KIDs in the order in which their frames were opened
        self.rejected: Counter[FrameStatus] = Counter()
        self.states: dict[int | None, list[KeyState]] = {}  # as key_flow reported them
        self.protect, self.unprotect = Latency(), Latency()

    def learn(self, message: bytes) -> None:
        """Handles a key message: a KID in 8 bytes, then its base_key, or nothing to drop it."""
        (kid,) = _KID.unpack_from(message)
        if len(message) > _KID.size:
            self.receiver.add_key(kid, message[_KID.size :])
        else:
            self.receiver.remove_key(kid)

    def receive(self, packet: bytes) -> None:
        ssrc, seq, payload = Packet.parse(packet)
        self.frames_in += 1
        try:
            frame = self.unprotect.time(self.receiver.unprotect, payload)
        except FrameRejected as error:
            self.rejected[error.status] += 1
        else:
            self.order.append(Header.parse(payload).kid)
            self.ears[ssrc].push(seq, frame)

    def poll(self, now: float) -> list[tuple[int | None, KeyState]]:
        """Polls the key flow; returns the KIDs whose state has changed."""
        changed = []
        for kid, flow in self.receiver.key_flow(now).items():
            states = self.states.setdefault(kid, [])
            if not states or states[-1] is not flow.state:
                states.append(flow.state)
                changed.append((kid, flow.state))
        return changed

    def finish(self) -> None:
        for ear in self.ears.values():
            ear.finish()

    @property
    def level(self) -> float:
        return max((ear.level for ear in self.ears.values()), default=0.0)


class Talker(Member):
    """A member that also speaks, with its own key, which it can change while speaking."""

    def __init__(
        self, name: str, ears: dict[int, Ear], voice: Voice, *, kid: int, ssrc: int
    ) -> None:
        super().__init__(name, ears)
        self.voice, self.ssrc = voice, ssrc
        self.key_messages: list[bytes] = []  # to be delivered before the next packet
        self.kids: list[int] = []
        self._script: deque[Samples | None] = deque()  # 20 ms each; None says "over"
        self._seq, self._rotate_at = 0, -1
        self._old: Sender | None = None
        self._since_rotation = 0  # frames
        self._take_key(kid)

    def start(self, pcm: Samples, *, rotate: bool = False) -> None:
        """Speaks these samples; with rotate, under a new key from halfway on."""
        frames = frames_of(pcm)
        self._rotate_at = len(frames) // 2 if rotate else -1
        self._script.extend(frames)
        self._script.extend([None] * OVER)

    @property
    def speaking(self) -> bool:
        return bool(self._script)

    @property
    def on_air(self) -> bool:
        """Whether more packets will follow."""
        return self.speaking

    def tick(self) -> list[bytes]:
        """The packets of these 20 ms: one, or none while silent."""
        if not self.on_air:
            return []
        if self._seq == self._rotate_at:
            self._rotate()
        pcm = self._script.popleft() if self._script else silence(1)
        frame = b"" if pcm is None else self.voice.encode(self._seq, pcm)
        packet = Packet(self.ssrc, self._seq, self.seal(frame)).encode()
        self._seq += 1
        self.frames_out += 1
        return [packet]

    def seal(self, frame: bytes) -> bytes:
        """The wire format of a clear frame."""
        return self.protect.time(self._sender_in_turn().protect, frame)

    # ---- keys ----

    def _take_key(self, kid: int) -> None:
        base_key = SUITE.generate_base_key()
        self.sender = Sender(SUITE, kid=kid, base_key=base_key, next_ctr=0)
        self.kids.append(kid)
        self.key_messages.append(_KID.pack(kid) + base_key)

    def _rotate(self) -> None:
        self._old, self._since_rotation = self.sender, 0
        self._take_key(self.sender.kid + 1)

    def _sender_in_turn(self) -> Sender:
        """Alternates old and new key during the overlap, as when several encoders switch over; the
        old key is dropped everywhere once its last frames have had time to arrive."""
        if self._old is None:
            return self.sender
        self._since_rotation += 1
        if self._since_rotation == OVERLAP + GRACE:
            self.key_messages.append(_KID.pack(self._old.kid))
            self._old.close()
            self._old = None
        elif self._since_rotation <= OVERLAP and self._since_rotation % 2 == 0:
            return self._old
        return self.sender


class Publisher(Talker):
    """Speaks, waits for the answer with an open microphone, and hangs up after it."""

    _waited = _heard = 0  # ticks without a new frame; frames heard so far
    _hung_up = False

    @property
    def on_air(self) -> bool:
        return not self._hung_up

    def tick(self) -> list[bytes]:
        heard = sum(len(ear.played) for ear in self.ears.values())
        self._waited = 0 if self.speaking or heard > self._heard else self._waited + 1
        self._heard = heard
        over = any(ear.over for ear in self.ears.values())
        self._hung_up = not self.speaking and (over or self._waited >= GIVE_UP)
        return super().tick()


class Agent(Talker):
    """Listens until the speaker says "over", then answers what it understood."""

    answer = ""
    _pause = PAUSE

    def tick(self) -> list[bytes]:
        if not self.answer and any(ear.over for ear in self.ears.values()):
            self._pause -= 1
            if not self._pause:
                self.answer = self._think()
                self.start(speak(self.answer))
        return super().tick()

    def _think(self) -> str:
        """The digits it heard, in reverse; for other audio, the number of frames it played."""
        (ear,) = self.ears.values()
        return ear.reader.digits[::-1] or str(len(ear.played))


class Outsider(Member):
    """Gets every packet but no valid key, and listens to the ciphertext all the same."""

    def __init__(self, name: str, ears: dict[int, Ear], taps: dict[int, Eavesdropper]) -> None:
        super().__init__(name, ears)
        self.taps = taps

    def receive(self, packet: bytes) -> None:
        super().receive(packet)
        ssrc, seq, payload = Packet.parse(packet)
        self.taps[ssrc].push(seq, payload)

    def finish(self) -> None:
        super().finish()
        for tap in self.taps.values():
            tap.finish()

    @property
    def level(self) -> float:
        return max([super().level, *(tap.level for tap in self.taps.values())])
