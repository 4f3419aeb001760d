"""One scenario for each line of matrix.toml."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import call_extras as extras
import chromium
import firefox
import kept
from call import Call, Seen, call
from chromium import Party
from servers import Server

if TYPE_CHECKING:
    from conftest import Stage

LOST_FROM, ABUSED = 400, 200  # packets of sound: 8 and 4 seconds

Scenario = Callable[["Stage"], Coroutine[Any, Any, Seen]]


async def vp8_through_janus(stage: "Stage") -> Seen:
    server = await stage.janus("VP8")
    async with call(server, "VP8", chromium.MICROPHONE) as made, AsyncExitStack() as pages:
        alice = await _begin(made, stage, pages, layered=True)
        await made.switch_layers()
        await extras.rekeys(made)
        await made.end()
        await kept.read_recording(made)
        await extras.clear_media(made, alice)
        await made.leaves(alice, "carol")
        await _wrongs(made, alice)
        return made.seen


async def vp8_through_pion(stage: "Stage") -> Seen:
    server = await stage.pion("VP8")
    async with call(server, "VP8", chromium.MICROPHONE) as made, AsyncExitStack() as pages:
        alice = await _begin(made, stage, pages, layered=True)
        await made.switch_layers()
        await server.layer("bob-alice", largest=False)
        await extras.rekeys(made)
        carol = await pages.enter_async_context(stage.page("carol"))
        await extras.clear_media(made, carol)
        await extras.losses(made, server.sfu, LOST_FROM)
        await extras.abuse(made, server.sfu, ABUSED)
        await made.end()
        await kept.read_recording(made)
        await made.leaves(carol, "carol")
        await _wrongs(made, alice)
        return made.seen


async def _begin(made: Call, stage: "Stage", pages: AsyncExitStack, *, layered: bool) -> Party:
    alice = await pages.enter_async_context(stage.page("alice"))
    bob = await pages.enter_async_context(stage.page("bob"))
    await made.begin(alice, bob, layered=layered)
    await made.listen()
    return alice


async def _wrongs(made: Call, page: Party) -> None:
    """alice's page plays two others: dave, who shows a server nothing, and erin, whose transform is
    withheld."""
    await extras.nothing_clear(made, page)
    await extras.withheld(made, page)
    await kept.read_wrongs(made)


# ---- other codecs ----


async def vp9_through_janus(stage: "Stage") -> Seen:
    return await _of_codec(stage, await stage.janus("VP9"), "VP9")


async def vp9_through_pion(stage: "Stage") -> Seen:
    async def more(made: Call, alice: Party) -> None:
        await extras.clear_media(made, alice)

    server = await stage.pion("VP9")
    return await _of_codec(stage, server, "VP9", switches=True, more=more)


async def h264_through_janus(stage: "Stage") -> Seen:
    server = await stage.janus("H264")
    return await _of_codec(stage, server, "H264", switches=True, more=extras.nothing_clear)


async def h264_through_pion(stage: "Stage") -> Seen:
    async def more(made: Call, alice: Party) -> None:
        await extras.clear_media(made, alice)
        await made.leaves(alice, "carol")
        await extras.nothing_clear(made, alice)

    server = await stage.pion("H264")
    return await _of_codec(stage, server, "H264", switches=True, more=more)


async def av1_through_janus(stage: "Stage") -> Seen:
    return await _of_codec(stage, await stage.janus("AV1"), "AV1")


async def av1_through_pion(stage: "Stage") -> Seen:
    async def more(made: Call, alice: Party) -> None:
        await extras.clear_media(made, alice)
        await made.leaves(alice, "carol")
        await extras.nothing_clear(made, alice, layered=False)

    return await _of_codec(stage, await stage.pion("AV1"), "AV1", more=more)


async def _nothing(made: Call, alice: Party) -> None:
    pass


async def _of_codec(
    stage: "Stage",
    server: Server,
    codec: str,
    *,
    switches: bool = False,
    more: Callable[[Call, Party], Coroutine[Any, Any, None]] = _nothing,
) -> Seen:
    """switches: the server is asked for other layers. more: what alice's page does afterwards."""
    async with call(server, codec, chromium.MICROPHONE) as made, AsyncExitStack() as pages:
        alice = await _begin(made, stage, pages, layered=codec != "AV1")
        if switches:
            await made.switch_layers(beside=codec == "VP9")
        await made.end()
        await kept.read_recording(made)
        await more(made, alice)
        return made.seen


# ---- Firefox ----


async def firefox_publishes(stage: "Stage") -> Seen:
    server = await stage.janus("VP8")
    async with call(server, "VP8", firefox.MICROPHONE) as made, stage.page("bob") as bob:
        async with stage.firefox("alice") as alice:
            await made.begin(alice, bob, layered=True)
            await made.listen()
            await made.switch_layers()
            await extras.rekeys(made)
            await made.end()
            await kept.read_recording(made)
            await extras.clear_media(made, alice)
            await made.leaves(alice, "carol")
            await _wrongs(made, alice)
        return made.seen


async def firefox_subscribes(stage: "Stage") -> Seen:
    server = await stage.janus("VP8")
    async with call(server, "VP8", chromium.MICROPHONE) as made, stage.page("alice") as alice:
        async with stage.firefox("bob") as bob:
            await made.begin(alice, bob, layered=False)
            await made.listen()
            await extras.rekeys(made)
            await made.end()
            await kept.read_recording(made)
            await extras.clear_media(made, alice)
        return made.seen


SCENARIOS: dict[str, Scenario] = {
    "VP8 through Janus": vp8_through_janus,
    "VP8 through Pion": vp8_through_pion,
    "VP9 through Janus": vp9_through_janus,
    "VP9 through Pion": vp9_through_pion,
    "H.264 through Janus": h264_through_janus,
    "H.264 through Pion": h264_through_pion,
    "AV1 through Janus": av1_through_janus,
    "AV1 through Pion": av1_through_pion,
    "Firefox to Chromium": firefox_publishes,
    "Chromium to Firefox": firefox_subscribes,
}
