"""The private names of aiortc: all are checked at import, and the error names what works."""

import queue
import threading
from importlib.metadata import requires
from types import SimpleNamespace

import isolated
import pytest
from aiortc import RTCRtpReceiver

from pysframe.adapters.aiortc import _private


def receiver(**changed):
    """A double of a receiver with something amiss."""
    real = RTCRtpReceiver("video", SimpleNamespace(state="new"))
    return SimpleNamespace(**vars(real) | changed)


class WithoutKeyFrame:
    def __init__(self):
        self._RTCRtpSender__encoder = None


class WithoutEncoder:
    def __init__(self):
        pass

    def _send_keyframe(self):
        pass


AMISS = {
    "RTCRtpReceiver.__decoder_queue": {"receiver": receiver(**{_private.DECODER_QUEUE: []})},
    "RTCRtpReceiver.__decoder_error": {"receiver": receiver(**{_private.DECODER_ERROR: None})},
    "RTCRtpReceiver.__decoder_thread": {"receiver": receiver(**{_private.DECODER_THREAD: 1})},
    "RTCPeerConnection.__createTransceiver": {"connection": object},
    "RTCRtpSender._send_keyframe": {"sender": WithoutKeyFrame},
    "RTCRtpSender.__encoder": {"sender": WithoutEncoder},
    "RTCRtpTransceiver._codecs": {"transceiver": SimpleNamespace(codecs=[])},
    "Vp8Encoder._packetize": {"video": [type("Vp8Encoder", (), {})]},
}


def test_this_aiortc_has_them_all():
    assert _private.missing() == []
    _private.check([])


@pytest.mark.parametrize("name", AMISS)
def test_one_that_is_missing_is_named(name):
    assert _private.missing(**AMISS[name]) == [name]
    with pytest.raises(
        ImportError, match=r"works with aiortc >=1\.16,<1\.17; aiortc 1\.16"
    ) as raised:
        _private.check([name])
    assert name in str(raised.value) and "pip install 'pysframe[aiortc]'" in str(raised.value)


def test_the_import_itself_checks():
    code = (
        "from aiortc import RTCPeerConnection\n"
        "del RTCPeerConnection._RTCPeerConnection__createTransceiver\n"
        "import pysframe.adapters.aiortc"
    )
    ran = isolated.python(code)
    assert "has no RTCPeerConnection.__createTransceiver" in ran.stderr.splitlines()[-1]


def test_the_extra_is_what_the_error_names():
    extra = [line for line in requires("pysframe") if "extra == 'aiortc'" in line.replace('"', "'")]
    wanted = sorted(_private.TESTED.removeprefix("aiortc ").split(","))
    named = sorted(extra[0].partition(";")[0].removeprefix("aiortc").strip(" ()").split(","))
    assert named == wanted


def test_the_names_are_of_those_kinds():
    real = RTCRtpReceiver("audio", SimpleNamespace(state="new"))
    assert isinstance(_private.decoder_queue(real), queue.Queue)
    assert not _private.is_decoding(real)
    _private.ask_for_key_frame(real)
    error = getattr(real, _private.DECODER_ERROR)
    assert isinstance(error, threading.Event) and error.is_set()
