"""What a line of the matrix must have seen, and for each measure its controls.

A measure is an assertion about what was seen. A control is the same assertion about the same call
with one thing broken, as it was seen there: it must fail, or the measure could not tell. Where a
measure is of several parties, or of sound and pictures, each has a control of its own.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from agent import ANSWER
from call import Counts, Seen
from refusing import (
    REFUSALS,
    bob,
    clear_media,
    decoder_of,
    in_place_of,
    instead,
    key_withheld,
    refused,
    sealed_as_clear_media,
    the_right_key_as_spy,
    the_right_key_as_stranger,
    wrong_key,
)

PREFETCHED = 20  # frames of sound that aiortc holds back, or drops, for a packet that was lost


class Measure(NamedTuple):
    holds: Callable[[Seen], None]
    broken: dict[str, Callable[[Seen], Seen]]  # by what is broken


def tone(seen: Seen) -> None:
    assert seen.agent_hears.is_at(seen.spoken), seen.agent_hears
    assert seen.bob_hears_alice.is_at(seen.spoken), seen.bob_hears_alice
    assert seen.bob_hears_agent.is_at(ANSWER), seen.bob_hears_agent


def pictures(seen: Seen) -> None:
    """What came is opened, and is pictures to bob's decoder."""
    counts, video = bob(seen, "alice", "video"), seen.video["bob-alice"]
    # A packet that is late is sent again, and a frame of which both came is then a replay.
    assert counts["passed"] > 20 and refused(counts) == counts["replay"], counts
    assert video["framesDecoded"] > 20 and video["frameWidth"] >= 320, video


def pictures_in_python(seen: Seen) -> None:
    assert seen.pictures_of_agent > 10, seen.pictures_of_agent


def layers(seen: Seen) -> None:
    assert seen.widths == [320, 1280], seen.widths


def layers_of_another(seen: Seen) -> Seen:
    """Of dave, who shows a server nothing; of VP9, of a connection that is asked for no layer."""
    return replace(seen, widths=seen.other_widths)


def nothing_clear(seen: Seen) -> None:
    """Of sealed frames that show nothing no picture is opened or seen, though they are encoded. The
    sound says that it is neither the connection nor the key. Where they end depends on who reads
    them: the sender finds nothing of H.264 to send (but where ciphertext looks like a start code,
    once in 2^24 bytes), the server keeps VP8, and what is cut into packets as AV1 comes as another.
    """
    counts, bare = bob(seen, "bare"), seen.more["bare"]
    assert counts["passed"] > 50 and refused(counts) == 0, counts
    assert bare["framesEncoded"] > 30, bare
    came = seen.counts.get("bob-bare video", {"passed": 0})
    assert came["passed"] <= bare["framesEncoded"] // 20, (bare, came)
    video = seen.video["bob-bare"]
    assert video.get("framesDecoded", 0) == 0, (video, bare)


def missing(counts: Counts) -> Counts:
    """Frames of sound that were sealed and have not been opened, but for those whose packets the
    network lost, as RTP's own numbers tell."""
    sealed = counts["sealed"]
    bob = sealed - counts["lost on the way to bob"] - counts["opened by bob"]
    agent = sealed - counts["opened by the agent"]
    excused = PREFETCHED * counts["lost on the way to the agent"]
    return {"sent": sealed - counts["sent"], "to bob": bob, "to the agent": max(0, agent - excused)}


def rotation(seen: Seen) -> None:
    """16 new keys in 8 s, each used: whatever alice has to say is sealed, sent, and opened by all
    who have the keys. It is counted between two silences, so that nothing is on its way."""
    rekeyed = seen.more["rekeyed"]
    assert rekeyed["keys"] == 16 and rekeyed["sealed"] >= 16, rekeyed
    refusals = ("not sealed", "refused by bob", "refused by the agent")
    assert not any(rekeyed[name] for name in refusals), rekeyed
    assert not any(missing(rekeyed).values()), (missing(rekeyed), rekeyed)
    assert rekeyed["tone"].is_at(seen.spoken), rekeyed


def without_the_new_keys(who: str, late: str) -> Callable[[Seen], Seen]:
    def broken(seen: Seen) -> Seen:
        rekeyed = seen.more["rekeyed"]
        return replace(seen, more=seen.more | {"rekeyed": rekeyed | {who: rekeyed[late]}})

    return broken


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


def sent_all_the_same(what: str) -> Callable[[Seen], Seen]:
    """Of carol, who sends in the clear: her sound, or how bright her pictures are."""

    def broken(seen: Seen) -> Seen:
        kept = {what: seen.more["recorded in clear"][what]}
        return replace(seen, more=seen.more | {"withheld": seen.more["withheld"] | kept})

    return broken


MEASURES = {
    "tone": Measure(
        tone,
        {
            "the agent hears what the spy hears": lambda seen: replace(
                seen, agent_hears=seen.spy.hears()
            ),
            "bob hears the agent for alice": lambda seen: replace(
                seen, bob_hears_alice=seen.bob_hears_agent
            ),
            "bob hears alice for the agent": lambda seen: replace(
                seen, bob_hears_agent=seen.bob_hears_alice
            ),
        },
    ),
    "pictures": Measure(
        pictures,
        {
            "bob has no key": instead("alice", "stranger", "video"),
            "bob's decoder has what the stranger's has": decoder_of("alice", "stranger"),
        },
    ),
    "pictures in Python": Measure(
        pictures_in_python,
        {"the spy's": lambda seen: replace(seen, pictures_of_agent=len(seen.spy.pictures))},
    ),
    "layers": Measure(
        layers,
        {"of who shows nothing, or is asked for none": layers_of_another},
    ),
    "wrong key": Measure(wrong_key, in_place_of("spy") | {"the agent": the_right_key_as_spy}),
    "key withheld": Measure(
        key_withheld, in_place_of("stranger") | {"the agent": the_right_key_as_stranger}
    ),
    "clear media": Measure(
        clear_media, in_place_of("clear") | {"the agent": sealed_as_clear_media}
    ),
    "nothing clear": Measure(
        nothing_clear,
        {
            "frames in their envelope": decoder_of("bare", "alice"),
            "they are opened": instead("bare", "alice", "video"),
            "it is the key": instead("bare", "stranger", "audio"),
        },
    ),
    "recording": Measure(recording, {"a recording in clear": a_recording_in_clear}),
    "decrypt": Measure(decrypt, {"by the spy": decrypted_by_the_spy}),
    "withheld": Measure(
        withheld,
        {
            "sound is sent all the same": sent_all_the_same("sound"),
            "pictures are": sent_all_the_same("brightest"),
        },
    ),
    "rotation": Measure(
        rotation,
        {
            "bob without the new keys": without_the_new_keys(
                "opened by bob", "opened by a bob without the new keys"
            ),
            "the agent without them": without_the_new_keys(
                "opened by the agent", "opened by an agent without them"
            ),
        },
    ),
    "loss 1 %": Measure(
        loss("1 %"), {"sound is altered": more_loss_when_sealed("1 %", "missed of alice")}
    ),
    "loss 5 %": Measure(
        loss("5 %"), {"pictures are altered": more_loss_when_sealed("5 %", "pictures of alice")}
    ),
    "abuse": Measure(abuse, {"nothing was altered": nothing_altered}),
}
