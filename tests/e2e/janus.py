"""Janus's VideoRoom over its WebSocket: https://janus.conf.meetecho.com/docs/videoroom.html."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from waiting import within
from websockets.asyncio.client import ClientConnection, connect

Jsep = dict[str, Any]


class JanusError(Exception):
    """What Janus says is wrong."""


class Session:
    """One session; each party has a handle of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._asked: dict[str, tuple[asyncio.Future[dict[str, Any]], set[str]]] = {}
        self._handles: dict[int, Handle] = {}
        self.id = 0

    async def request(self, final: set[str], **message: Any) -> dict[str, Any]:
        """The reply to a request. final: the kinds of replies that end it; others come before."""
        transaction = secrets.token_hex(8)
        future = asyncio.get_running_loop().create_future()
        self._asked[transaction] = future, final
        await self._socket.send(json.dumps({**message, "transaction": transaction}))
        try:
            return await within(f"Janus's answer to {message}"[:200], future)
        finally:
            del self._asked[transaction]

    async def read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if message["janus"] == "webrtcup":
                self._handles[message["sender"]].is_up.set()
            future, final = self._asked.get(message.get("transaction", ""), (None, set()))
            if future is None or future.done():
                continue
            if message["janus"] == "error":
                future.set_exception(JanusError(str(message["error"])))
            elif message["janus"] in final:
                future.set_result(message)

    async def handle(self) -> "Handle":
        plugin = "janus.plugin.videoroom"
        reply = await self.request({"success"}, janus="attach", session_id=self.id, plugin=plugin)
        handle = Handle(self, reply["data"]["id"])
        self._handles[handle.id] = handle
        return handle


class Handle:
    """A party's connection to a room: to publish, or to subscribe."""

    def __init__(self, session: Session, number: int) -> None:
        self._session, self.id = session, number
        self.is_up = asyncio.Event()

    async def ask(self, jsep: Jsep | None = None, **body: Any) -> tuple[dict[str, Any], Jsep]:
        message: dict[str, Any] = {"body": body} | ({"jsep": jsep} if jsep else {})
        reply = await self._session.request(
            {"event", "success"},
            janus="message", session_id=self._session.id, handle_id=self.id, **message,
        )  # fmt: skip
        data = reply["plugindata"]["data"]
        if "error" in data:
            raise JanusError(f"{data['error']} ({body})")
        return data, reply.get("jsep", {})

    async def join(self, room: int, name: str) -> int:
        """Joins as a publisher; gives the number under which others find what it publishes."""
        data, _ = await self.ask(request="join", ptype="publisher", room=room, display=name)
        return data["id"]

    async def publish(self, offer: str, recording: str) -> str:
        """The answer. recording: how the files of Janus's recording begin."""
        jsep = {"type": "offer", "sdp": offer}
        _, answer = await self.ask(jsep, request="publish", filename=recording)
        return answer["sdp"]

    async def comes_up(self, whose: str) -> None:
        await within(f"the connection of {whose} to Janus", self.is_up.wait())

    async def subscribe(self, room: int, feed: int, mids: list[str] | None = None) -> str:
        """The offer. mids: some of the publisher's tracks alone."""
        streams = [{"feed": feed, "mid": mid} for mid in mids] if mids else [{"feed": feed}]
        _, jsep = await self.ask(request="join", ptype="subscriber", room=room, streams=streams)
        return jsep["sdp"]

    async def start(self, answer: str) -> None:
        await self.ask({"type": "answer", "sdp": answer}, request="start")
        await self.comes_up("a subscriber")

    async def layer(self, mid: str, number: int) -> None:
        """Another simulcast layer of a subscribed track: 0 is the smallest."""
        await self.ask(request="configure", streams=[{"mid": mid, "substream": number}])

    async def leave(self) -> None:
        session = self._session
        await session.request({"success"}, janus="detach", session_id=session.id, handle_id=self.id)


@asynccontextmanager
async def session(address: str) -> AsyncIterator[Session]:
    async with connect(address, subprotocols=["janus-protocol"], ping_interval=None) as socket:
        made = Session(socket)
        reader = asyncio.create_task(made.read())
        reply = await made.request({"success"}, janus="create")
        made.id = reply["data"]["id"]
        try:
            yield made
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
