"""What a line of the matrix must have seen, and for each measure a control.

A measure is an assertion about what was seen. Its control is the same assertion about the same call
with one thing broken, as it was seen there: it must fail, or the measure could not tell.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from agent import ANSWER, Agent
from call import Counts, Seen
from servers import OF_AIORTC

from pysframe.source import TroubleKind

REFUSALS = ("authentication", "keyID", "syntax", "replay", "failed")


class Measure(NamedTuple):
    holds: Callable[[Seen], None]
    broken: Callable[[Seen], Seen]


def bob(seen: Seen, connection: str, kind: str = "audio") -> Counts:
    """Of a transform of bob's page: frames by what became of them."""
    return seen.counts[f"bob-{connection} {kind}"]


def refused(counts: Counts) -> int:
    return sum(counts[name] for name in REFUSALS)


def tone(seen: Seen) -> None:
    assert seen.agent_hears.is_at(seen.spoken), seen.agent_hears
    assert seen.bob_hears_alice.is_at(seen.spoken), seen.bob_hears_alice
    assert seen.bob_hears_agent.is_at(ANSWER), seen.bob_hears_agent


def tone_of_the_spy(seen: Seen) -> Seen:
    return replace(seen, agent_hears=seen.spy.hears())


def pictures(seen: Seen) -> None:
    """What came is opened, and is pictures to bob's decoder, and the agent's if it has one."""
    counts = bob(seen, "alice", "video")
    # A packet that is late is sent again, and a frame of which both came is then a replay.
    assert counts["passed"] > 20 and refused(counts) == counts["replay"], counts
    assert seen.bob_video["framesDecoded"] > 20, seen.bob_video
    assert seen.bob_video["frameWidth"] >= 320, seen.bob_video
    assert seen.pictures_of_agent > 10 or seen.codec not in OF_AIORTC, seen.pictures_of_agent


def pictures_without_a_key(seen: Seen) -> Seen:
    strangers = {"bob-alice video": bob(seen, "stranger", "video")}
    return replace(seen, counts=seen.counts | strangers)


def layers(seen: Seen) -> None:
    assert seen.widths == [320, 1280]


def layers_that_stay(seen: Seen) -> Seen:
    """As dave has them, who shows a server nothing; without him, as they were before."""
    before = [seen.bob_video["frameWidth"]] * 2
    return replace(seen, widths=seen.more.get("bare widths", before))


def named(party: Agent, state: str, kind: TroubleKind) -> None:
    """It opens nothing, and says why within a second of the first frame, in words as well."""
    assert party.opened("audio") + party.opened("video") == 0, party.troubles
    assert party.refused("audio") > 50, party.troubles
    assert state in party.named and party.named[state].in_a_second, party.named
    assert party.troubles and party.troubles[0].kind is kind, party.troubles
    assert not party.hears().is_heard, party.hears()


def wrong_key(seen: Seen) -> None:
    named(seen.spy, "WRONG_KEY", TroubleKind.WRONG_KEY)
    counts = bob(seen, "spy")
    assert counts["passed"] == 0 and counts["authentication"] > 50, counts


def the_right_key_as_spy(seen: Seen) -> Seen:
    return replace(seen, spy=seen.agent)


def key_withheld(seen: Seen) -> None:
    named(seen.stranger, "MISSING_KEY", TroubleKind.MISSING_KEY)
    counts = bob(seen, "stranger")
    assert counts["passed"] == 0 and counts["keyID"] > 50, counts


def the_right_key_as_stranger(seen: Seen) -> Seen:
    return replace(seen, stranger=seen.agent)


def clear_media(seen: Seen) -> None:
    """Somebody publishes in the clear, and whoever expects sealed media refuses it by name."""
    agent = seen.more["agent of clear media"]
    named(agent, "NOT_SFRAME", TroubleKind.NOT_SFRAME)
    # Clear bytes have a KID and a counter, too, for who takes them for SFrame.
    assert {trouble.kind for trouble in agent.troubles} == {TroubleKind.NOT_SFRAME}, agent.troubles
    counts = bob(seen, "clear")
    assert counts["passed"] == 0 and refused(counts) > 50, counts


def sealed_as_clear_media(seen: Seen) -> Seen:
    return replace(seen, more=seen.more | {"agent of clear media": seen.agent})


def nothing_clear(seen: Seen) -> None:
    """A sealed frame that shows nothing: the server lets no picture through, and the sound says
    that it is not the connection."""
    counts, video = bob(seen, "bare"), bob(seen, "bare", "video")
    assert counts["passed"] > 50 and refused(counts) == 0, counts
    assert video["passed"] == 0, video


def the_envelope_as_nothing_clear(seen: Seen) -> Seen:
    return replace(seen, counts=seen.counts | {"bob-bare video": bob(seen, "alice", "video")})


def missing(counts: Counts) -> Counts:
    """Frames of sound that were sealed and have not been opened, but for those whose packets the
    network lost, as RTP's own numbers tell. (aiortc waits for what was lost, and drops more.)"""
    sealed = counts["sealed"]
    bob = sealed - counts["lost on the way to bob"] - counts["opened by bob"]
    agent = sealed - counts["opened by the agent"]
    return {
        "sent": sealed - counts["sent"],
        "to bob": bob,
        "to the agent": 0 if counts["lost on the way to the agent"] else agent,
    }


def rotation(seen: Seen) -> None:
    """16 new keys in 8 s, each used: whatever alice has to say is sealed, sent, and opened by all
    who have the keys. It is counted between two silences, so that nothing is on its way."""
    rekeyed = seen.more["rekeyed"]
    assert rekeyed["keys"] == 16 and rekeyed["sealed"] >= 16, rekeyed
    refusals = ("not sealed", "refused by bob", "refused by the agent")
    assert not any(rekeyed[name] for name in refusals), rekeyed
    assert not any(missing(rekeyed).values()), (missing(rekeyed), rekeyed)
    assert rekeyed["tone"].is_at(seen.spoken), rekeyed


def without_the_new_keys(seen: Seen) -> Seen:
    late = {"opened by bob": seen.more["rekeyed"]["opened by who got no new key"]}
    return replace(seen, more=seen.more | {"rekeyed": seen.more["rekeyed"] | late})


def loss(percent: str) -> Callable[[Seen], None]:
    """Of sound, what the browser had to invent. Of pictures, those that it could have had whole and
    did not get: how many packets a picture has, and so how many a lost packet hits, is chance."""

    def holds(seen: Seen) -> None:
        lost = seen.more["loss"][percent]
        assert lost["dropped of alice"] == lost["dropped of carol"] > 0, lost
        assert lost["missed of alice"] <= lost["missed of carol"] + 0.01, lost
        shown, plain = lost["pictures of alice"], lost["pictures of carol"]
        assert min(shown["dropped"], plain["dropped"]) > 0, lost
        assert missed(shown) <= missed(plain) + 0.01, lost

    return holds


def missed(pictures: Counts) -> float:
    return (pictures["frames"] - pictures["hit"] - pictures["passed"]) / pictures["frames"]


def more_loss_when_sealed(percent: str, of: str) -> Callable[[Seen], Seen]:
    """What is seen when some sealed packets are altered as well, of sound or of pictures."""

    def broken(seen: Seen) -> Seen:
        worse = seen.more["loss"][percent] | {of: seen.more["loss"]["altered"][of]}
        return replace(seen, more=seen.more | {"loss": {percent: worse}})

    return broken


def abuse(seen: Seen) -> None:
    """Of delayed, reordered, duplicated, altered packets the altered are refused, they alone."""
    abused = seen.more["abused"]
    counts = abused["counts"]
    assert min(abused["sfu"][name] for name in ("duplicated", "reordered", "altered")) > 5, abused
    few = range(abused["sfu"]["altered"] - 2, abused["sfu"]["altered"] + 1)  # or lost on the way
    assert counts["authentication"] in few, abused
    assert refused(counts) == counts["authentication"], abused
    assert abused["tone"].is_at(seen.spoken), abused


def nothing_altered(seen: Seen) -> Seen:
    before = {"counts": {name: 0 for name in REFUSALS}}
    return replace(seen, more=seen.more | {"abused": seen.more["abused"] | before})


def recording(seen: Seen) -> None:
    """The server's own copy: with the key every frame opens to the tone, without it it is noise."""
    recorded = seen.recorded
    assert recorded["frames"] > 150 and recorded["opened"] == recorded["frames"], recorded
    assert recorded["with the key"].is_at(seen.spoken), recorded
    noise = recorded["without it"]
    assert noise.purity < 0.4 and not noise.is_at(seen.spoken), recorded


def a_recording_in_clear(seen: Seen) -> Seen:
    return replace(seen, recorded=seen.recorded | {"without it": seen.recorded["with the key"]})


def decrypt(seen: Seen) -> None:
    """`pysframe decrypt` on the server's files: every frame that is whole in them comes out with
    the key, and nothing does under another one, not even a part of a file."""
    done, recorded = seen.restored, seen.recorded
    report = done.report
    assert done.status == 0 and report["ok"] and not report["rejected"], report
    opened = {kind: 0 for kind in ("audio", "video")}
    for track in report["tracks"]:
        opened["audio" if track["codec"] == "OPUS" else "video"] += track["opened"]
    assert done.written == opened, (done.written, report)
    assert opened["audio"] == recorded["frames"], (opened, recorded)
    assert opened["video"] >= recorded["pictures"] > 20, (opened, recorded, report)
    assert done.sound.is_at(seen.spoken) and done.pictures > 20, done
    spy = seen.restored_by_spy
    assert spy.status == 1 and not spy.left and not spy.report["opened"], spy
    assert {kid["verdict"] for kid in spy.report["kids"]} == {"wrong key"}, spy.report


def decrypted_by_the_spy(seen: Seen) -> Seen:
    return replace(seen, restored=seen.restored_by_spy)


def withheld(seen: Seen) -> None:
    """The transform never comes: what the server has of the publisher is silence and black."""
    kept = seen.more["withheld"]
    assert kept["frames"] > 50 and kept["pictures"] > 5 and kept["live"] == [], kept
    assert kept["sound"].level < 0.001, kept
    assert kept["brightest"] < 20, kept


def sent_all_the_same(seen: Seen) -> Seen:
    kept = {"sound": seen.more["recorded in clear"]}
    return replace(seen, more=seen.more | {"withheld": seen.more["withheld"] | kept})


MEASURES = {
    "tone": Measure(tone, tone_of_the_spy),
    "pictures": Measure(pictures, pictures_without_a_key),
    "layers": Measure(layers, layers_that_stay),
    "wrong key": Measure(wrong_key, the_right_key_as_spy),
    "key withheld": Measure(key_withheld, the_right_key_as_stranger),
    "clear media": Measure(clear_media, sealed_as_clear_media),
    "nothing clear": Measure(nothing_clear, the_envelope_as_nothing_clear),
    "recording": Measure(recording, a_recording_in_clear),
    "decrypt": Measure(decrypt, decrypted_by_the_spy),
    "withheld": Measure(withheld, sent_all_the_same),
    "rotation": Measure(rotation, without_the_new_keys),
    "loss 1 %": Measure(loss("1 %"), more_loss_when_sealed("1 %", "missed of alice")),
    "loss 5 %": Measure(loss("5 %"), more_loss_when_sealed("5 %", "pictures of alice")),
    "abuse": Measure(abuse, nothing_altered),
}
