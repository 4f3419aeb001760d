"""A call over pysframe.adapters.aiortc goes on: keys that come late or change, another connection,
and whatever a network or a server does to its packets."""

from adapters.peers import GCM, Film, Keys, Tone, calling, run, to_open, to_seal, until
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket, is_rtcp

import pysframe
from pysframe.adapters.aiortc import Session, configuration
from pysframe.source import Drop


def test_a_late_key_opens_what_waited_for_it(rng):
    key = rng.randbytes(16)

    async def test():
        source = Keys()
        async with calling(Keys(*to_seal(key)), source) as call:
            await call.connect(Tone(), Film())
            await until(lambda: len(call.troubles) == 2, "two troubles")
            source.say(to_open(key))
            await until(lambda: len(call.recovered) == 2, "the end of both")
            await until(lambda: len(call.heard["audio"]) > 60, "sound")
            await until(lambda: len(call.heard["video"]) > 5, "pictures")
            assert call.incoming("audio").counts["late"] > 0
            pitch, purity = call.heard["audio"].pitch(50)
            assert abs(pitch - 440) < 2 and purity > 0.9

    run(test)


def test_a_rotation_loses_nothing(rng):
    """Eight new keys in a row, receivers first; then the old ones are dropped."""
    keys = [rng.randbytes(16) for _ in range(9)]

    async def test():
        mine, theirs = Keys(*to_seal(keys[0], 300)), Keys(to_open(keys[0], 300))
        async with calling(mine, theirs) as call:
            await call.connect(Tone())
            heard = call.heard["audio"]
            for number, key in enumerate(keys[1:], 301):
                had = len(heard)
                await until(lambda had=had: len(heard) > had + 5, "sound")
                theirs.say(to_open(key, number))
                await until(lambda n=number: n in call.bob.keys.scope().receiver.kids, "its key")
                mine.say(*to_seal(key, number), Drop("alice", number - 1))
                await until(lambda n=number: call.alice.keys.sealing.kid == n, "its use")
                await until(lambda n=number: opened(call, n), "frames under it")
                theirs.say(Drop("alice", number - 1))
            await until(lambda: call.bob.keys.scope().receiver.kids == (308,), "the last Drop")
            assert set(call.incoming("audio").counts) == {"opened"} and call.troubles == []

    run(test)


def opened(call, kid):
    flow = call.bob.key_flow().get("alice", {}).get(kid)
    return flow is not None and flow.opened > 3


def test_a_rotation_asks_for_a_key_frame(rng):
    key, other = rng.randbytes(16), rng.randbytes(16)

    async def test():
        mine, theirs = Keys(*to_seal(key)), Keys(to_open(key))
        async with calling(mine, theirs) as call:
            await call.connect(Film())
            sent = call.alice.outgoing[0]
            asked = []
            ask = sent.ask_for_key_frame
            sender = call.sends.getSenders()[0]
            sender._send_keyframe = lambda: (asked.append(1), ask())
            await until(lambda: len(call.heard["video"]) > 5, "pictures")
            asked.clear()
            theirs.say(to_open(other, 301))
            await until(lambda: asked, "a request")

    run(test)


def test_a_reconnection_is_heard_and_replays_are_not(rng):
    """The second connection has the same keyring, so what was recorded on the first stays shut."""
    key, recorded = rng.randbytes(16), []

    def record(data):
        recorded.append(data)
        return [data]

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Tone(), network=record)
            await until(lambda: len(call.heard["audio"]) > 20, "sound")
            await call.hang_up()
            await until(lambda: call.heard["audio"].ended, "the end of the track")
            await call.connect(Tone(1000), network=replayer(recorded))
            await until(lambda: len(call.heard["audio"]) > 60, "sound again")
            await until(lambda: call.incoming("audio").counts.get("replay", 0) > 10, "replays")
            assert abs(call.heard["audio"].pitch(30)[0] - 1000) < 5
            assert set(call.incoming("audio").counts) == {"opened", "replay"}

    run(test)


def replayer(recorded):
    """After each third packet one with the payload of an earlier connection."""
    old = [RtpPacket.parse(data).payload for data in recorded if not is_rtcp(data)][3:-5]
    sent = []

    def network(data):
        if is_rtcp(data):
            return [data]
        packet = RtpPacket.parse(data)
        payloads = [packet.payload, old.pop()] if len(sent) % 3 == 0 and old else [packet.payload]
        sent.append(len(payloads))
        extra = sum(sent) - len(sent) - (len(payloads) - 1)
        return [
            with_payload(data, payload, packet.sequence_number + extra + n, packet.timestamp + n)
            for n, payload in enumerate(payloads)
        ]

    return network


def with_payload(data, payload, number, timestamp):
    """A packet like this one, with its header extensions, and another payload."""
    head = len(data) - len(RtpPacket.parse(data).payload)
    start = bytearray(data[:head])
    start[2:4] = (number % (1 << 16)).to_bytes(2, "big")
    start[4:8] = (timestamp % (1 << 32)).to_bytes(4, "big")
    return bytes(start) + payload


def test_whatever_the_server_mixes_in(rng):
    """Empty packets, padding, garbage, altered frames, another room's: the tone goes on."""
    key, seen = rng.randbytes(16), []
    stranger = pysframe.Sender(GCM, kid=4711, base_key=rng.randbytes(16), next_ctr=0)

    def mixing(data):
        if is_rtcp(data):
            return [data]
        packet = RtpPacket.parse(data)
        number, payload = packet.sequence_number + len(seen), packet.payload
        seen.append(1)
        extra = (
            b"", rng.randbytes(60), payload[:-1] + bytes([payload[-1] ^ 1]), payload[:3],
            stranger.protect(b"of another room"),
        )[len(seen) % 5]  # fmt: skip
        added = with_payload(data, extra, number + 1, packet.timestamp + 1)
        if not extra and len(seen) % 2:  # the padding of RFC 3550 5.1
            added = bytes([added[0] | 0x20]) + added[1:] + b"\0\0\0\4"
        return [with_payload(data, payload, number, packet.timestamp), added]

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Tone(), network=mixing)
            await until(lambda: len(call.heard["audio"]) > 100, "sound")
            pitch, purity = call.heard["audio"].pitch()
            assert abs(pitch - 440) < 2 and purity > 0.9
            counts = call.incoming("audio").counts
            assert counts["empty"] > 10 and counts["keyID"] > 10
            assert counts.get("authentication", 0) + counts.get("replay", 0) > 10
            assert "error" not in counts and call.troubles == []
            assert len(call.heard["audio"]) <= counts["opened"]

    run(test)


def test_red_and_other_codecs_are_not_negotiated():
    """aiortc decodes none of them, so that none may be offered: their frames would be lost."""

    async def test():
        async with Session(Keys()) as bob:
            offers = RTCPeerConnection(configuration())
            offers.addTransceiver("audio")
            await offers.setLocalDescription(await offers.createOffer())
            said = offers.localDescription.sdp.replace(
                "a=rtpmap:96 opus/48000/2", "a=rtpmap:63 red/48000/2\r\na=rtpmap:96 opus/48000/2"
            ).replace("UDP/TLS/RTP/SAVPF 96", "UDP/TLS/RTP/SAVPF 63 96")
            assert "red" in said
            offer = RTCSessionDescription(said, "offer")
            answer = await bob.answer(bob.connection(), offer)
            assert "opus" in answer.sdp and "red" not in answer.sdp
            await offers.close()

    run(test)


def test_another_ssrc_and_a_renegotiation(rng):
    key = rng.randbytes(16)

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Tone())
            await until(lambda: len(call.heard["audio"]) > 20, "sound")
            call.sends.getSenders()[0]._ssrc ^= 1
            had = len(call.heard["audio"])
            await until(lambda: len(call.heard["audio"]) > had + 20, "sound of another SSRC")
            call.add(Film())
            await call.negotiate()
            await until(lambda: len(call.heard.get("video", [])) > 3, "pictures, added later")
            had = len(call.heard["audio"])
            await until(lambda: len(call.heard["audio"]) > had + 20, "sound, still")
            assert call.troubles == []

    run(test)


def test_lost_packets_come_again(rng):
    """RTX: what the network drops is sent again, on another SSRC and payload type, and opens."""
    key, dropped, kinds = rng.randbytes(16), [], {}

    def lossy(data):
        if is_rtcp(data):
            return [data]
        packet = RtpPacket.parse(data)
        kinds.setdefault(packet.ssrc, packet.payload_type)
        if packet.ssrc == next(iter(kinds)) and packet.sequence_number % 10 == 3:
            dropped.append(packet.sequence_number)
            return []
        return [data]

    async def test():
        async with calling(Keys(*to_seal(key)), Keys(to_open(key))) as call:
            await call.connect(Film(size=(480, 640)), network=lossy)
            await until(lambda: len(call.heard["video"]) > 30, "pictures")
            assert len(dropped) > 2 and len(set(kinds.values())) == 2
            assert call.incoming("video").counts["opened"] > 30

    run(test)
