"""Debian's Firefox ESR over WebDriver BiDi, with one page: https://w3c.github.io/webdriver-bidi/."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hearing import Tone, tone_of_file
from programs import listens, program
from waiting import Hung, within
from websockets.asyncio.client import ClientConnection, connect

MICROPHONE = 500  # Hz: what its fake microphone says
PORT = 9333
PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.navigator.audio.fake_frequency": MICROPHONE,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
}


class Page:
    """The same face as chromium.Party."""

    def __init__(self, socket: ClientConnection, name: str) -> None:
        self._socket, self.name = socket, name
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._context = ""
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            future = self._asked.pop(message.get("id", 0), None)
            if future and not future.done():
                future.set_result(message)

    async def _command(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        reply = await within(f"{method} of Firefox", future)
        if reply["type"] == "error":
            raise Hung(f"Firefox refuses {method}: {reply['error']}: {reply['message']}")
        return reply["result"]

    async def open(self, address: str) -> None:
        await self._command("session.new", capabilities={})
        tree = await self._command("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]
        await self._command(
            "browsingContext.navigate", context=self._context, url=address, wait="complete"
        )

    async def call(self, what: str, **given: Any) -> Any:
        expression = f"(async () => JSON.stringify(await window.call({json.dumps(what)}, "
        expression += f"{json.dumps(given)}) ?? null))()"
        result = await self._command(
            "script.evaluate",
            expression=expression, target={"context": self._context}, awaitPromise=True,
        )  # fmt: skip
        if result["type"] == "exception":
            raise Hung(f"{what} of the page {self.name!r}: {result['exceptionDetails']['text']}")
        return json.loads(result["result"]["value"])

    async def hear(self, name: str, ms: int = 1500) -> Tone:
        return tone_of_file(base64.b64decode(await self.call("hear", name=name, ms=ms)))

    async def close(self) -> None:
        self._reader.cancel()


@asynccontextmanager
async def route() -> AsyncIterator[None]:
    """Firefox gathers no candidate without a default route. This one leads nowhere; others' name
    look-ups hang while it is there."""
    await _route("add")
    try:
        yield
    finally:
        await _route("del")


async def _route(change: str) -> None:
    command = ("ip", "route", change, "default", "via", "10.99.0.254", "dev", "v0")
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, f"{' '.join(command)} failed"


@asynccontextmanager
async def page(folder: Path, address: str, name: str) -> AsyncIterator[Page]:
    profile, log = folder / f"firefox-{name}", folder / f"firefox-{name}.log"
    profile.mkdir()
    lines = (f"user_pref({json.dumps(n)}, {json.dumps(v)});\n" for n, v in PREFERENCES.items())
    (profile / "user.js").write_text("".join(lines))
    command = ("firefox-esr", "--headless", "--no-remote", "--profile", str(profile),
               "--remote-debugging-port", str(PORT))  # fmt: skip
    async with route(), program(log, *command) as process:
        await listens(process, PORT, log)
        async with connect(f"ws://127.0.0.1:{PORT}/session", max_size=None) as socket:
            made = Page(socket, name)
            await made.open(address)
            try:
                yield made
            finally:
                await made.close()
