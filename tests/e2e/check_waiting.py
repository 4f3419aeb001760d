"""What hangs ends, in words that name it; so does a program that ends on its own."""

import asyncio

import programs
import pytest
from waiting import Hung, until, within


def check_what_never_comes():
    with pytest.raises(Hung, match="the answer: nothing came in 0 s"):
        asyncio.run(within("the answer", asyncio.sleep(60), patience=0.1))


def check_what_never_becomes_true():
    async def never() -> int:
        return 0

    with pytest.raises(Hung, match="pictures: not in 0 s; it was 0"):
        asyncio.run(until("pictures", never, patience=0.3))


def check_a_program_that_ends(tmp_path):
    async def scenario() -> None:
        log = tmp_path / "server.log"
        async with programs.program(log, "sh", "-c", "echo no such room; exit 3") as process:
            await programs.listens(process, 9, log)

    with pytest.raises(Hung, match="server ended with 3:\nno such room"):
        asyncio.run(scenario())
