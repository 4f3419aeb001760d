"""The two servers of the call, behind one face: how a party publishes and subscribes there."""

from pathlib import Path
from typing import Protocol

from agent import Agent
from chromium import Party
from janus import Handle, Session
from keys import Key
from programs import ROOMS, Pion

# Codecs that aiortc can receive. Of others an agent takes the sound alone.
OF_AIORTC = {"VP8", "H264"}
SOUND = ["0"]  # the mid of a publisher's sound


class Server(Protocol):
    async def publish(self, who: str, offer: str) -> str:
        """The answer to a publisher's offer."""

    async def page_subscribes(
        self, page: Party, name: str, of: str, open: str | None, *, pictures: bool = True
    ) -> None:
        """The connection `name` of a page receives what `of` publishes, with the keys of `open`."""

    async def agent_subscribes(
        self, agent: Agent, name: str, of: str, *, pictures: bool = True
    ) -> None: ...

    async def layer(self, name: str, *, largest: bool) -> None:
        """The largest or the smallest layer from now on for a subscriber."""

    async def end(self, name: str) -> None:
        """Forgets a publisher or subscriber; what was recorded of it is complete."""

    def recorded(self, who: str, kind: str) -> Path:
        """What the server has seen of a publisher; of simulcast, the largest layer."""


class JanusRoom:
    def __init__(self, session: Session, folder: Path, codec: str) -> None:
        self._session, self._folder, self._codec = session, folder, codec
        self._room = ROOMS[codec]
        self._feeds: dict[str, int] = {}
        self._handles: dict[str, Handle] = {}

    async def publish(self, who: str, offer: str) -> str:
        handle = self._handles[who] = await self._session.handle()
        self._feeds[who] = await handle.join(self._room, who)
        return await handle.publish(offer, f"{self._codec}-{who}")

    async def page_subscribes(
        self, page: Party, name: str, of: str, open: str | None, *, pictures: bool = True
    ) -> None:
        handle = await self._handle_for(name, of)
        kinds = None if pictures else SOUND
        offer = await handle.subscribe(self._room, self._feeds[of], mids=kinds)
        await handle.start(
            await page.call("answer", name=name, open=open, offer=offer, codec=self._codec)
        )

    async def agent_subscribes(
        self, agent: Agent, name: str, of: str, *, pictures: bool = True
    ) -> None:
        handle = await self._handle_for(name, of)
        kinds = None if pictures and self._codec in OF_AIORTC else SOUND
        offer = await handle.subscribe(self._room, self._feeds[of], mids=kinds)
        await handle.start(await agent.answer(offer))

    async def _handle_for(self, name: str, of: str) -> Handle:
        """Janus knows no publisher before its connection is up."""
        await self._handles[of].comes_up(of)
        handle = self._handles[name] = await self._session.handle()
        return handle

    async def layer(self, name: str, *, largest: bool) -> None:
        await self._handles[name].layer("1", 2 if largest else 0)

    async def end(self, name: str) -> None:
        await self._handles.pop(name).leave()

    def recorded(self, who: str, kind: str) -> Path:
        number = {"audio": 0, "video": 1}[kind]
        return self._folder / f"{self._codec}-{who}-{kind}-{number}.mjr"


class PionRoom:
    def __init__(self, sfu: Pion, codec: str) -> None:
        self.sfu, self._codec = sfu, codec

    def _name(self, name: str) -> str:
        return f"{self._codec}-{name}"

    async def publish(self, who: str, offer: str) -> str:
        return await self.sfu.publish(self._name(who), offer)

    async def page_subscribes(
        self, page: Party, name: str, of: str, open: str | None, *, pictures: bool = True
    ) -> None:
        kinds = ["audio", "video"] if pictures and of != "agent" else ["audio"]
        offer = await page.call("ask", name=name, open=open, codec=self._codec, kinds=kinds)
        answer = await self.sfu.subscribe(self._name(of), self._name(name), offer)
        await page.call("accept", name=name, answer=answer)

    async def agent_subscribes(
        self, agent: Agent, name: str, of: str, *, pictures: bool = True
    ) -> None:
        kinds = ["audio", "video"] if pictures and self._codec in OF_AIORTC else ["audio"]
        offer = await agent.ask(*kinds)
        name = self._name(name)
        await agent.accept(await self.sfu.subscribe(self._name(of), name, offer, rid="l"))

    async def layer(self, name: str, *, largest: bool) -> None:
        await self.sfu.layer(self._name(name), "h" if largest else "l")

    async def end(self, name: str) -> None:
        await self.sfu.end(self._name(name))

    def recorded(self, who: str, kind: str) -> Path:
        files = [f"{self._name(who)}-{kind}{layer}.pcap" for layer in ("-h", "")]
        paths = [self.sfu.dumps / file for file in files]
        return next((path for path in paths if path.exists()), paths[-1])


async def agent_publishes(server: Server, agent: Agent, key: Key) -> None:
    await agent.accept(await server.publish("agent", await agent.publish(key)))
    await agent.is_connected()
