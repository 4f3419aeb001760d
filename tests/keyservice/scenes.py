"""What calls are made of: scenes that a test writes down, and scenes that are drawn.

Each act is possible wherever it stands: who is to go and is not there comes first. Pieces of a few
scenes lead to where keys change while something else happens, which single ones seldom do.
"""

from dataclasses import dataclass
from itertools import chain

from hypothesis import strategies as st

ROLES = {"alice": "publisher", "agent": "agent", "carol": "subscriber"}
FOREVER = 700.0  # longer than a credential lives


@dataclass(frozen=True)
class Scene:
    """What somebody does, what the network then does, how long that takes, and who speaks.

    act: come, go, rotate, renew, need, stutter, or idle. network: prompt (all arrives), posted (it
    reaches the service alone), read (members read, and what they say stays on its way), lost (they
    read, and what they say is lost), or still. speech: now; late, which arrives after the speech of
    the scene that follows; or none.
    """

    act: str
    name: str = "alice"
    network: str = "prompt"
    seconds: float = 0.0
    speech: str = "now"


NAMES, SENDERS = st.sampled_from(list(ROLES)), st.sampled_from(["alice", "agent"])
MOMENTS = st.sampled_from([0.0, 0.05, 0.2])
NETWORKS = st.sampled_from(["prompt", "prompt", "posted", "read", "lost", "still"])
SCENES = st.builds(
    Scene,
    st.sampled_from(["come", "go", "rotate", "renew", "need", "stutter", "idle"]),
    NAMES,
    NETWORKS,
    st.sampled_from([0.0, 0.05, 0.2, 0.5, 3.0, 11.0]),
    st.sampled_from(["now", "now", "late", "none"]),
)


ROTATING = st.sampled_from(["rotate", "renew", "go"])
PAIRS = st.permutations(list(ROLES)).filter(lambda names: names[0] != "carol")


@st.composite
def gone_meanwhile(draw):
    """Somebody goes while a new generation of somebody else waits for its use."""
    sender, other, third = draw(PAIRS)
    act, whose = draw(st.sampled_from([("rotate", sender), ("renew", sender), ("go", third)]))
    return [
        Scene("come", other, seconds=0.2),
        Scene(act, whose, "posted", speech="late"),
        Scene("go", other, draw(st.sampled_from(["read", "prompt"])), draw(MOMENTS)),
        Scene("idle", seconds=0.5),
    ]


@st.composite
def come_and_ask(draw):
    """Somebody comes right after a change of keys, and asks before the next step is due."""
    before, name = draw(NAMES), draw(NAMES)
    return [
        Scene(draw(st.sampled_from(["come", "rotate"])), before),
        Scene("come", name, "read", speech="none"),
        Scene("need", name, draw(st.sampled_from(["read", "prompt"])), draw(MOMENTS)),
    ]


@st.composite
def late_frames(draw):
    """Frames are on their way while keys change."""
    return [
        Scene("idle", seconds=0.5, speech="late"),
        Scene("rotate", draw(SENDERS), "prompt", draw(MOMENTS)),
    ]


@st.composite
def lost_keys(draw):
    """Keys change, and nobody is told."""
    return [Scene(draw(ROTATING), draw(SENDERS), "lost", 0.5)]


@st.composite
def time_passes(draw):
    """Until a generation has been used for long, or until all credentials end; then who is there
    gets a new one, or most that follows would be a call of the deaf."""
    seconds = draw(st.sampled_from([301.0, FOREVER, FOREVER]))
    renewed = [Scene("renew", name, speech="none") for name in ("alice", "agent")]
    return [Scene("idle", seconds=seconds), *renewed, Scene("idle", seconds=0.5)]


DELICATE = st.one_of(gone_meanwhile(), come_and_ask(), late_frames(), lost_keys(), time_passes())
PIECES = st.one_of(st.lists(SCENES, min_size=1, max_size=3), DELICATE)


def scripts():
    """Calls of a few pieces, half of them delicate."""
    return st.lists(PIECES, min_size=1, max_size=5).map(lambda pieces: [*chain(*pieces)])
