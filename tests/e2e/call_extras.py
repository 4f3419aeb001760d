"""What goes wrong in a call on purpose."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from call import Call, Counts, opens, seals
from chromium import Party
from keys import Key, new_key
from measures import missing, refused
from programs import WORKER, Pion
from waiting import Hung, NotYet, until

T = TypeVar("T")
WHO = ("alice", "carol")  # seals, sends in the clear
REKEYS, REKEYS_TAKE = 16, 8.0  # seconds
AHEAD, OLD_KEYS = 3, 4  # keys that a receiver has before they are used, and keeps
QUIET, LOOKS = 16, 100  # tenths of a second: until nothing comes any more; for what is missing
RESTLESS = 600  # the same: until something is wrong


async def clear_media(call: Call, carol: Party) -> None:
    """carol publishes in the clear. bob and an agent take it for sealed media, and have alice's
    keys."""
    call.carol = carol
    await call.publishes(carol, "carol", None, layered=False)
    agent = call.seen.more["agent of clear media"] = call.agent(call.alice_key)
    await call.server.agent_subscribes(agent, "agent-of-carol", "carol")
    await call.server.page_subscribes(call.bob, "bob-clear", "carol", "alice")

    async def probe() -> Any:
        counts = await call.bob.call("counts")
        came = [sum(counts.get(f"bob-clear {kind}", {}).values()) for kind in ("audio", "video")]
        return (agent.refused("audio") > 100 and min(came) > 30) or NotYet((agent, counts))

    await until("carol's media in the clear", probe)
    await _look_at(call, "bob-clear")


async def nothing_clear(call: Call, dave: Party, *, layered: bool = True) -> None:
    """dave seals whole frames, and shows nothing of them: neither to a server nor to the packetizer
    of his own browser, which may send no packet of them."""
    key = new_key("dave", 500)
    for page in (dave, call.bob):  # bob knows that there is no envelope: it is not he who refuses
        await page.call("start", script="bare-worker.js")
    await seals(dave, key)
    await opens(call.bob, key)
    await call.publishes(dave, "dave", "dave", layered=layered)
    await until("dave's encoder", lambda: _encodes(dave))
    sends = bool((await _pictures(dave, "dave"))["bytesSent"])
    await call.server.page_subscribes(call.bob, "bob-bare", "dave", "dave", pictures=sends)
    for largest in (False, True) if sends and layered else (False,):
        if sends and layered:
            await call.server.layer("bob-bare", largest=largest)
        passed = (await call.bob.call("counts")).get("bob-bare audio", {}).get("passed", 0)
        await until("dave's sound", lambda more=passed + 100: _passes(call, more))
        call.seen.other_widths.append((await call.video("bob-bare")).get("frameWidth", 0))
    call.seen.more["bare"] = await _pictures(dave, "dave")
    await _look_at(call, "bob-bare")
    await call.leaves(dave, "dave")


async def _encodes(dave: Party) -> Any:
    pictures = await _pictures(dave, "dave")
    return pictures["framesEncoded"] > 30 or NotYet(pictures)


async def _pictures(page: Party, name: str) -> Counts:
    """What a publisher's browser has made of its pictures, all layers together."""
    stats = await page.call("stats", name=name, type="outbound-rtp")
    video = [entry for entry in stats if entry["kind"] == "video"]
    wanted = ("framesEncoded", "bytesSent")  # packets may be padding
    return {what: sum(entry.get(what, 0) for entry in video) for what in wanted}


async def _passes(call: Call, frames: int) -> bool:
    return (await call.bob.call("counts")).get("bob-bare audio", {}).get("passed", 0) >= frames


async def _look_at(call: Call, connection: str) -> None:
    call.seen.counts |= await _bob_counts(call, connection)
    call.seen.video[connection] = await call.video(connection)
    call.seen.named = await call.bob.call("named")


# ---- rotation ----


async def rekeys(call: Call) -> None:
    """A new KID again and again, each used for a frame at least. Receivers have a key two rekeys
    before it is used, and forget it when they are three further and have all that came under it."""
    await opens(call.bob, call.alice_key._replace(sender="late"))
    await call.server.page_subscribes(call.bob, "bob-late", "alice", "late", pictures=False)
    late = call.seen.more["agent that is late"] = call.agent(call.alice_key)
    await call.server.agent_subscribes(late, "late-in", "alice", pictures=False)
    await until("those who get no new key", lambda: _late(call))
    first = call.alice_key.kid
    keys = [call.alice_key, *(new_key("alice", first + 1 + n) for n in range(REKEYS))]
    await _give(call, *keys[1:AHEAD])
    before = await _in_silence(call)
    begun = time.monotonic()
    for number in range(1, REKEYS + 1):
        await _give(call, *keys[number + AHEAD - 1 : number + AHEAD])
        await asyncio.sleep(begun + number * REKEYS_TAKE / REKEYS - time.monotonic())
        await seals(call.alice, keys[number])
        await _all_has_come(call, before)
        if number >= OLD_KEYS:
            await _take(call, keys[number - OLD_KEYS])
    took = time.monotonic() - begun
    await call.alice.call("mute", name="alice", kind="audio", muted=True)
    rekeyed = await _all_has_come(call, before)
    await call.alice.call("mute", name="alice", kind="audio", muted=False)
    call.seen.more["rekeyed"] = rekeyed | {
        "keys": REKEYS,
        "seconds": took,
        "the agent is": call.seen.agent.connection.connectionState,
        "tone": await call.seen.agent.listens(),
    }
    call.seen.more["keys"] = keys


async def _late(call: Call) -> bool:
    counts, agent = await call.bob.call("counts"), call.seen.more["agent that is late"]
    return counts.get("bob-late audio", {}).get("passed", 0) > 10 < agent.opened("audio")


async def _give(call: Call, *keys: Key) -> None:
    for key in keys:
        call.seen.agent.keys.give(key)
        await opens(call.bob, key)


async def _take(call: Call, key: Key) -> None:
    call.seen.agent.keys.take(key)
    await call.bob.call("drop", sender="alice", kid=key.kid)


async def _in_silence(call: Call) -> Counts:
    """What was counted until now; while it is, alice is mute, so that no frame is on its way."""
    await call.alice.call("mute", name="alice", kind="audio", muted=True)
    counts = await _steady(lambda: _counted(call))
    await call.alice.call("mute", name="alice", kind="audio", muted=False)
    return counts


async def _all_has_come(call: Call, before: Counts) -> Counts:
    """What was counted since, once all that alice has sealed up to now has come; or at last."""
    sealed = (await _counted(call))["sealed"] - before["sealed"]
    for _ in range(LOOKS):
        since = _between(before, await _counted(call))
        if max(missing(since | {"sealed": sealed}).values()) <= 0:
            break
        await asyncio.sleep(0.1)
    return since


async def _counted(call: Call) -> Counts:
    """Frames of sound, each of which is one packet. Asked at once, since a page takes its time."""
    agent, late = call.seen.agent, call.seen.more["agent that is late"]
    sent, alices, bob, received, lost = await asyncio.gather(
        _sends(call.alice, "alice"),
        call.alice.call("counts"),
        call.bob.call("counts"),
        call.sound("bob-alice"),
        agent.lost("audio"),
    )
    alice = alices["alice audio"]
    return {
        "sealed": alice["passed"],
        "not sealed": refused(alice),
        "sent": sent["packetsSent"],
        "opened by bob": bob["bob-alice audio"]["passed"],
        "refused by bob": refused(bob["bob-alice audio"]),
        "lost on the way to bob": received["packetsLost"],
        "opened by a bob without the new keys": bob["bob-late audio"]["passed"],
        "opened by an agent without them": late.opened("audio"),
        "opened by the agent": agent.opened("audio"),
        "refused by the agent": agent.refused("audio"),
        "lost on the way to the agent": lost,
    }


async def _sends(page: Party, name: str) -> dict[str, Any]:
    stats = await page.call("stats", name=name, type="outbound-rtp")
    return next(entry for entry in stats if entry["kind"] == "audio")


def _between(before: Counts, after: Counts) -> Counts:
    return {name: after[name] - before[name] for name in after}


# ---- loss and other abuse, by the SFU ----


async def losses(call: Call, sfu: Pion, packets: int) -> None:
    """The same packets are dropped of alice's sealed media and of carol's plain media, which bob
    takes for what it is."""
    await call.server.page_subscribes(call.bob, "bob-carol", "carol", None)
    await until("carol's media", lambda: _carol(call))
    call.seen.more["loss"] = {
        f"{percent} %": await _lost(call, sfu, drop=percent, packets=packets) for percent in (1, 5)
    }
    altered = await _lost(call, sfu, drop=5, alter=10, packets=packets // 2)
    call.seen.more["loss"]["altered"] = altered


async def _carol(call: Call) -> bool:
    return (await call.bob.call("counts"))["bob-carol video"]["passed"] > 10


async def _lost(call: Call, sfu: Pion, *, packets: int, **how: float) -> dict[str, Any]:
    """Of each: packets of sound dropped, the share of the sound that the browser had to invent,
    and the share of the pictures that did not come though no packet of them was dropped."""
    await _show(call, shown=False)
    pictures = await _in_the_dark(call, sfu)
    before = {who: await _sound(call, sfu, who) for who in WHO}
    for who in WHO:
        await sfu.impair(f"{call.codec}-bob-{who}", kind="video", **how)
        await sfu.impair(f"{call.codec}-bob-{who}", kind="audio", packets=packets, **how)
    await _show(call, shown=True)
    found: dict[str, Any] = {}
    for who, (dropped, invented, played) in before.items():
        await until(f"the loss of {who}'s packets", lambda who=who: _is_over(call, sfu, who))
        now = await _sound(call, sfu, who)
        found[f"dropped of {who}"] = now[0] - dropped
        found[f"missed of {who}"] = (now[1] - invented) / (now[2] - played)
    for who in WHO:
        await until(
            f"the loss of {who}'s pictures", lambda who=who: _is_hit(call, sfu, who, pictures)
        )
    await _show(call, shown=False)
    for who, then in (await _in_the_dark(call, sfu)).items():
        found[f"pictures of {who}"] = _between(pictures[who], then)
        await sfu.impair(f"{call.codec}-bob-{who}", kind="video")
    await _show(call, shown=True)
    return found


async def _show(call: Call, *, shown: bool) -> None:
    for page, who in ((call.alice, "alice"), (call.carol, "carol")):
        await page.call("mute", name=who, kind="video", muted=not shown)


async def _in_the_dark(call: Call, sfu: Pion) -> dict[str, Counts]:
    """What was counted of pictures, once none comes any more."""

    async def count() -> dict[str, Counts]:
        counts = await call.bob.call("counts")
        stats = {who: (await sfu.stats(f"{call.codec}-bob-{who}"))["video"] for who in WHO}
        return {
            who: {"passed": counts[f"bob-{who} video"]["passed"]}
            | {name: stats[who][name] for name in ("frames", "hit", "dropped")}
            for who in WHO
        }

    return await _steady(count)


async def _steady(count: Callable[[], Awaitable[T]]) -> T:
    """What count() gives when it has been the same for a while."""
    counts, same = await count(), 0
    for _ in range(RESTLESS):
        await asyncio.sleep(0.1)
        last, counts = counts, await count()
        same = same + 1 if counts == last else 0
        if same == QUIET:
            return counts
    raise Hung(f"what was counted does not come to rest: {counts!r}")


async def _is_over(call: Call, sfu: Pion, who: str) -> bool:
    """Half a second of packets has come through after the last one that was impaired."""
    return (await sfu.stats(f"{call.codec}-bob-{who}"))["audio"]["unharmed"] > 25


async def _is_hit(call: Call, sfu: Pion, who: str, before: dict[str, Counts]) -> bool:
    stats = (await sfu.stats(f"{call.codec}-bob-{who}"))["video"]
    return stats["hit"] > before[who]["hit"]


async def _sound(call: Call, sfu: Pion, who: str) -> tuple[int, int, int]:
    """Packets dropped, samples that the browser invented, and all samples."""
    audio = await call.sound(f"bob-{who}")
    sent = (await sfu.stats(f"{call.codec}-bob-{who}"))["audio"]
    return sent["dropped"], audio["concealedSamples"], audio["totalSamplesReceived"]


async def abuse(call: Call, sfu: Pion, packets: int) -> None:
    name = f"{call.codec}-bob-alice"
    before, sent_before = await _bob_counts(call, "bob-alice"), (await sfu.stats(name))["audio"]
    how = {"delay": 40, "reorder": 7, "duplicate": 5, "alter": 20, "packets": packets}
    await sfu.impair(name, **how)
    await until("the abuse of alice's packets", lambda: _is_over(call, sfu, "alice"))
    sent = (await sfu.stats(name))["audio"]
    altered = sent["altered"] - sent_before["altered"]
    for _ in range(LOOKS):  # packets are on their way, and one may be lost
        after = await _bob_counts(call, "bob-alice")
        counts = _between(before["bob-alice audio"], after["bob-alice audio"])
        if counts["authentication"] >= altered:
            break
        await asyncio.sleep(0.1)
    counted = ("altered", "duplicated", "reordered")
    call.seen.more["abused"] = {
        "counts": counts,
        "sfu": {what: sent[what] - sent_before[what] for what in counted},
        "tone": await call.bob_hears("bob-alice"),
    }


async def _bob_counts(call: Call, connection: str) -> dict[str, Counts]:
    counts = await call.bob.call("counts")
    return {name: row for name, row in counts.items() if name.startswith(f"{connection} ")}


async def withheld(call: Call, erin: Party) -> None:
    """erin's page believes that it seals, and its transform never comes."""
    await erin.call("start", script=WORKER, withheld=True)
    await seals(erin, new_key("erin", 600))
    await call.publishes(erin, "erin", "erin", layered=False)

    async def probe() -> bool:
        stats = await erin.call("stats", name="erin", type="outbound-rtp")
        sent = {entry["kind"]: entry["packetsSent"] for entry in stats}
        return sent["audio"] > 150 and sent["video"] > 20

    await until("what erin sends", probe)
    live = await erin.call("live")
    call.seen.more["live of erin"] = [name for name in live if name.startswith("erin ")]
    await call.leaves(erin, "erin")
