"""The stage: everything that runs for the whole of a run, and one scenario for each line."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import chromium
import firefox
import janus
import programs
import pytest
from playwright.async_api import Browser
from servers import JanusRoom, PionRoom, Server

BUILT = programs.ROOT / "build" / "e2e"
DEBIAN = ("chromium", "firefox-esr", "janus")


class Stage:
    """The programs of a run, each started when it is first needed, in one event loop."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.folder, self._runner, self._stack = folder, runner, AsyncExitStack()
        self._address = self._stack.enter_context(programs.web_server())
        self._browser: Browser | None = None
        self._janus: janus.Session | None = None
        self._pion: programs.Pion | None = None

    def run(self, scenario: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(scenario)

    async def close(self) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def page(self, name: str) -> AsyncIterator[chromium.Party]:
        if self._browser is None:
            browser = chromium.browser(self.folder)
            self._browser = await self._stack.enter_async_context(browser)
        party = await chromium.party(self._browser, self._address, name)
        await party.call("start", script=programs.WORKER)
        try:
            yield party
        finally:
            await party.close()

    @asynccontextmanager
    async def firefox(self, name: str) -> AsyncIterator[firefox.Page]:
        async with firefox.page(self.folder, self._address, name) as page:
            await page.call("start", script=programs.WORKER)
            yield page

    async def janus(self, codec: str) -> Server:
        if self._janus is None:
            address = await self._stack.enter_async_context(programs.janus(self.folder))
            self._janus = await self._stack.enter_async_context(janus.session(address))
        return JanusRoom(self._janus, self.folder, codec)

    async def pion(self, codec: str) -> PionRoom:
        if self._pion is None:
            sfu = programs.pion(BUILT / "sfu", self.folder)
            self._pion = await self._stack.enter_async_context(sfu)
        return PionRoom(self._pion, codec)


def pytest_report_header() -> str:
    """Of what has no exact version; tests/e2e/install says why."""
    command = ["dpkg-query", "-W", "-f", "${Package} ${Version}; ", *DEBIAN]
    return "Debian: " + subprocess.run(command, capture_output=True, text=True).stdout.rstrip("; ")


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        made = Stage(tmp_path_factory.mktemp("call"), runner)
        yield made
        runner.run(made.close())
