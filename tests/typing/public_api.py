"""What type checkers make of the public API; `make lint` shows this file to mypy and to pyright.

Each assert_type is a promise. Each line with two ignores is a mistake of a caller, which both must
see: an ignore that nothing needs is an error to both. Nothing here is run.
"""

# ruff: noqa: B018

from pathlib import Path
from typing import assert_type

import pysframe
from pysframe import (
    Backend,
    CipherSuite,
    CounterStore,
    FrameBatch,
    FrameRejected,
    Header,
    KeyFlow,
    KeyState,
    Receiver,
    Sender,
)


def sending(suite: CipherSuite, store: Path) -> None:
    base_key = suite.generate_base_key()
    assert_type(base_key, bytes)
    sender = Sender(suite, kid=7, base_key=base_key, next_ctr=0)
    assert_type(sender.protect(b"frame"), bytes)
    assert_type(sender.protect(bytearray(9), memoryview(b"metadata"), clear=1), bytes)
    assert_type(sender.protect_into(b"frame", bytearray(99)), int)
    assert_type(sender.protected_size(5), int)
    assert_type((sender.kid, sender.next_ctr), tuple[int, int])
    assert_type(sender.ratchet(), Sender)
    with Sender(4, kid=7, base_key=base_key, counters=CounterStore(store)) as leased:
        assert_type(leased, Sender)


def receiving(receiver: Receiver, ciphertext: bytes) -> None:
    receiver.add_key(7, b"16 bytes or more")
    assert_type(receiver.remove_key(7), bool)
    assert_type(receiver.kids, tuple[int, ...])
    try:
        assert_type(receiver.unprotect(ciphertext, b"metadata"), bytes)
    except FrameRejected as rejected:
        assert_type(rejected.status, pysframe.FrameStatus)
    assert_type(receiver.unprotect_into(ciphertext, memoryview(bytearray(99))), int)
    for kid, flow in receiver.key_flow(12.5).items():
        assert_type(kid, int | None)
        assert_type(flow, KeyFlow)
        assert_type((flow.state, flow.opened), tuple[KeyState, int])


def batches(senders: list[Sender], receiver: Receiver, frames: list[bytes]) -> None:
    sealed = pysframe.protect_many(senders, frames, b"for all")
    assert_type(sealed, list[bytes])
    opened = pysframe.unprotect_many(receiver, sealed, [b"for", b"each"])
    assert_type(opened, FrameBatch)
    assert_type(opened[0], memoryview)
    assert_type(opened.to_list(), list[bytes])
    assert_type(opened.ok, bool)
    batch = FrameBatch.from_frames(frames)
    assert_type(pysframe.protect_batch(senders[0], batch, out=bytearray(999)), FrameBatch)
    for row in batch:
        assert_type(row, memoryview)


def headers(ciphertext: bytes, batch: FrameBatch) -> None:
    header = Header.parse(ciphertext, strict=False)
    assert_type(header, Header)
    assert_type((header.kid, header.ctr, header.size), tuple[int, int, int])
    assert_type(Header(7, 12).encode(), bytes)
    assert_type(pysframe.parse_headers(batch).kid, memoryview)
    assert_type(pysframe.backend_info(), Backend)
    assert_type(pysframe.backend_info().refused, dict[str, str])


def mistakes(sender: Sender, receiver: Receiver, suite: CipherSuite) -> None:
    sender.protect("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sender.next_ctr = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    sender.base_key  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    Sender(suite, base_key=b"", next_ctr=0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Sender(suite, 7, b"", 0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    receiver.unprotect(b"", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pysframe.protect_many(receiver, [b""])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
