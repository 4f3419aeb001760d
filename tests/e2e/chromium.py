"""Debian's Chromium, and pages in it that are parties of the call."""

import base64
import wave
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hearing import RATE, Tone, tone_of_file
from playwright.async_api import Browser, Page, async_playwright
from waiting import Hung, within

MICROPHONE = 440.0  # Hz: what every page of this browser says
FLAGS = [
    "--no-sandbox",  # the run is root's
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Pages that nobody looks at must not be slowed down.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]


class Party:
    """A page. Whatever it is asked for is a function of page.js."""

    def __init__(self, name: str, page: Page, said: list[str]) -> None:
        self.name, self._page, self.said = name, page, said

    async def call(self, what: str, **given: Any) -> Any:
        asked = self._page.evaluate("([name, given]) => window.call(name, given)", [what, given])
        return await self._within(what, asked)

    async def open(self, address: str) -> None:
        await self._within("opening", self._page.goto(address))
        there = self._page.wait_for_function("() => Boolean(window.call)")
        await self._within("the script", there)

    async def _within(self, what: str, awaited: Awaitable[Any]) -> Any:
        try:
            return await within(f"{what} of the page {self.name!r}", awaited)
        except Hung as hung:
            raise Hung(f"{hung}; it said {self.said[-5:]}") from None

    async def hear(self, name: str, ms: int = 1500) -> Tone:
        content = await self.call("hear", name=name, ms=ms)
        return tone_of_file(base64.b64decode(content))

    async def close(self) -> None:
        await self._page.close()


def write_tone(path: Path, hz: float, seconds: int = 10) -> None:
    """A file that repeats without a break: hz * seconds is a whole number of waves."""
    times = np.arange(RATE * seconds) / RATE
    samples = (0.4 * 32_767 * np.sin(2 * np.pi * hz * times)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    microphone = folder / "microphone.wav"
    write_tone(microphone, MICROPHONE)
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    async with async_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", headless=True, args=flags, timeout=120_000
        )
        chromium = await within("the start of Chromium", started, 150)
        try:
            yield chromium
        finally:
            await chromium.close()


async def party(chromium: Browser, address: str, name: str) -> Party:
    page, said = await chromium.new_page(), []
    page.set_default_timeout(0)  # within() ends what hangs
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    made = Party(name, page, said)
    await made.open(address)
    return made
