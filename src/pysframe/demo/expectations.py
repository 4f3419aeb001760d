"""What must hold for a call, as data, and what held for this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .. import FrameStatus, KeyState
from .listening import replay
from .parties import Member, quantile_us
from .stage import Stage

# Over half a second, noise reaches 0.15, and the same sound with gaps falls to 0.87; over ten
# seconds they are at 0.01 and 0.99.
UNLIKE, ALIKE = 0.3, 0.7

BAD_STATES = {
    KeyState.MISSING_KEY,
    KeyState.WRONG_KEY,
    KeyState.STALE_KEY,
    KeyState.NOT_SFRAME,
}

Check = Callable[[Stage, float], Iterator[str]]


@dataclass(frozen=True)
class Expectation:
    """A sentence, and a check that yields its contradictions (budget in microseconds)."""

    says: str
    contradictions: Check


@dataclass(frozen=True)
class Finding:
    """An expectation and the observed contradictions; empty when it holds."""

    says: str
    instead: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.instead


def judge(stage: Stage, budget_us: float) -> list[Finding]:
    """All expectations of this kind of call, in order."""
    wanted = (*(DIGITS if stage.digits else ()), *ALWAYS)
    return [
        Finding(e.says.format(budget_us), tuple(e.contradictions(stage, budget_us))) for e in wanted
    ]


# ---- with the key ----


def _digits(stage: Stage, _budget: float) -> Iterator[str]:
    for member in (stage.agent, stage.subscriber):
        read = member.ears[stage.publisher.ssrc].reader.digits
        if read != stage.digits:
            yield f"{member.name} read {read or 'nothing'}, not {stage.digits}"


def _answer(stage: Stage, _budget: float) -> Iterator[str]:
    if not stage.agent.answer:
        yield "the agent did not answer"
    for member in (stage.publisher, stage.subscriber):
        read = member.ears[stage.agent.ssrc].reader.digits
        if read != stage.agent.answer:
            yield f"{member.name} read {read or 'nothing'}, not {stage.agent.answer or '?'}"


def _bit_exact(stage: Stage, _budget: float) -> Iterator[str]:
    for member in stage.keyed:
        for ssrc, ear in member.ears.items():
            clear = replay(stage.voices[ssrc].frames, ear.played)
            if not ear.played:
                yield f"{member.name} played no frame of stream {ssrc:#x}"
            elif ear.fingerprint.hexdigest() != clear or ear.likeness.value < ALIKE:
                yield f"{member.name} played something else than stream {ssrc:#x} said"


def _all_open(stage: Stage, _budget: float) -> Iterator[str]:
    forwarder = stage.forwarder
    for member in stage.keyed:
        legs = [talker.name for talker in stage.talkers if talker is not member]
        passed = sum(forwarder.passed[leg] for leg in legs)
        twice = sum(forwarder.fates["twice", leg] for leg in legs)
        refused = {k: n for k, n in member.rejected.items() if n}
        if len(member.order) != passed - twice or refused != ({_REPLAYED: twice} if twice else {}):
            words = ", ".join(f"{n} {k.name}" for k, n in refused.items()) or "none refused"
            yield f"{member.name} opened {len(member.order)} of {passed - twice} ({words})"


def _rotation(stage: Stage, _budget: float) -> Iterator[str]:
    old, *new = stage.publisher.kids
    if not new:
        yield "the publisher never rotated its key"
        return
    for member in (stage.agent, stage.subscriber):
        kids = [kid for kid in member.order if kid in (old, *new)]
        if new[0] not in kids:
            yield f"{member.name} opened nothing under the new key"
        elif old not in kids[kids.index(new[0]) :]:
            yield f"{member.name} saw no old-key frame after the first new-key frame"


def _flowing(stage: Stage, _budget: float) -> Iterator[str]:
    for member in stage.keyed:
        for kid, states in member.states.items():
            bad = [state.name for state in states if state in BAD_STATES]
            if bad or KeyState.FLOWING not in states:
                yield f"{member.name}: KID {kid} was {', '.join(bad) or 'never FLOWING'}"


# ---- without it ----


def _kept_out(stage: Stage, _budget: float) -> Iterator[str]:
    reasons = (FrameStatus.UNKNOWN_KEY, FrameStatus.AUTHENTICATION_FAILED)
    states = (KeyState.MISSING_KEY, KeyState.WRONG_KEY)
    for member, reason, state in zip(stage.outsiders, reasons, states, strict=True):
        if member.order:
            yield f"{member.name} opened {len(member.order)} frames"
        if member.rejected[reason] != member.frames_in:
            yield f"{member.name}: {_counted(member)}, not {member.frames_in} {reason.name}"
        if not any(state in seen for seen in member.states.values()):
            yield f"{member.name} was not told {state.name}"


def _counted(member: Member) -> str:
    return ", ".join(f"{n} {k.name}" for k, n in member.rejected.items()) or "nothing refused"


def _unread(stage: Stage, _budget: float) -> Iterator[str]:
    for name, taps in stage.taps.items():
        for tap in taps.values():
            if tap.digits:
                yield f"{name} read {tap.digits}"


def _unlike(stage: Stage, _budget: float) -> Iterator[str]:
    for name, taps in stage.taps.items():
        for tap in taps.values():
            if tap.likeness > UNLIKE:
                yield f"what {name} heard has a likeness of {tap.likeness:.2f}"


# ---- conditions ----


def _rough(stage: Stage, _budget: float) -> Iterator[str]:
    leg = stage.publisher.name
    if stage.publisher.frames_out >= 50:
        for fate in ("lost", "twice", "late"):
            if not stage.forwarder.fates[fate, leg]:
                yield f"no packet was {fate}"


def _in_time(stage: Stage, budget: float) -> Iterator[str]:
    for member in stage.keyed:
        for verb, latency in (("protect", member.protect), ("unprotect", member.unprotect)):
            p99 = quantile_us(latency.cpu_ns, 0.99)
            if p99 > budget:
                yield f"{member.name}: {verb} took {p99:.1f} us at p99"


_REPLAYED = FrameStatus.REPLAYED

DIGITS = (Expectation("agent and subscriber read every digit that the publisher spoke", _digits),)

ALWAYS = (
    Expectation("publisher and subscriber read the agent's answer", _answer),
    Expectation("everyone with the key hears each stream bit for bit", _bit_exact),
    Expectation("every forwarded frame opens once, every second copy is refused", _all_open),
    Expectation("old and new key interleave around the rotation", _rotation),
    Expectation("every key is FLOWING for those who have it", _flowing),
    Expectation("without the right key no frame opens, and key flow says why", _kept_out),
    Expectation("the digit reader reads no digit in ciphertext", _unread),
    Expectation("what ciphertext sounds like is unlike what was said", _unlike),
    Expectation("the network lost, repeated and delayed packets", _rough),
    Expectation("p99 of protect and unprotect stays within {:g} us of processor time", _in_time),
)
