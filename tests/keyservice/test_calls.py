"""The model of a call holds, and each planted fault breaks it."""

from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from keyservice.calls import Calls
from keyservice.scenes import FOREVER, Scene, scripts

from pysframe.keyservice import SealedKey, member, own_keys, sender_keys
from pysframe.keyservice.heard_keys import HeardKeys
from pysframe.keyservice.member import RoomMember
from pysframe.keyservice.own_keys import Give, OwnKeys

# A tenth of what other properties get: each example is a whole call.
CALLS = max(20, settings().max_examples // 10)
SHOWN_WITHIN = 100  # calls
THE_SAME_IN_EACH_RUN = {
    "derandomize": True,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "report_multiple_bugs": False,
}


@settings(max_examples=CALLS, **THE_SAME_IN_EACH_RUN)
@given(scripts())
def test_who_must_hear_hears_and_who_must_not_cannot(scenes):
    Calls().play(scenes)


# ---- seeded faults: of rotation, of the member, of the service ----


def no_step(self, current, newcomers, now):
    """Whoever comes gets the key in use."""
    current.given |= newcomers
    return [Give(current.key, frozenset(newcomers))]


def blind(self, hearing, now):
    """Nobody goes; a generation is made every five minutes only."""
    self._wanted |= self._pending is None and now >= self._renew_at


def void_is_used(self, hearing, now):
    """Who goes while a generation waits for its use is not noticed."""
    if self._pending is None:
        honest_notice(self, hearing, now)


def to_whoever_asks(self, index):
    held = [one for one in (self._current, self._pending) if one]
    return [Give(one.key, frozenset({index})) for one in held]


def at_once(self, kid, now):
    """The key before goes with the first frame under the next."""
    pace, self._pace = self._pace, own_keys.Pace(keep=0.0)
    honest_flowing(self, kid, now)
    self._pace = pace


def silent(self, index, now, out):
    """A missing key is not asked for."""


def one_index(self):
    """The service gives the first index to everybody."""
    self.next_index = 0
    return honest_revision(self)


def not_for_carol(self, post):
    """The service hands one member no key."""
    if isinstance(post, SealedKey):
        seals = {name: seal for name, seal in post.seals.items() if name != "carol"}
        post = SealedKey(post.header, seals)
    honest_takes(self, post)


honest_notice, honest_flowing = OwnKeys._notice_who_went, HeardKeys.flowing
honest_revision, honest_takes = Calls.next_revision, Calls.takes
FOR_EVER = {
    "is_valid": lambda membership, now: True,
    "refuse_expired": lambda membership, now: None,
}

# By who is at fault: what is done wrong, and a call that shows it.
FAULTS = {
    "rotation: a joiner gets the key in use": (
        [mock.patch.object(OwnKeys, "_ratchet", no_step)],
        [Scene("idle", seconds=0.2), Scene("come", "carol")],
    ),
    "rotation: a leave changes no key": (
        [mock.patch.object(OwnKeys, "_notice_who_went", blind)],
        [Scene("come", "carol", seconds=0.2), Scene("go", "carol", seconds=0.6)],
    ),
    "rotation: a void generation is used": (
        [mock.patch.object(OwnKeys, "_notice_who_went", void_is_used)],
        [
            Scene("come", "carol", seconds=0.2),
            Scene("rotate", "alice", "posted"),
            Scene("go", "carol", "read", 0.6),
        ],
    ),
    "rotation: whoever asks is given the key": (
        [mock.patch.object(OwnKeys, "again", to_whoever_asks)],
        [Scene("rotate"), Scene("come", "carol", "read"), Scene("need", "carol")],
    ),
    "member: the key before goes at once": (
        [mock.patch.object(HeardKeys, "flowing", at_once)],
        [Scene("idle", seconds=0.5, speech="late"), Scene("rotate", seconds=0.2)],
    ),
    "member: a missing key is not asked for": (
        [mock.patch.object(RoomMember, "_ask", silent)],
        [Scene("idle", seconds=0.5), Scene("rotate", "alice", "lost", 0.5)],
    ),
    "member: credentials never end": (
        [
            mock.patch.multiple(member, is_valid=FOR_EVER["is_valid"]),
            mock.patch.multiple(sender_keys, **FOR_EVER),
        ],
        [Scene("idle", seconds=FOREVER)],
    ),
    "service: one index for everybody": (
        [mock.patch.object(Calls, "next_revision", one_index)],
        [Scene("idle")],
    ),
    "service: a leave is not told": (
        [mock.patch.object(Calls, "sees_off", lambda self, name: None)],
        [Scene("go", "agent")],
    ),
    "service: a member is handed no key": (
        [mock.patch.object(Calls, "takes", not_for_carol)],
        [Scene("come", "carol")],
    ),
}


@pytest.fixture
def planted():
    def plant(fault):
        for patch in FAULTS[fault][0]:
            patch.start()

    yield plant
    mock.patch.stopall()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_in_a_call_that_is_written_down(fault, planted):
    script = FAULTS[fault][1]
    Calls().play(script)
    planted(fault)
    with pytest.raises(AssertionError):
        Calls().play(script)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_in_calls_that_are_drawn(fault, planted, record_property):
    """Without shrinking: the first one that shows it is enough."""
    broken = []

    @settings(max_examples=SHOWN_WITHIN, phases=[Phase.generate], **THE_SAME_IN_EACH_RUN)
    @given(scripts())
    def calls(scenes):
        broken.append(True)
        Calls().play(scenes)
        broken[-1] = False

    planted(fault)
    with pytest.raises(AssertionError):
        calls()
    record_property("figure", f"{fault}: shown by call {broken.index(True) + 1}")
