"""A process that holds keys: started by the tests of promise 12, which look into its memory.

Its base_key comes through a pipe into a bytearray and is wiped by this file, as SECURITY.md asks.
At each word on its standard output it waits for a byte on its standard input.
"""

import ctypes
import os
import re
import sys
from pathlib import Path

from pysframe import FrameRejected
from pysframe import engine as engines


def say(word: str) -> None:
    os.write(1, word.encode() + b"\n")
    os.read(0, 1)


def main(name: str, number: str, kid: str, fault: str = "") -> None:
    engine, suite = engines.bind(name), int(number)
    base_key = bytearray(32)
    os.readv(0, [base_key])
    say("given")
    secret = engine.Secret(suite, base_key)
    sender = engine.Sender(suite, kid=int(kid), base_key=base_key, next_ctr=0)
    receiver = engine.Receiver(suite)
    receiver.add_key(int(kid), base_key)
    base_key[:] = bytes(len(base_key))
    work(engine, sender, receiver)
    if fault == "dumped":
        allow_dumps()
    say("kept")
    secret.close()
    sender.close()
    receiver.close()
    say("closed")


def work(engine, sender, receiver) -> None:
    """Frames of many lengths, singly and in batches, and as many that are refused."""
    frames = [bytes(n) for n in (0, 1, 16, 40, 160, 161, 700, 1200, 3000, 9000)] * 3
    singly = [sender.protect(frame, b"metadata") for frame in frames]
    batch = engine.protect_many(sender, frames, [b"metadata of more than a block"] * len(frames))
    for ciphertext in singly:
        refused(receiver, spoiled(ciphertext))
        receiver.unprotect(ciphertext, b"metadata")
    bad = [spoiled(ciphertext) for ciphertext in batch]
    metadata = [b"metadata of more than a block"] * len(bad)
    assert not any(status == 0 for status in engine.unprotect_many(receiver, bad, metadata).status)
    assert not any(engine.unprotect_many(receiver, batch, metadata).status)


def spoiled(ciphertext: bytes) -> bytes:
    return ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])


def refused(receiver, ciphertext: bytes) -> None:
    try:
        receiver.unprotect(ciphertext, b"metadata")
    except FrameRejected:
        return
    raise AssertionError("a spoiled frame was opened")


def allow_dumps() -> None:
    """The seeded fault: takes back what the engine asked for its key pages."""
    madvise, allow = ctypes.CDLL(None).madvise, 17  # MADV_DODUMP
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end, rest = re.match(r"(\w+)-(\w+) rw-p \S+ 00:00 0 *(.*)$|", line).groups()
        if start and not rest:
            size = int(end, 16) - int(start, 16)
            madvise(ctypes.c_void_p(int(start, 16)), ctypes.c_size_t(size), allow)


if __name__ == "__main__":
    main(*sys.argv[1:])
