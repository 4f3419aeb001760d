"""Whose track it is: what nobody knows yet opens with nobody's keys."""

import logging

import pytest
from adapters.peers import Film, Keys, Tone, calling, run, to_open, to_seal, until

from pysframe import MisuseError
from pysframe.adapters.aiortc import ANYBODY, _session
from pysframe.source import TroubleKind


def test_a_track_opens_once_it_is_known_whose_it_is(rng):
    key, names = rng.randbytes(16), {}

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Tone(), sender=lambda transceiver: names.get(transceiver.kind))
            await until(lambda: call.troubles, "a trouble")
            assert call.troubles[0].kind is TroubleKind.REFUSED
            assert "nobody has said whose track it is" in call.troubles[0].words
            incoming = call.incoming("audio")
            assert set(incoming.counts) == {"unbound"} and "nobody yet" in repr(incoming)
            assert len(call.heard["audio"]) == 0
            names["audio"] = "alice"
            await until(lambda: incoming.counts.get("opened", 0) > 20, "frames")
            await until(lambda: call.recovered, "the end of the trouble")
            assert incoming.sender == "alice"

    run(test)


def test_a_none_that_stands_for_anybody_is_seen(rng, monkeypatch):
    """The seeded fault: what is not known yet opens with any key of the room."""
    monkeypatch.setattr(_session, "_asked", lambda sender, at: sender(at) or ANYBODY)
    key = rng.randbytes(16)

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Tone(), sender=lambda _: None)
            await until(lambda: call.incoming("audio").counts.get("opened", 0) > 5, "frames")

    run(test)


def test_a_function_that_fails_later_leaves_its_track_closed(rng, caplog):
    key, asked = rng.randbytes(16), []

    def whose(_):
        asked.append(1)
        if len(asked) > 2:
            raise KeyError("secret-name")

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Tone(), sender=whose)
            with caplog.at_level(logging.ERROR, "pysframe"):
                await until(lambda: "nobody says whose" in caplog.text, "a word of it")
            before = call.incoming("audio").counts.get("unbound", 0)
            await until(lambda: call.incoming("audio").counts["unbound"] > before + 20, "frames")
            assert len(asked) == 3 and "secret-name" not in caplog.text
            assert "opened" not in call.incoming("audio").counts

    run(test)


def raises(transceiver):
    raise KeyError(transceiver.kind)


@pytest.mark.parametrize("answer", [raises, lambda _: ["alice"], lambda _: 7])
@pytest.mark.parametrize("later", [False, True])
def test_an_answer_that_is_no_name_leaves_that_track_closed_and_ends_nothing_else(
    rng, caplog, answer, later
):
    """Neither the other track nor the watch, which renews counters and tells troubles."""
    key, asked = rng.randbytes(16), []

    def whose(transceiver):
        if transceiver.kind == "video":
            return "alice"
        asked.append(1)
        return None if later and len(asked) < 3 else answer(transceiver)

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            with caplog.at_level(logging.ERROR, "pysframe"):
                await call.connect(Tone(), Film(), sender=whose)
                await until(lambda: "nobody says whose" in caplog.text, "a word of it")
            await until(lambda: call.incoming("video").counts.get("opened", 0) > 5, "pictures")
            await until(lambda: call.troubles, "a trouble")
            assert set(call.incoming("audio").counts) == {"unbound"}
            assert len(asked) == (3 if later else 1)

    run(test)


def test_a_sender_that_is_none_is_refused(rng):
    async def test():
        async with calling(Keys(), Keys()) as call:
            with pytest.raises(MisuseError, match=r"names nobody.*leave it out"):
                call.bob.connection(sender={}.get("alice"))
            call.bob.connection(ANYBODY)
            call.bob.connection()

    run(test)
