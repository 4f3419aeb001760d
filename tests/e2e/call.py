"""The call: who takes part, what they do, and what is seen of it.

alice, a page, publishes sealed sound and pictures, and the agent sealed sound. bob, another page,
and the agent have her key. The spy has another key under the same number, the stranger none; both
are played by a Python party and by connections of bob's page that open with what they have.

Rule: a scenario only sees; what it must have seen is in measures.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent import Agent
from chromium import Party
from hearing import SILENCE, Tone
from keys import Key, new_key
from servers import OF_AIORTC, Server, agent_publishes
from waiting import NotYet, until

if TYPE_CHECKING:
    from kept import Restored

Page = Callable[..., Coroutine[Any, Any, Party]]  # (name, script) -> a page
Counts = dict[str, int]

SIMULCAST = [
    {"rid": "h", "maxBitrate": 700_000},
    {"rid": "m", "maxBitrate": 200_000, "scaleResolutionDownBy": 2},
    {"rid": "l", "maxBitrate": 100_000, "scaleResolutionDownBy": 4},
]
PYTHON = ("agent", "spy", "stranger")
SAMPLES = ("totalSamplesReceived", "concealedSamples")
INVENTED = 0.1  # of the samples, by a browser to which no sound came: it was not listening
SINGLE = [{"maxBitrate": 400_000}]
# Of VP9. A spatial layer is predicted from the one below on key frames alone.
SVC = [{"maxBitrate": 1_200_000, "scalabilityMode": "L3T3_KEY"}]


@dataclass
class Seen:
    """What one line of the matrix has seen. Counts of a page's connection: by medium and name."""

    codec: str
    spoken: float  # Hz
    agent_hears: Tone = SILENCE  # alice
    bob_hears_alice: Tone = SILENCE
    bob_hears_agent: Tone = SILENCE
    pictures_of_agent: int = 0
    video: dict[str, Any] = field(default_factory=dict)  # of bob's connections: getStats()
    counts: dict[str, Counts] = field(default_factory=dict)  # of bob's transforms
    named: dict[str, Any] = field(default_factory=dict)  # what bob's page was first told of each
    widths: list[int] = field(default_factory=list)  # after the smallest, then the largest layer
    other_widths: list[int] = field(default_factory=list)  # of the control
    agent: Agent | None = None
    spy: Agent | None = None
    stranger: Agent | None = None
    recorded: dict[str, Any] = field(default_factory=dict)
    restored: "Restored | None" = None  # by `pysframe decrypt` with alice's keys
    restored_by_spy: "Restored | None" = None
    more: dict[str, Any] = field(default_factory=dict)


class Call:
    """One call over one server. The parties' connections are open until the stack is closed."""

    def __init__(self, server: Server, codec: str, spoken: float, stack: AsyncExitStack) -> None:
        self.server, self.codec, self._stack = server, codec, stack
        self.alice_key, self.agent_key = new_key("alice", 300), new_key("agent", 7)
        self.seen = Seen(codec, spoken)
        self.carol: Party | None = None  # publishes in the clear, in some scenarios
        self.answers: dict[str, str] = {}  # of the server to each publisher

    def agent(self, *keys: Key) -> Agent:
        made = Agent(*keys)
        self._stack.push_async_callback(made.close)
        return made

    async def publishes(self, page: Party, name: str, seal: str | None, *, layered: bool) -> None:
        size = {"width": 1280, "height": 720} if layered else {"width": 320, "height": 180}
        layers = SVC if self.codec == "VP9" else SIMULCAST
        offer = await page.call(
            "publish", name=name, seal=seal, codec=self.codec, rate=15,
            layers=layers if layered else SINGLE, **size,
        )  # fmt: skip
        self.answers[name] = await self.server.publish(name, offer)
        await page.call("accept", name=name, answer=self.answers[name])

    async def begin(self, alice: Party, bob: Party, *, layered: bool) -> None:
        """Everybody joins; at the end alice's sound has come to everybody."""
        self.alice, self.bob, server = alice, bob, self.server
        await seals(alice, self.alice_key)
        await opens(bob, self.alice_key, self.agent_key)
        await opens(bob, self.alice_key.wrong._replace(sender="spy"))
        await self.publishes(alice, "alice", "alice", layered=layered)
        await agent_publishes(server, self.agent(), self.agent_key)
        self.seen.agent = await self._python("agent", self.alice_key)
        self.seen.spy = await self._python("spy", self.alice_key.wrong)
        self.seen.stranger = await self._python("stranger")
        if layered and self.codec in OF_AIORTC:
            # Python takes the small pictures: it is to be in time on a busy machine.
            for name in PYTHON:
                await server.layer(f"{name}-in", largest=False)
        for name, of, key in [
            ("alice", "alice", "alice"), ("agent", "agent", "agent"),
            ("spy", "alice", "spy"), ("stranger", "alice", "stranger"),
        ]:  # fmt: skip
            await server.page_subscribes(bob, f"bob-{name}", of, key)
        await self.flows()

    async def _python(self, name: str, *keys: Key) -> Agent:
        made = self.agent(*keys)
        await self.server.agent_subscribes(made, f"{name}-in", "alice")
        return made

    async def flows(self) -> None:
        agent, spy, stranger = self.seen.agent, self.seen.spy, self.seen.stranger
        assert agent and spy and stranger

        async def agents() -> Any:
            pictures = len(agent.pictures) if self.codec in OF_AIORTC else 11
            unable = [party.refused("audio") for party in (spy, stranger)]
            flow = agent.opened("audio") > 150 and min(unable) > 100 and pictures > 10
            return flow or NotYet((agent, spy, stranger))

        async def pages() -> Any:
            counts = await self.bob.call("counts")
            wanted = {
                "bob-alice audio": "passed", "bob-alice video": "passed",
                "bob-agent audio": "passed", "bob-spy audio": "authentication",
                "bob-spy video": "authentication", "bob-stranger audio": "keyID",
                "bob-stranger video": "keyID",
            }  # fmt: skip
            flow = all(counts.get(name, {}).get(what, 0) > 30 for name, what in wanted.items())
            return flow or NotYet(counts)

        await until("alice's frames at the agents", agents)
        await until("frames of alice and the agent at bob", pages)

    async def listen(self) -> None:
        seen = self.seen
        assert seen.agent
        seen.agent_hears, seen.bob_hears_alice, seen.bob_hears_agent = await asyncio.gather(
            seen.agent.listens(), self.bob_hears("bob-alice"), self.bob_hears("bob-agent")
        )
        seen.counts = await self.bob.call("counts")
        seen.named = await self.bob.call("named")
        for name in ("bob-alice", "bob-spy", "bob-stranger"):
            seen.video[name] = await self.video(name)
        seen.pictures_of_agent = len(seen.agent.pictures)

    async def bob_hears(self, name: str) -> Tone:
        """What a connection of bob's plays for a while. Where no sound comes, as on a busy machine,
        the browser invents some, which tells nothing of the tone: that while is not judged."""

        async def probe() -> Any:
            before = await self.sound(name)
            tone = await self.bob.hear(name)
            after = await self.sound(name)
            played, invented = (after[what] - before[what] for what in SAMPLES)
            return tone if played > 0 and invented <= INVENTED * played else NotYet((before, after))

        return await until(f"sound without a break at {name}", probe)

    async def sound(self, name: str) -> dict[str, Any]:
        return await inbound(self.bob, name, "audio")

    async def video(self, name: str) -> dict[str, Any]:
        return await inbound(self.bob, name, "video")

    async def switch_layers(self, *, beside: bool = False) -> None:
        """beside: another connection is looked at, too, that is asked for no layer."""
        if beside:
            await opens(self.bob, self.alice_key._replace(sender="beside"))
            await self.server.page_subscribes(self.bob, "bob-beside", "alice", "beside")
            await self._width_becomes(1280, "bob-beside")
        for largest, width in ((False, 320), (True, 1280)):
            await self.server.layer("bob-alice", largest=largest)
            self.seen.widths.append(await self._width_becomes(width))
            if beside:
                video = await self.video("bob-beside")
                self.seen.other_widths.append(video.get("frameWidth", 0))

    async def _width_becomes(self, wanted: int, name: str = "bob-alice") -> int:
        async def probe() -> Any:
            video = await self.video(name)
            return video.get("frameWidth") == wanted or NotYet(video)

        await until(f"pictures {wanted} wide at {name}", probe)
        return wanted

    async def end(self) -> None:
        """alice leaves, so that what the server has recorded of her is complete."""
        await self.leaves(self.alice, "alice")
        await asyncio.sleep(0.2)

    async def leaves(self, page: Party, name: str) -> None:
        await page.call("close", name=name)
        await self.server.end(name)


async def inbound(page: Party, name: str, kind: str) -> dict[str, Any]:
    """What the browser says of a medium that a connection receives."""
    stats = await page.call("stats", name=name, type="inbound-rtp")
    return next((entry for entry in stats if entry["kind"] == kind), {})


async def seals(page: Party, key: Key) -> None:
    await page.call("install", **key.given(mine=True))
    await page.call("use", sender=key.sender, kid=key.kid)


async def opens(page: Party, *keys: Key) -> None:
    for key in keys:
        await page.call("install", **key.given(mine=False))


@asynccontextmanager
async def call(server: Server, codec: str, spoken: float) -> AsyncIterator[Call]:
    """spoken: the tone that alice's browser has for a microphone, in Hz."""
    async with AsyncExitStack() as stack:
        yield Call(server, codec, spoken, stack)
