"""What a call came to: rows for the table, a sentence for each party, one JSON object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._parties import SUITE, Latency, Member, Talker, quantile_us
from ._stage import Stage
from ._verdict import Finding

COLUMNS = ("", "in", "out", "key flow", "protect us", "unprotect us")
SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
QUANTILES = "  p50   p99    max"


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
    return f"{p50:5.1f} {p99:5.1f} {top:6.1f}"


def hears(stage: Stage, name: str) -> str:
    """What the party can read in what it hears, in a few words."""
    taps = stage.taps.get(name)
    if taps:
        digits = "".join(tap.digits for tap in taps.values())
        return spaced(digits) if digits else "noise: no digit in it"
    member = next(m for m in stage.members if m.name == name)
    parts = [_stream(stage, ssrc, ear.reader.digits) for ssrc, ear in member.ears.items()]
    return "   ".join(part for part in parts if part)


def _stream(stage: Stage, ssrc: int, digits: str) -> str:
    speaker = next(talker for talker in stage.talkers if talker.ssrc == ssrc)
    return f"{speaker.name} {spaced(digits)}" if digits else ""


def spaced(digits: str) -> str:
    """Digits in groups of three."""
    return " ".join(digits[i : i + 3] for i in range(0, len(digits), 3))


def sentences(stage: Stage) -> list[tuple[str, str]]:
    """(party, what it could and could not hear), for people."""
    agent, seconds = stage.agent, len(stage.publisher.voice.frames) * 0.02
    said = f"the digits {spaced(stage.digits)}" if stage.digits else "the named audio"
    answered = f"and answered {spaced(agent.answer)}" if agent.answer else "and did not answer"
    lines = [
        ("publisher", f"spoke {said} ({seconds:.1f} s); {_heard(stage, stage.publisher)}"),
        ("agent", f"{_heard(stage, agent)} {answered} under its own key"),
        ("subscriber", _heard(stage, stage.subscriber)),
    ]
    return [*lines, *((name, _overheard(stage, name)) for name in stage.taps)]


def _heard(stage: Stage, member: Member) -> str:
    parts = []
    for ssrc, ear in member.ears.items():
        speaker = next(talker for talker in stage.talkers if talker.ssrc == ssrc)
        digits = f"read {spaced(ear.reader.digits)}" if ear.reader.digits else "heard no digits"
        parts.append(f"{digits} from the {speaker.name} (likeness {ear.likeness.value:.2f})")
    return ", ".join(parts)


def _overheard(stage: Stage, name: str) -> str:
    taps = stage.taps[name].values()
    tried, accepted = sum(t.tried for t in taps), sum(t.accepted for t in taps)
    digits = "".join(t.digits for t in taps)
    likeness = max(t.likeness for t in taps)
    read = f"READ {spaced(digits)}" if digits else "read no digit"
    return (
        f"{_opened(stage, name)}; Opus played {accepted} of {tried} tries on the ciphertext, "
        f"the same reader {read} in them (likeness {likeness:.2f})"
    )


def _opened(stage: Stage, name: str) -> str:
    if name == "forwarder":
        return f"passed on {sum(stage.forwarder.passed.values())} packets of bytes"
    member = next(m for m in stage.outsiders if m.name == name)
    return f"opened {len(member.order)} of {member.frames_in} frames"


def network(stage: Stage) -> str:
    """What the network did, in one line."""
    fates = {fate: 0 for fate in ("lost", "twice", "late")}
    for (fate, _leg), count in stage.forwarder.fates.items():
        fates[fate] += count
    return f"{fates['lost']} packets lost, {fates['twice']} sent twice, {fates['late']} late"


# ---- for machines ----


def as_json(stage: Stage, findings: Iterable[Finding], **about: Any) -> dict[str, Any]:
    """The whole call as one JSON object; about: what only the caller knows."""
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
        "played": sum(tap.accepted for tap in taps),
        "digits": "".join(tap.digits for tap in taps),
        "likeness": round(max(tap.likeness for tap in taps), 4),
    }


def _latency_json(latency: Latency) -> dict[str, float] | None:
    if not latency.wall_ns:
        return None
    wall = {name: quantile_us(latency.wall_ns, share) for name, share in SHARES.items()}
    return {**wall, "p99_cpu": quantile_us(latency.cpu_ns, SHARES["p99"])}
