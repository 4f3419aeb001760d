"""Who must hear and see nothing, and be told why: a wrong key, no key, media in the clear.

Rule: every one is judged as an agent in Python and in a page, by sound and by pictures.
"""

from collections.abc import Callable
from dataclasses import replace

from agent import Agent, Named
from call import Counts, Seen

from pysframe.source import TroubleKind

REFUSALS = ("authentication", "keyID", "syntax", "replay", "failed")
FEWEST = {"audio": 50, "video": 20}  # frames


def bob(seen: Seen, connection: str, kind: str = "audio") -> Counts:
    """Of a transform of bob's page: frames by what became of them."""
    return seen.counts[f"bob-{connection} {kind}"]


def refused(counts: Counts) -> int:
    return sum(counts[name] for name in REFUSALS)


def instead(connection: str, other: str, kind: str) -> Callable[[Seen], Seen]:
    """One connection of bob's with the counts of another one, of sound or of pictures."""

    def broken(seen: Seen) -> Seen:
        counts = {f"bob-{connection} {kind}": bob(seen, other, kind)}
        return replace(seen, counts=seen.counts | counts)

    return broken


def decoder_of(connection: str, other: str) -> Callable[[Seen], Seen]:
    """One connection of bob's with what the decoder of another one has made."""

    def broken(seen: Seen) -> Seen:
        video = {f"bob-{connection}": seen.video[f"bob-{other}"]}
        return replace(seen, video=seen.video | video)

    return broken


def shut_out(seen: Seen, connection: str, fault: TroubleKind, reason: str | None = None) -> None:
    """A connection of bob's opens nothing, of sound or pictures, and its decoder has no picture.
    His page is told why of both, and of the sound within a second of its first frame."""
    for kind, fewest in FEWEST.items():
        counts = bob(seen, connection, kind)
        why = counts[reason] if reason else refused(counts)
        assert counts["passed"] == 0 and why > fewest, (kind, counts)
        said = seen.named[f"bob-{connection} {kind}"]
        assert said["fault"] == fault.value, (kind, said)
    video, said = seen.video[f"bob-{connection}"], seen.named[f"bob-{connection} audio"]
    assert video.get("framesDecoded", 0) == 0, video
    assert Named(said["seconds"], said["frames"]).in_a_second, said


def in_place_of(connection: str) -> dict[str, Callable[[Seen], Seen]]:
    """The controls of shut_out(): somebody with the key has that connection."""
    return {
        "bob opens sound": instead(connection, "alice", "audio"),
        "bob opens pictures": instead(connection, "alice", "video"),
        "bob decodes pictures": decoder_of(connection, "alice"),
        "bob is told of another fault": told_another(connection),
        "bob is told late": told_late(connection),
    }


def told_another(connection: str) -> Callable[[Seen], Seen]:
    """As the page is told of the stranger or, for him, of the spy."""
    other = "spy" if connection == "stranger" else "stranger"

    def broken(seen: Seen) -> Seen:
        said = {f"bob-{connection} audio": seen.named[f"bob-{other} audio"]}
        return replace(seen, named=seen.named | said)

    return broken


def told_late(connection: str) -> Callable[[Seen], Seen]:
    def broken(seen: Seen) -> Seen:
        said = seen.named[f"bob-{connection} audio"] | {"seconds": 1.5, "frames": 75}
        return replace(seen, named=seen.named | {f"bob-{connection} audio": said})

    return broken


def named(party: Agent, state: str, kind: TroubleKind) -> None:
    """It opens nothing, and says why within a second of the first frame, in words as well."""
    assert party.opened("audio") + party.opened("video") == 0, party.troubles
    assert party.refused("audio") > 50, party.troubles
    assert state in party.named and party.named[state].in_a_second, party.named
    assert party.troubles and party.troubles[0].kind is kind, party.troubles
    assert not party.hears().is_heard, party.hears()


def wrong_key(seen: Seen) -> None:
    named(seen.spy, "WRONG_KEY", TroubleKind.WRONG_KEY)
    shut_out(seen, "spy", TroubleKind.WRONG_KEY, "authentication")


def the_right_key_as_spy(seen: Seen) -> Seen:
    return replace(seen, spy=seen.agent)


def key_withheld(seen: Seen) -> None:
    named(seen.stranger, "MISSING_KEY", TroubleKind.MISSING_KEY)
    shut_out(seen, "stranger", TroubleKind.MISSING_KEY, "keyID")


def the_right_key_as_stranger(seen: Seen) -> Seen:
    return replace(seen, stranger=seen.agent)


def clear_media(seen: Seen) -> None:
    """Somebody publishes in the clear, and whoever expects sealed media refuses it by name."""
    agent = seen.more["agent of clear media"]
    named(agent, "NOT_SFRAME", TroubleKind.NOT_SFRAME)
    # Clear bytes have a KID and a counter, too, for who takes them for SFrame.
    assert {trouble.kind for trouble in agent.troubles} == {TroubleKind.NOT_SFRAME}, agent.troubles
    shut_out(seen, "clear", TroubleKind.NOT_SFRAME)


def sealed_as_clear_media(seen: Seen) -> Seen:
    return replace(seen, more=seen.more | {"agent of clear media": seen.agent})
