"""pysframe.adapters.aiortc between two real aiortc peers: real Opus, VP8 and H.264 over SRTP."""

import asyncio

import pytest
from adapters.peers import Call, Film, Keys, Tone, calling, run, to_open, to_seal, until
from aiortc import RTCPeerConnection
from aiortc.rtp import is_rtcp

from pysframe import CounterStoreError, MisuseError
from pysframe.adapters.aiortc import Session, configuration
from pysframe.source import Drop, Trouble, TroubleKind, Use


def test_a_tone_arrives(rng):
    key = rng.randbytes(16)

    async def test():
        source = Keys(to_open(key))
        async with calling(Keys(*to_seal(key)), source) as call:
            await call.connect(Tone(440))
            await until(lambda: len(call.heard["audio"]) > 100, "sound")
            await until(lambda: source.reports, "a report")
            pitch, purity = call.heard["audio"].pitch()
            assert abs(pitch - 440) < 2 and purity > 0.9
            counts = call.incoming("audio").counts
            assert set(counts) == {"opened"} and call.troubles == []
            assert source.reports[-1]["alice"][300].state.value in ("waiting", "flowing")
            assert call.alice.outgoing[0].counts["sealed"] >= counts["opened"]
        assert source.closed

    run(test)


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
def test_pictures_arrive(rng, codec):
    key = rng.randbytes(16)

    async def test():
        film = Film()
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Tone(), film, codecs={"video": codec})
            await until(lambda: len(call.heard.get("video", [])) > 15, "pictures")
            latest = call.heard["video"]
            assert latest.frames[-1].width == 160
            shown = {round(latest.frames[n].to_ndarray(format="gray").mean()) for n in range(10)}
            assert len(shown) > 3 and call.troubles == []

    run(test)


def test_each_sender_is_opened_with_its_own_keys(rng):
    """Bob's own key under the same room does not open what is said to be alice's."""
    key, other = rng.randbytes(16), rng.randbytes(16)

    async def test():
        source = Keys(to_open(key), to_open(other, 301, "carol"))
        async with calling(Keys(*to_seal(other, 301, "carol")), source) as call:
            await call.connect(Tone(), sender=lambda transceiver: "alice")
            await until(lambda: call.troubles, "a trouble")
            assert call.troubles[0].kind is TroubleKind.MISSING_KEY
            assert call.troubles[0].sender == "alice" and "0x12d" in call.troubles[0].words
            assert call.incoming("audio").counts.get("opened", 0) == 0
            assert len(call.heard["audio"]) == 0

    run(test)


# ---- what must not be heard, and is named ----


def events_for(case, key, other):
    return {
        TroubleKind.MISSING_KEY: [],
        TroubleKind.WRONG_KEY: [to_open(other)],
        TroubleKind.STALE_KEY: [to_open(key)],
    }[case]


@pytest.mark.parametrize(
    "kind", [TroubleKind.MISSING_KEY, TroubleKind.WRONG_KEY, TroubleKind.STALE_KEY]
)
def test_what_does_not_open_is_named_and_not_decoded(rng, kind):
    key, other = rng.randbytes(16), rng.randbytes(16)

    async def test():
        source = Keys(*events_for(kind, key, other))
        async with calling(Keys(*to_seal(key)), source) as call:
            await call.connect(Tone(), Film())
            if kind is TroubleKind.STALE_KEY:
                await until(lambda: "flowing" in said(source), "a flow")
                source.say(Drop("alice", 300))
            await until(lambda: len(call.troubles) == 2, "two troubles")
            assert {trouble.kind for trouble in call.troubles} == {kind}
            await until(lambda: kind.value in said(source), "its name in the key flow")
            had = [len(heard) for heard in call.heard.values()]
            await until(lambda: call.incoming("audio").refused > 30, "more frames")
            assert had == [len(heard) for heard in call.heard.values()]
            assert kind is TroubleKind.STALE_KEY or had == [0, 0]
            assert "nothing of it is decoded" in call.troubles[0].words

    run(test)


def flows_of(source):
    """What has been reported so far: the states of each KID."""
    found = {}
    for report in source.reports:
        for kid, flow in ((kid, flow) for flows in report.values() for kid, flow in flows.items()):
            found.setdefault(kid, set()).add(flow.state.value)
    return found


def said(source):
    return set().union(*flows_of(source).values())


def test_media_in_the_clear_is_named_and_not_decoded(rng):
    async def test():
        source = Keys(to_open(rng.randbytes(16)))
        async with Session(source) as bob:
            call = Call(bob, bob)
            call.sends, call.receives = RTCPeerConnection(configuration()), bob.connection()
            call.receives.on("track", call._hear)
            call.sends.addTrack(Tone())
            await call.negotiate()
            await until(lambda: call.troubles, "a trouble")
            await until(lambda: "not SFrame" in said(source), "its name in the key flow")
            # Read as SFrame, Opus in the clear is malformed or a stranger's.
            assert {t.kind for t in call.troubles} == {TroubleKind.NOT_SFRAME}
            assert len(call.heard["audio"]) == 0 and call.incoming("audio").counts
            await call.hang_up()

    run(test)


def test_without_the_hook_ciphertext_is_decoded(rng):
    """The seeded fault, which the tests above are to see: a decoder takes what it is given."""
    key = rng.randbytes(16)

    async def test():
        async with calling(Keys(*to_seal(key)), Keys()) as call:
            await call.connect(Tone())
            deaf = RTCPeerConnection(configuration())
            deaf.on("track", call._hear)
            alice = call.alice.connection()
            call.sends, call.receives = alice, deaf
            call.alice.send(alice, Tone())
            await alice.setLocalDescription(await alice.createOffer())
            await deaf.setRemoteDescription(alice.localDescription)
            await deaf.setLocalDescription(await deaf.createAnswer())
            await alice.setRemoteDescription(deaf.localDescription)
            await until(lambda: len(call.heard["audio"]) > 50, "garbage")
            assert call.heard["audio"].pitch()[1] < 0.9
            await deaf.close()

    run(test)


# ---- sending ----


def test_without_a_key_nothing_is_sent(rng):
    key, packets = rng.randbytes(16), []

    def look(data):
        if not is_rtcp(data):
            packets.append(data)
        return [data]

    async def test():
        mine = Keys()
        async with calling(mine, Keys(to_open(key))) as call:
            troubles = []
            call.alice.on("trouble", troubles.append)
            await call.connect(Tone(), network=look)
            await until(lambda: troubles, "a trouble")
            assert troubles[0].kind is TroubleKind.CANNOT_SEAL
            assert "there is no key to seal with" in troubles[0].words
            assert packets == [] and call.alice.outgoing[0].counts["no key"] >= 10
            mine.say(*to_seal(key))
            await until(lambda: len(call.heard["audio"]) > 20, "sound")
            assert call.incoming("audio").counts.keys() == {"opened"}
            mine.say(Drop("alice", 300))
            await until(lambda: len(troubles) == 2, "a second trouble")
            had = len(packets)
            await asyncio.sleep(0.2)
            assert len(packets) == had

    run(test)


def test_a_source_that_fails_or_errs_is_told(rng):
    key = rng.randbytes(16)

    async def test():
        said = Trouble(TroubleKind.MISSING_KEY, "x", "said by the source")
        source = Keys(Use("alice", 9), "?", said, to_open(key), RuntimeError(key.hex()))
        async with Session(source) as bob:
            troubles = []
            bob.on("trouble", troubles.append)
            bob.on("trouble", lambda trouble: 1 / 0)  # a handler that fails harms nobody
            await until(lambda: len(troubles) == 3, "all that it says")
            kinds = [trouble.kind.value for trouble in troubles]
            assert kinds == ["refused", "missing key", "source ended"]
            assert "KID 0x9" in troubles[0].words and "RuntimeError" in troubles[2].words
            assert key.hex() not in repr(troubles)
            assert bob.keys.scope().receiver.kids == (300,)

    run(test)


def test_a_lease_that_does_not_come_is_told_once(monkeypatch):
    async def test():
        source, troubles, over, disk = Keys(), [], [], ["full"]
        async with Session(source) as alice:
            alice.on("trouble", troubles.append)
            alice.on("recovered", over.append)
            monkeypatch.setattr(alice.keys, "renew", lambda: fail() if disk else None)
            await until(lambda: len(source.reports) > 2, "reports")
            assert [(t.kind, t.words) for t in troubles] == [
                (TroubleKind.CANNOT_SEAL, "no lease of counters: the disk is full")
            ]
            disk.clear()
            await until(lambda: over == troubles, "its end")

    def fail():
        raise CounterStoreError("the disk is full")

    run(test)


# ---- made elsewhere, too late, closed ----


def test_a_connection_made_elsewhere(rng):
    key = rng.randbytes(16)

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            call.sends, call.receives = call.alice.connection(), RTCPeerConnection(configuration())
            call.receives.addTransceiver("audio")
            call.bob.attach(call.receives, "alice")
            call.receives.on("track", call._hear)
            call.add(Tone())
            await call.negotiate()
            await until(lambda: len(call.heard["audio"]) > 10, "sound")
            assert call.incoming("audio").sender == "alice"
            incoming = call.incoming("audio")
            await call.bob.close()  # the connection is not its own, and goes on
            had = len(call.heard["audio"])
            await until(lambda: incoming.counts.get("unbound", 0) > 10, "frames")
            assert len(call.heard["audio"]) <= had + 5 and "error" not in incoming.counts
            with pytest.raises(MisuseError, match=r"has started; attach\(\) comes first"):
                Session(Keys()).attach(call.receives)
            await call.receives.close()

    run(test)


def test_close_is_clean(rng):
    key = rng.randbytes(16)

    async def test():
        mine, theirs = Keys(*to_seal(key)), Keys(to_open(key))
        async with calling(mine, theirs) as call:
            await call.connect(Tone(), Film())
            await until(lambda: len(call.heard["audio"]) > 5, "sound")
            await call.bob.close()
            await call.bob.close()
            assert theirs.closed and call.receives.connectionState == "closed"
            await until(lambda: call.heard["audio"].ended and call.heard["video"].ended, "the end")
            with pytest.raises(MisuseError, match="this session is closed"):
                call.bob.connection()
            with pytest.raises(MisuseError, match="make a new one"):
                await call.bob.answer(call.receives, call.sends.localDescription)

    run(test)
