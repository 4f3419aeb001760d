"""Run in the environment of a freshly built wheel: wheel_smoke.py [native|fallback]

The engine must be the one that the wheel is for, give the answers of the vectors on everything that
can run here, and bring a batch back.
"""

import json
import sys
from pathlib import Path

import pysframe
from pysframe import engine as engines

VECTORS = Path(__file__).parents[1] / "vectors" / "rfc9605.json"


def main(wanted: str) -> str:
    backend = pysframe.backend_info()
    if backend.engine != wanted or backend.self_test != "ok":
        sys.exit(f"the engine {wanted} is not in the wheel, or cannot run here: {backend}")
    names = [name for name in engines.available() if name.startswith(wanted)]
    rows = json.loads(VECTORS.read_text())["sframe"]
    for row in rows:
        check_sealing(row)
        for name in names:
            check_opening(engines.bind(name), row)
    check_batch()
    version = ".".join(map(str, sys.version_info[:3])) + sys.abiflags
    return f"Python {version}: {len(rows)} vectors and a batch on {', '.join(names)}"


def check_sealing(row: dict) -> None:
    """On the best engine alone: no other sender of this process may use the counter again."""
    suite, kid, ctr, base_key, metadata, frame, ciphertext = read(row)
    sender = pysframe.Sender(suite, kid=kid, base_key=base_key, next_ctr=ctr, allow_short_tags=True)
    if sender.protect(frame, metadata) != ciphertext:
        sys.exit(f"the vector of {suite!r} is not sealed as it should be")


def check_opening(engine: engines.Engine, row: dict) -> None:
    suite, kid, _, base_key, metadata, frame, ciphertext = read(row)
    receiver = engine.Receiver(suite, allow_short_tags=True)
    receiver.add_key(kid, base_key)
    if receiver.unprotect(ciphertext, metadata) != frame:
        sys.exit(f"{engine.name} does not open the vector of {suite!r}")


def read(row: dict) -> tuple:
    octets = (bytes.fromhex(row[name]) for name in ("base_key", "metadata", "pt", "ct"))
    return pysframe.CipherSuite(row["suite"]), int(row["kid"], 16), int(row["ctr"], 16), *octets


def check_batch() -> None:
    suite = pysframe.CipherSuite.AES_128_GCM_SHA256_128
    keys = [suite.generate_base_key() for _ in range(100)]
    receiver = pysframe.Receiver(suite)
    for kid, base_key in enumerate(keys):
        receiver.add_key(kid, base_key)
    senders = [
        pysframe.Sender(suite, kid=kid, base_key=base_key, next_ctr=0)
        for kid, base_key in enumerate(keys)
    ]
    frames = [bytes([number]) * (number * 7) for number in range(100)]
    sealed = pysframe.protect_many(senders, frames, b"metadata")
    if pysframe.unprotect_many([receiver] * 100, sealed, b"metadata").to_list() != frames:
        sys.exit("a batch did not come back")


if __name__ == "__main__":
    print(main(sys.argv[1] if len(sys.argv) > 1 else "native"))
