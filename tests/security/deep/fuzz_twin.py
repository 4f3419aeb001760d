"""What atheris runs: headers and frames at the plain-Python engine. A script, not a test.

    python fuzz_twin.py [libFuzzer's options]

It holds keys and seals what the input describes, so that most executions open. It prints
"fuzz: N executions, M opened" now and then; libFuzzer ends without Python's exit handlers.
"""

import os
import sys

import atheris

os.environ["PYSFRAME_BACKEND"] = "fallback"
with atheris.instrument_imports(include=["pysframe"]):
    import pysframe

KIDS = (0, 7, 8, 300, 2**64 - 1)
SUITES = [s for s in pysframe.CipherSuite if not s.has_short_tag]
COUNTS = {"executions": 0, "opened": 0}
receivers = {suite: pysframe.Receiver(suite, replay_window=0) for suite in SUITES}
senders = {}
for suite, receiver in receivers.items():
    for kid in KIDS:
        base_key = bytes([suite, *range(15)])
        receiver.add_key(kid, base_key)
        senders[suite, kid] = pysframe.Sender(suite, kid=kid, base_key=base_key, next_ctr=0)


def headers(data: bytes) -> None:
    for strict in (True, False):
        try:
            header = pysframe.Header.parse(data, strict=strict)
        except pysframe.MalformedFrame:
            continue
        encoded = pysframe.Header(header.kid, header.ctr).encode()
        assert len(encoded) <= header.size <= len(data)
        assert not strict or data.startswith(encoded)


def opens(receiver, data: bytes, metadata: bytes, clear: int, expected: bytes | None) -> bool:
    """Whether it opened; whatever else it did must be one of the rejections."""
    try:
        opened = receiver.unprotect(data, metadata, clear=clear)
    except pysframe.FrameRejected:
        assert expected is None
        return False
    assert expected is not None and opened == expected
    return True


def one_input(data: bytes) -> None:
    headers(data)
    given = atheris.FuzzedDataProvider(data)
    suite, kid = SUITES[given.ConsumeIntInRange(0, 5)], KIDS[given.ConsumeIntInRange(0, 4)]
    damage, where = given.ConsumeIntInRange(0, 3), given.ConsumeIntInRange(0, 300)
    metadata = given.ConsumeBytes(given.ConsumeIntInRange(0, 40))
    frame = given.ConsumeBytes(300)
    clear = given.ConsumeIntInRange(0, len(frame))
    sealed = bytearray(senders[suite, kid].protect(frame, metadata, clear=clear))
    if damage == 3:
        sealed[where % len(sealed)] ^= 1
    expected = frame if damage != 3 else None
    COUNTS["opened"] += opens(receivers[suite], bytes(sealed), metadata, clear, expected)
    opens(receivers[suite], data, b"", 0, None)
    COUNTS["executions"] += 1
    if COUNTS["executions"] % 500 == 0:
        report()


def report() -> None:
    print("fuzz: {executions} executions, {opened} opened".format(**COUNTS), file=sys.stderr)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
