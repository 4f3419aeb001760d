"""A known answer for every suite: the frames of RFC 9605 C.3, and of its draft for suites 6-8.

Opening runs the whole path of a receiver: header, key schedule, nonce, AAD, cipher and tag.
"""

from types import ModuleType

from ..errors import FrameRejected, FrameStatus
from ..suites import CipherSuite
from ._parts import trouble
from ._types import KeyKind

BASE_KEY = bytes(range(16))
KID = 0x123
METADATA = b"IETF SFrame WG"
PLAINTEXT = b"draft-ietf-sframe-enc"
CIPHERTEXTS = {
    1: "9901234567449408b6f490086165b9d6f62b24ae1a59a56486b4ae8ed036b88912e24f11",
    2: "99012345673f31438db4d09434e43afa0f8a2f00867a2be085046a9f5cb4f101d607",
    3: "990123456717fc8af28a5a695afcfc6c8df6358a17e26b2fcb3bae32e443",
    4: "9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018ce4adb34eb",
    5: "990123456794f509d36e9beacb0e261d99c7d1e972f1fed787d4049f17ca21353c1cc24d56ceabced279",
    6: "9901234567b369e03ec6467ad505ddc84914115069280c5c797555be6e32cde6ac25bc9e",
    7: "990123456797cb5644d8831ff8bdc080249990b24b569144cab2a87be22c20d97976",
    8: "9901234567112a94a288b85b49ffef1d279f2830165c39d76cac8884011c",
}


def run(engine: ModuleType, kernel: str) -> str:
    """ "ok", or the suites for which this engine and kernel give a wrong answer."""
    receiver_class = type("Receiver", (engine.ReceiverCore,), {"_kernel": kernel})
    verdicts = [_verdict(engine, receiver_class, suite) for suite in CipherSuite]
    failed = ", ".join(verdict for verdict in verdicts if verdict)
    return f"wrong answers: {failed}" if failed else "ok"


def _verdict(engine: ModuleType, receiver_class: type, suite: CipherSuite) -> str:
    """The suite's name, and the error if there was one, unless its answer is right."""
    right = []
    broken = trouble(lambda: right.append(_opens(engine, receiver_class, suite)))
    if broken:
        return f"{suite.name} ({broken})"
    return "" if right == [True] else suite.name


def _opens(engine: ModuleType, receiver_class: type, suite: CipherSuite) -> bool:
    receiver = receiver_class()
    receiver._open(suite, 0, 1 << 10, True)
    receiver._add(KID, engine.Secret(suite, BASE_KEY), KeyKind.GIVEN)
    ciphertext = bytes.fromhex(CIPHERTEXTS[suite])
    try:
        right: bool = receiver.unprotect(ciphertext, METADATA) == PLAINTEXT
    except FrameRejected:
        return False
    return right and _refuses(receiver, ciphertext)


def _refuses(receiver: object, ciphertext: bytes) -> bool:
    spoiled = ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,))
    try:
        receiver.unprotect(spoiled, METADATA)  # type: ignore[attr-defined]
    except FrameRejected as error:
        return error.status == FrameStatus.AUTHENTICATION_FAILED
    return False
