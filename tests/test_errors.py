"""The exception tree, the statuses, and the codes that C and Python share."""

import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest

from pysframe import errors
from pysframe.errors import FrameRejected, FrameStatus, MisuseCode, MisuseError, SFrameError

SFR_H = (Path(__file__).parents[1] / "csrc" / "sfr.h").read_text()
CODES = {name: int(value) for name, value in re.findall(r"SFR_(\w+) = (-?\d+)[,\s]", SFR_H)}
REJECTED = [status for status in FrameStatus if status]


def exception_classes():
    classes = inspect.getmembers(errors, inspect.isclass)
    return {cls for _name, cls in classes if issubclass(cls, Exception)}


def test_the_tree_drawn_at_the_top_is_the_tree():
    tree = [line for line in errors.__doc__.splitlines() if line.startswith("    ")]
    drawn = {line.strip(" |+-").split()[0] for line in tree}
    assert {cls.__name__ for cls in exception_classes()} == drawn


def test_the_caller_s_fault_and_the_network_s_never_mix():
    for cls in exception_classes() - {SFrameError}:
        assert issubclass(cls, MisuseError) != issubclass(cls, FrameRejected), cls
    assert issubclass(MisuseError, ValueError)
    assert not issubclass(FrameRejected, ValueError)


def test_statuses_and_codes_are_those_of_the_c_header():
    names = {"MALFORMED", "UNKNOWN_KEY", "REPLAYED", "TOO_OLD", "OK"}
    assert {name: CODES[name] for name in names} == {name: FrameStatus[name] for name in names}
    assert CODES["AUTH_FAILED"] == FrameStatus.AUTHENTICATION_FAILED
    of_c = {name.removeprefix("E_"): code for name, code in CODES.items() if code < 0}
    # Running out of memory is nobody's misuse: engines raise MemoryError.
    assert of_c.pop("NO_MEMORY") == -11
    assert of_c == {code.name: code.value for code in MisuseCode}


@pytest.mark.parametrize("status", REJECTED, ids=lambda status: status.name)
def test_every_status_has_one_exception(status):
    error = errors.rejection(status, 0x1F, 7)
    assert isinstance(error, FrameRejected)
    assert error.status is status
    assert (error.kid, error.ctr) == (0x1F, 7)
    assert sum(cls.__dict__.get("status") is status for cls in exception_classes()) == 1


@pytest.mark.parametrize("status", REJECTED, ids=lambda status: status.name)
def test_a_rejection_says_what_where_and_what_to_do(status):
    message = str(errors.rejection(status, 0x1F, 7, "SEEN"))
    assert "SEEN" in message
    assert "; " in message
    if status != FrameStatus.MALFORMED:
        assert "KID 0x1f" in message
    if status not in (FrameStatus.MALFORMED, FrameStatus.UNKNOWN_KEY):
        assert "CTR 7" in message


def test_a_rejection_without_a_header_has_no_kid():
    error = errors.rejection(FrameStatus.MALFORMED)
    assert (error.kid, error.ctr) == (None, None)
    assert "no well-formed header" in str(error)


def test_ok_is_no_rejection():
    with pytest.raises(KeyError):
        errors.rejection(FrameStatus.OK)


def test_words_are_those_of_the_browser_s_error_event():
    words = {status.name: status.word for status in FrameStatus}
    assert words == {
        "OK": "",
        "MALFORMED": "syntax",
        "UNKNOWN_KEY": "keyID",
        "AUTHENTICATION_FAILED": "authentication",
        "REPLAYED": "replay",
        "TOO_OLD": "replay",
    }


@pytest.mark.parametrize("code", MisuseCode, ids=lambda code: code.name)
def test_every_code_has_a_message_that_says_what_to_do(code):
    known = {"kid": 0x1F, "size": 99, "limit": 77, "reason": "ratcheted on"}
    error = errors.misuse(code, **known)
    assert isinstance(error, MisuseError)
    assert "{" not in str(error)
    assert str(errors.misuse(code, **known, row=17)) == f"row 17: {error}"
    assert type(errors.misuse(code, **known, row=17)) is type(error)


def test_codes_become_the_classes_of_the_tree():
    named = {code: type(errors.misuse(code)) for code in MisuseCode}
    assert named[MisuseCode.RETIRED] is named[MisuseCode.FORKED] is errors.SenderRetired
    assert named[MisuseCode.CTR_EXHAUSTED] is errors.CounterExhausted
    assert named[MisuseCode.LEASE_ENDED] is errors.CounterExhausted
    assert named[MisuseCode.BLOCKS_ENDED] is errors.LeaseEnded
    assert named[MisuseCode.KEY_EXHAUSTED] is errors.KeyExhausted
    assert named[MisuseCode.DUPLICATE] is errors.DuplicateSender
    plain = ("TOO_LARGE", "OVERLAP", "ROOM", "ARGUMENT", "CONFLICT")
    assert {named[MisuseCode[name]] for name in plain} == {MisuseError}


def test_sizes_and_reasons_are_in_the_message():
    assert "20 are needed" in str(errors.misuse(MisuseCode.ROOM, size=20, limit=3))
    assert "out has 3 bytes" in str(errors.misuse(MisuseCode.ROOM, size=20, limit=3))
    assert "ratcheted on" in str(errors.misuse(MisuseCode.RETIRED, kid=1, reason="ratcheted on"))
    assert str(errors.misuse(MisuseCode.ARGUMENT, reason="clear is 9")) == "clear is 9"


@pytest.mark.parametrize("status", REJECTED, ids=lambda status: status.name)
def test_rejections_survive_pickle_and_copy(status):
    error = errors.rejection(status, 0x1F, 7, "seen")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), again.kid, again.ctr) == (str(error), error.kid, error.ctr)
