"""The result of a call: rows for a table, a sentence for each party, one JSON object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .expectations import Finding
from .listening import Ear
from .parties import SUITE, TICK_S, Latency, Member, Talker, quantile_us
from .stage import Stage

COLUMNS = ("", "in", "out", "key flow", "protect us", "unprotect us")
SHOWN = 21  # the latest digits of a stream, on the screen
SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
QUANTILES = "  p50   p99   max"


def rows(stage: Stage) -> list[tuple[str, ...]]:
    """One row of COLUMNS for each party."""
    passed = sum(stage.forwarder.passed.values())
    taken = sum(talker.frames_out for talker in stage.talkers)
    lines = {m.name: _row(m) for m in stage.members}
    lines["forwarder"] = ("forwarder", str(taken), str(passed), "no keys", "", "")
    return [lines[name] for name in stage.names]


def _row(member: Member) -> tuple[str, ...]:
    out = str(member.frames_out) if isinstance(member, Talker) else ""
    latencies = (latency_words(member.protect), latency_words(member.unprotect))
    return (member.name, str(member.frames_in), out, flow_words(member), *latencies)


def flow_words(member: Member) -> str:
    """The state of the key in use, and its KID."""
    if not member.states:
        return "waiting"
    newest = member.order[-1] if member.order else None
    kid = newest if newest in member.states else list(member.states)[-1]
    shown = "" if kid is None else f"{kid} "
    return shown + member.states[kid][-1].value


def latency_words(latency: Latency) -> str:
    """p50, p99 and maximum in microseconds, aligned with QUANTILES."""
    if not latency.wall_ns:
        return ""
    p50, p99, top = (quantile_us(latency.wall_ns, share) for share in SHARES.values())
    return f"{_us(p50):>5} {_us(p99):>5} {_us(top):>5}"


def _us(microseconds: float) -> str:
    return f"{microseconds:.{0 if microseconds >= 100 else 1}f}"


def hears(stage: Stage, name: str) -> list[str]:
    """What the party understands: a line for each stream."""
    taps = stage.taps.get(name)
    if taps:
        digits = "".join(tap.digits for tap in taps.values())
        return [spaced(digits) if digits else "noise: no digit in it"]
    member = next(m for m in stage.members if m.name == name)
    return [
        f"{_speaker(stage, ssrc):9} {spaced(ear.reader.digits[-SHOWN:]) or _seconds(ear)}"
        for ssrc, ear in member.ears.items()
    ]


def _speaker(stage: Stage, ssrc: int) -> str:
    return next(talker.name for talker in stage.talkers if talker.ssrc == ssrc)


def _seconds(ear: Ear) -> str:
    return f"{len(ear.played) * TICK_S:.1f} s" if ear.played else ""


def spaced(digits: str) -> str:
    """Digits in groups of three."""
    return " ".join(digits[i : i + 3] for i in range(0, len(digits), 3))


def sentences(stage: Stage) -> list[tuple[str, str]]:
    """(party, what it could and could not hear), in sentences."""
    publisher, agent, subscriber = stage.publisher, stage.agent, stage.subscriber
    spoke = f"spoke {spaced(stage.digits)}" if stage.digits else f"played {stage.speech_s:.1f} s"
    answer = f"answered {spaced(agent.answer)} under its own key" if agent.answer else "no answer"
    return [
        (publisher.name, f"{spoke}, then {_heard(stage, publisher)}"),
        (agent.name, f"{_heard(stage, agent)}; {answer}"),
        (subscriber.name, _heard(stage, subscriber)),
        *((name, _overheard(stage, name)) for name in stage.taps),
    ]


def _heard(stage: Stage, member: Member) -> str:
    heard = []
    for ssrc, ear in member.ears.items():
        what = spaced(ear.reader.digits) or _seconds(ear) or "nothing"
        heard.append(f"{what} from the {_speaker(stage, ssrc)}")
    return f"heard {' and '.join(heard)}"


def _overheard(stage: Stage, name: str) -> str:
    taps = stage.taps[name].values()
    tried, played = sum(t.tried for t in taps), sum(t.played for t in taps)
    digits = "".join(t.digits for t in taps)
    likeness = max(t.likeness for t in taps)
    return (
        f"{_opened(stage, name)} and heard {spaced(digits) or 'noise'}: Opus played {played} of "
        f"{tried} tries, {'DIGITS' if digits else 'no digit'} in it, likeness to the speech "
        f"{likeness:.2f}"
    )


def _opened(stage: Stage, name: str) -> str:
    if name == "forwarder":
        return f"passed on {sum(stage.forwarder.passed.values())} packets"
    member = next(m for m in stage.outsiders if m.name == name)
    return f"opened {len(member.order)} of {member.frames_in} frames"


def network(stage: Stage) -> str:
    """What the network did, in one line."""
    fates = {fate: 0 for fate in ("lost", "twice", "late")}
    for (fate, _leg), count in stage.forwarder.fates.items():
        fates[fate] += count
    return f"{fates['lost']} packets lost, {fates['twice']} sent twice, {fates['late']} late"


def interruptions(stage: Stage, budget_us: float) -> str:
    """A note when p99 by the clock exceeds a budget that p99 of processor time meets."""
    worst = max(
        quantile_us(latency.wall_ns, SHARES["p99"])
        for member in stage.keyed
        for latency in (member.protect, member.unprotect)
    )
    if worst <= budget_us:
        return ""
    return f"by the clock p99 reached {_us(worst)} us: other processes ran in the middle of calls"


# ---- JSON ----


def as_json(stage: Stage, findings: Iterable[Finding], **about: Any) -> dict[str, Any]:
    """The whole call as one JSON object; about: facts that only the caller knows."""
    findings = list(findings)
    fates = {f"{fate} from {leg}": n for (fate, leg), n in stage.forwarder.fates.items()}
    return {
        **about,
        "suite": SUITE.name,
        "seconds": round(stage.now, 2),
        "spoken": stage.digits or None,
        "answered": stage.agent.answer or None,
        "kids": {talker.name: talker.kids for talker in stage.talkers},
        "forwarder": {"passed": dict(stage.forwarder.passed), "fates": fates},
        "parties": {m.name: _member_json(m) for m in stage.members},
        "overheard": {name: _taps_json(stage, name) for name in stage.taps},
        "expectations": [
            {"says": f.says, "holds": f.holds, "instead": list(f.instead)} for f in findings
        ],
    }


def _member_json(member: Member) -> dict[str, Any]:
    return {
        "frames_in": member.frames_in,
        "frames_out": member.frames_out,
        "opened": len(member.order),
        "rejected": {status.name: n for status, n in member.rejected.items()},
        "key_flow": {str(kid): [s.name for s in seen] for kid, seen in member.states.items()},
        "protect_us": _latency_json(member.protect),
        "unprotect_us": _latency_json(member.unprotect),
        "heard": {
            f"{ssrc:#010x}": {
                "digits": ear.reader.digits,
                "frames": len(ear.played),
                "likeness": round(ear.likeness.value, 4),
            }
            for ssrc, ear in member.ears.items()
        },
    }


def _taps_json(stage: Stage, name: str) -> dict[str, Any]:
    taps = stage.taps[name].values()
    return {
        "tried": sum(tap.tried for tap in taps),
        "played": sum(tap.played for tap in taps),
        "digits": "".join(tap.digits for tap in taps),
        "likeness": round(max(tap.likeness for tap in taps), 4),
    }


def _latency_json(latency: Latency) -> dict[str, float] | None:
    if not latency.wall_ns:
        return None
    wall = {name: quantile_us(latency.wall_ns, share) for name, share in SHARES.items()}
    return {**wall, "p99_cpu": quantile_us(latency.cpu_ns, SHARES["p99"])}
