"""What goes wrong in a call on purpose, and what a server keeps of it."""

import asyncio
from typing import Any

from call import Call, Counts, opens, seals, sounds
from chromium import Party
from hearing import Tone, decoded, pictures_of, tone_of
from keys import SUITE, Key, new_key
from measures import REFUSALS
from programs import Pion
from seen import audio_frames, vp8_frames
from waiting import until

import pysframe
from pysframe.media import Envelope

REKEYS, REKEYS_TAKE = 16, 8.0  # seconds
AHEAD, OLD_KEYS = 3, 4  # keys that a receiver has before they are used, and keeps


async def clear_media(call: Call, carol: Party) -> None:
    """carol publishes in the clear. bob listens once as to plain WebRTC, and once, as an agent
    does, as to sealed media, with alice's keys."""
    await call.publishes(carol, "carol", None, simulcast=False)
    agent = call.seen.more["agent of clear media"] = call.agent(call.alice_key)
    await call.server.agent_subscribes(agent, "agent-of-carol", "carol")
    await call.server.page_subscribes(call.bob, "bob-carol", "carol", None)
    await call.server.page_subscribes(call.bob, "bob-clear", "carol", "alice")

    async def probe() -> bool:
        counts = (await call.bob.call("counts")).get("bob-clear audio", {})
        return agent.refused("audio") > 100 and sum(counts.values()) > 100

    await until("carol's media in the clear", probe)
    call.seen.counts |= await _bob_counts(call, "bob-clear")


async def nothing_clear(call: Call, dave: Party) -> None:
    """dave seals whole frames, and shows a server nothing of them."""
    key = new_key("dave", 500)
    await seals(dave, key)
    await opens(call.bob, key)
    await call.publishes(dave, "dave", "dave", simulcast=True)
    await call.server.page_subscribes(call.bob, "bob-bare", "dave", "dave")
    widths = call.seen.more["bare widths"] = []
    for largest in (False, True):
        await call.server.layer("bob-bare", largest=largest)
        passed = (await call.bob.call("counts"))["bob-bare audio"]["passed"]
        await until("dave's sound", lambda more=passed + 100: _passes(call, more))
        widths.append((await call.video("bob-bare")).get("frameWidth", 0))
    call.seen.counts |= await _bob_counts(call, "bob-bare")


async def _passes(call: Call, frames: int) -> bool:
    return (await call.bob.call("counts"))["bob-bare audio"]["passed"] >= frames


# ---- rotation ----


async def rekeys(call: Call) -> None:
    """A new KID again and again. Receivers have it two rekeys before it is used, since a busy one
    takes its time, and forget old ones four later."""
    late = call.alice_key._replace(sender="late")
    await opens(call.bob, late)
    await call.server.page_subscribes(call.bob, "bob-late", "alice", "late")
    await until("the late connection", lambda: _late(call))
    first = call.alice_key.kid
    keys = [call.alice_key, *(new_key("alice", first + 1 + n) for n in range(REKEYS))]
    await _give(call, *keys[1:AHEAD])
    before = await _counted(call)
    for number in range(1, REKEYS + 1):
        await _give(call, *keys[number + AHEAD - 1 : number + AHEAD])
        await asyncio.sleep(REKEYS_TAKE / REKEYS)
        await seals(call.alice, keys[number])
        if number >= OLD_KEYS:
            await _take(call, keys[number - OLD_KEYS])
    await asyncio.sleep(0.5)
    call.seen.more["rekeyed"] = _between(before, await _counted(call)) | {
        "keys": REKEYS,
        "tone": await sounds(call.seen.agent.listens, call.seen.spoken),
    }
    call.seen.more["keys"] = keys


async def _late(call: Call) -> bool:
    counts = await call.bob.call("counts")
    return counts.get("bob-late audio", {}).get("passed", 0) > 10


async def _give(call: Call, *keys: Key) -> None:
    for key in keys:
        call.seen.agent.keys.give(key)
        await opens(call.bob, key)


async def _take(call: Call, key: Key) -> None:
    call.seen.agent.keys.take(key)
    await call.bob.call("drop", sender="alice", kid=key.kid)


async def _counted(call: Call) -> dict[str, Any]:
    alice = await call.alice.call("counts")
    bob = await call.bob.call("counts")
    agent = call.seen.agent
    rtp = await call.bob.call("stats", name="bob-alice", type="inbound-rtp")
    audio = next(entry for entry in rtp if entry["kind"] == "audio")
    return {
        "sealed": alice["alice audio"]["passed"],
        "not sealed": sum(alice["alice audio"][name] for name in REFUSALS),
        "opened by bob": bob["bob-alice audio"]["passed"],
        "refused by bob": sum(bob["bob-alice audio"][name] for name in REFUSALS),
        "refused by who got no new key": sum(bob["bob-late audio"][name] for name in REFUSALS),
        "opened by the agent": agent.opened("audio"),
        "refused by the agent": agent.refused("audio"),
        "lost on the way": audio["packetsLost"],
    }


def _between(before: Counts, after: Counts) -> dict[str, Any]:
    return {name: after[name] - before[name] for name in after}


# ---- loss and other abuse, by the SFU ----


async def losses(call: Call, sfu: Pion, packets: int) -> None:
    """The same packets are dropped of alice's sealed sound and of carol's plain sound."""
    call.seen.more["loss"] = {
        f"{percent} %": await _lost(call, sfu, drop=percent, packets=packets) for percent in (1, 5)
    }
    altered = await _lost(call, sfu, drop=5, alter=10, packets=packets // 2)
    call.seen.more["loss"]["altered"] = altered["missed of alice"]


async def _lost(call: Call, sfu: Pion, **how: float) -> dict[str, float]:
    """Of each: packets dropped, and the share of the sound that the browser had to invent."""
    before = {who: await _sound(call, sfu, who) for who in ("alice", "carol")}
    for who in before:
        await sfu.impair(f"{call.codec}-bob-{who}", kind="audio", **how)
    found = {}
    for who, (dropped, invented, played) in before.items():
        await until(f"the loss of {who}'s packets", lambda who=who: _is_over(call, sfu, who))
        now = await _sound(call, sfu, who)
        found[f"dropped of {who}"] = now[0] - dropped
        found[f"missed of {who}"] = (now[1] - invented) / (now[2] - played)
    return found


async def _is_over(call: Call, sfu: Pion, who: str) -> bool:
    """Half a second of packets has come through after the last one that was impaired."""
    return (await sfu.stats(f"{call.codec}-bob-{who}"))["audio"]["unharmed"] > 25


async def _sound(call: Call, sfu: Pion, who: str) -> tuple[int, int, int]:
    """Packets dropped, samples that the browser invented, and all samples."""
    stats = await call.bob.call("stats", name=f"bob-{who}", type="inbound-rtp")
    audio = next(entry for entry in stats if entry["kind"] == "audio")
    sent = (await sfu.stats(f"{call.codec}-bob-{who}"))["audio"]
    return sent["dropped"], audio["concealedSamples"], audio["totalSamplesReceived"]


async def abuse(call: Call, sfu: Pion, packets: int) -> None:
    name = f"{call.codec}-bob-alice"
    before, sent_before = await _bob_counts(call, "bob-alice"), (await sfu.stats(name))["audio"]
    how = {"delay": 40, "reorder": 7, "duplicate": 5, "alter": 20, "packets": packets}
    await sfu.impair(name, **how)
    await until("the abuse of alice's packets", lambda: _is_over(call, sfu, "alice"))
    await asyncio.sleep(1)  # for packets that are on their way
    after, sent = await _bob_counts(call, "bob-alice"), (await sfu.stats(name))["audio"]
    counted = ("altered", "duplicated", "reordered")
    call.seen.more["abused"] = {
        "counts": _between(before["bob-alice audio"], after["bob-alice audio"]),
        "sfu": {what: sent[what] - sent_before[what] for what in counted},
        "tone": await sounds(lambda: call.bob.hear("bob-alice"), call.seen.spoken),
    }


async def _bob_counts(call: Call, connection: str) -> dict[str, Counts]:
    counts = await call.bob.call("counts")
    return {name: row for name, row in counts.items() if name.startswith(f"{connection} ")}


async def withheld(call: Call, erin: Party) -> None:
    """erin's page believes that it seals, and its transform never comes."""
    await seals(erin, new_key("erin", 600))
    await call.publishes(erin, "erin", "erin", simulcast=False)

    async def probe() -> bool:
        stats = await erin.call("stats", name="erin", type="outbound-rtp")
        sent = {entry["kind"]: entry["packetsSent"] for entry in stats}
        return sent["audio"] > 150 and sent["video"] > 20

    await until("what erin sends", probe)
    call.seen.more["live of erin"] = await erin.call("live")
    await erin.call("close", name="erin")
    await call.server.end("erin")


# ---- what the server keeps ----


async def read_recording(call: Call) -> None:
    """alice's sound as the server has it, by the same reader with and without her keys."""
    await asyncio.sleep(0.2)  # the last packets are written
    call.seen.recorded = await asyncio.to_thread(_recorded, call)


def _recorded(call: Call) -> dict[str, Any]:
    frames = audio_frames(call.server.recorded("alice", "audio"))
    receiver = pysframe.Receiver(SUITE)
    for key in call.seen.more.get("keys", [call.alice_key]):
        receiver.add_key(key.kid, key.base_key)
    opened = [frame for frame in (_opened(receiver, frame) for frame in frames) if frame]
    return {
        "frames": len(frames),
        "opened": len(opened),
        "with the key": heard(opened),
        "without it": heard(frames),
    }


def _opened(receiver: pysframe.Receiver, wire: bytes) -> bytes | None:
    try:
        return Envelope("audio/opus").open(receiver, wire)
    except pysframe.FrameRejected:
        return None


def heard(frames: list[bytes]) -> Tone:
    """Of three seconds in the middle of a recording: it begins and ends abruptly."""
    middle = max(0, len(frames) // 2 - 75)
    return tone_of(decoded(frames[middle : middle + 150]))


async def read_wrongs(call: Call) -> None:
    """What the server has of carol, who sent in the clear, and of erin, who sent no media."""
    await asyncio.sleep(0.2)
    call.seen.more["recorded in clear"] = await asyncio.to_thread(
        lambda: heard(audio_frames(call.server.recorded("carol", "audio")))
    )
    call.seen.more["withheld"] = await asyncio.to_thread(_of_erin, call)


def _of_erin(call: Call) -> dict[str, Any]:
    frames = audio_frames(call.server.recorded("erin", "audio"))
    pictures = pictures_of("vp8", vp8_frames(call.server.recorded("erin", "video")))
    brightest = [int(picture.to_ndarray(format="gray").max()) for picture in pictures]
    return {
        "frames": len(frames),
        "sound": tone_of(decoded(frames)),
        "pictures": len(pictures),
        "brightest": max(brightest, default=255),
        "live": call.seen.more["live of erin"],
    }
