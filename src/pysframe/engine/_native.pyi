"""The native engine, as the type checker sees it. The twin (fallback) offers exactly the same."""

from collections.abc import Sequence
from typing import ClassVar, Self, TypeAlias

from _typeshed import ReadableBuffer, WriteableBuffer

from ..batch import FrameBatch
from ._types import KeyStats

KERNELS: dict[str, str]
VERSIONS: dict[str, str]

def init(max_isa: str) -> None: ...

Metadata: TypeAlias = ReadableBuffer | Sequence[ReadableBuffer | None] | None
Clear: TypeAlias = int | Sequence[int] | None

class Secret:
    def __init__(self, suite: int, base_key: ReadableBuffer) -> None: ...
    @classmethod
    def for_ssrc(cls, suite: int, base_key: ReadableBuffer, ssrc: int) -> Self: ...
    def ratchet(self, steps: int = 1) -> Secret: ...
    def close(self) -> None: ...

class SenderCore:
    _kernel: ClassVar[str | None]
    _Secret: ClassVar[type[Secret]]  # set by engine.bind

    @property
    def kid(self) -> int: ...
    @property
    def next_ctr(self) -> int: ...
    @property
    def blocks(self) -> int: ...  # AES blocks used so far, of 2^36; also after close()
    def protect(
        self, frame: ReadableBuffer, metadata: ReadableBuffer | None = b"", *, clear: int = 0
    ) -> bytes: ...
    def protect_into(
        self,
        frame: ReadableBuffer,
        out: WriteableBuffer,
        metadata: ReadableBuffer | None = b"",
        *,
        clear: int = 0,
    ) -> int: ...
    def protected_size(self, n: int, /) -> int: ...
    def close(self) -> None: ...
    def _open(
        self, suite: int, kid: int, secret: Secret, first: int, last: int, max_frame: int
    ) -> None: ...
    def _extend(self, first: int, last: int) -> None: ...
    def _retire(self, reason: str) -> None: ...
    def _lease_ended(self) -> bool: ...
    def _rekey_due(self) -> None: ...
    def _raise_blocks(self, blocks: int) -> None: ...  # for resumed keys; never lowers

class ReceiverCore:
    _kernel: ClassVar[str | None]
    _Secret: ClassVar[type[Secret]]  # set by engine.bind

    def unprotect(
        self, ciphertext: ReadableBuffer, metadata: ReadableBuffer | None = b"", *, clear: int = 0
    ) -> bytes: ...
    def unprotect_into(
        self,
        ciphertext: ReadableBuffer,
        out: WriteableBuffer,
        metadata: ReadableBuffer | None = b"",
        *,
        clear: int = 0,
    ) -> int: ...
    def close(self) -> None: ...
    def _open(self, suite: int, replay_window: int, max_frame: int, strict: bool) -> None: ...
    def _add(self, kid: int, secret: Secret, kind: int) -> None: ...
    def _remove(self, kid: int) -> bool: ...
    def _watch(self, on: bool) -> None: ...
    def _resolve(self, kid: int) -> bool: ...
    def _confirmed(self, kids: list[int]) -> None: ...
    def _stats(self) -> tuple[int, int, dict[int, int], list[KeyStats]]: ...

def to_list(data: ReadableBuffer, columns: bytes, count: int) -> list[bytes]: ...
def protect_many(
    senders: SenderCore | Sequence[SenderCore],
    frames: Sequence[ReadableBuffer],
    metadata: Metadata = None,
    clear: Clear = None,
) -> list[bytes]: ...
def unprotect_many(
    receivers: ReceiverCore | Sequence[ReceiverCore],
    ciphertexts: Sequence[ReadableBuffer],
    metadata: Metadata = None,
    clear: Clear = None,
) -> FrameBatch: ...
def protect_batch(
    senders: SenderCore | Sequence[SenderCore],
    batch: FrameBatch,
    metadata: Metadata = None,
    clear: Clear = None,
    out: WriteableBuffer | None = None,
) -> FrameBatch: ...
def unprotect_batch(
    receivers: ReceiverCore | Sequence[ReceiverCore],
    batch: FrameBatch,
    metadata: Metadata = None,
    clear: Clear = None,
    out: WriteableBuffer | None = None,
) -> FrameBatch: ...
