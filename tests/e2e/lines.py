"""One scenario for each line of matrix.toml."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import call_extras as extras
import chromium
import firefox
import kept
from call import Call, Seen, call
from servers import Server

if TYPE_CHECKING:
    from conftest import Stage

LOST_FROM, ABUSED = 400, 200  # packets of sound: 8 and 4 seconds

Scenario = Callable[["Stage"], Coroutine[Any, Any, Seen]]


async def vp8_through_janus(stage: "Stage") -> Seen:
    server = await stage.janus("VP8")
    async with call(server, "VP8", chromium.MICROPHONE) as made, AsyncExitStack() as pages:
        await _begin(made, stage, pages, simulcast=True)
        await made.switch_layers()
        await extras.rekeys(made)
        await made.end()
        await kept.read_recording(made)
        await extras.clear_media(made, await pages.enter_async_context(stage.page("carol")))
        await _wrongs(made, stage, pages)
        return made.seen


async def vp8_through_pion(stage: "Stage") -> Seen:
    server = await stage.pion("VP8")
    async with call(server, "VP8", chromium.MICROPHONE) as made, AsyncExitStack() as pages:
        await _begin(made, stage, pages, simulcast=True)
        await made.switch_layers()
        await server.layer("bob-alice", largest=False)
        await extras.rekeys(made)
        await extras.clear_media(made, await pages.enter_async_context(stage.page("carol")))
        await extras.losses(made, server.sfu, LOST_FROM)
        await extras.abuse(made, server.sfu, ABUSED)
        await made.end()
        await kept.read_recording(made)
        await _wrongs(made, stage, pages)
        return made.seen


async def _begin(made: Call, stage: "Stage", pages: AsyncExitStack, *, simulcast: bool) -> None:
    alice = await pages.enter_async_context(stage.page("alice"))
    bob = await pages.enter_async_context(stage.page("bob"))
    await made.begin(alice, bob, simulcast=simulcast)
    await made.listen()


async def _wrongs(made: Call, stage: "Stage", pages: AsyncExitStack) -> None:
    """carol leaves. dave shows a server nothing; erin's transform is withheld."""
    await made.server.end("carol")
    async with stage.page("dave", script="bare-worker.js") as dave:
        await extras.nothing_clear(made, dave)
    async with stage.page("erin", withheld=True) as erin:
        await extras.withheld(made, erin)
    await kept.read_wrongs(made)


# ---- other codecs ----


def through_janus(codec: str) -> Scenario:
    async def scenario(stage: "Stage") -> Seen:
        return await _of_codec(stage, await stage.janus(codec), codec)

    return scenario


def through_pion(codec: str) -> Scenario:
    async def scenario(stage: "Stage") -> Seen:
        return await _of_codec(stage, await stage.pion(codec), codec)

    return scenario


async def _of_codec(stage: "Stage", server: Server, codec: str) -> Seen:
    layered = codec == "H264"  # the only one but VP8 in which both servers know a key frame
    async with call(server, codec, chromium.MICROPHONE) as made, AsyncExitStack() as pages:
        await _begin(made, stage, pages, simulcast=layered)
        if layered:
            await made.switch_layers()
        await made.end()
        await kept.read_recording(made)
        return made.seen


# ---- Firefox ----


async def firefox_publishes(stage: "Stage") -> Seen:
    server = await stage.janus("VP8")
    async with call(server, "VP8", firefox.MICROPHONE) as made, stage.page("bob") as bob:
        async with stage.firefox("alice") as alice:
            await made.begin(alice, bob, simulcast=True)
            await made.listen()
            await made.switch_layers()
            await made.end()
        await kept.read_recording(made)
        return made.seen


async def firefox_subscribes(stage: "Stage") -> Seen:
    server = await stage.janus("VP8")
    async with call(server, "VP8", chromium.MICROPHONE) as made, stage.page("alice") as alice:
        async with stage.firefox("bob") as bob:
            await made.begin(alice, bob, simulcast=False)
            await made.listen()
            await made.end()
        await kept.read_recording(made)
        return made.seen


SCENARIOS: dict[str, Scenario] = {
    "VP8 through Janus": vp8_through_janus,
    "VP8 through Pion": vp8_through_pion,
    "VP9 through Janus": through_janus("VP9"),
    "VP9 through Pion": through_pion("VP9"),
    "H.264 through Janus": through_janus("H264"),
    "H.264 through Pion": through_pion("H264"),
    "AV1 through Janus": through_janus("AV1"),
    "AV1 through Pion": through_pion("AV1"),
    "Firefox to Chromium": firefox_publishes,
    "Chromium to Firefox": firefox_subscribes,
}
