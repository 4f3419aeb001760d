"""The native engine, as the type checker sees it. The twin (fallback) offers exactly the same."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Self, final

from typing_extensions import disjoint_base

from .._buffers import ReadableBuffer, WriteableBuffer
from .._rows import Clear, Metadata
from ..batch import FrameBatch
from ..header import Header, HeaderColumns
from ..stats import KeyState, ReceiverStats
from ._types import KeyKind, Reach

KERNELS: dict[str, str]
VERSIONS: dict[str, str]

def memory() -> str: ...
def init(max_isa: str) -> None: ...

@disjoint_base
class Secret:
    def __new__(cls, suite: int, base_key: ReadableBuffer) -> Self: ...
    @classmethod
    def for_ssrc(cls, suite: int, base_key: ReadableBuffer, ssrc: int) -> Self: ...
    def ratchet(self, steps: int = 1) -> Secret: ...
    def close(self) -> None: ...

@disjoint_base
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
    def _lease_blocks(self, last: int) -> None: ...  # how far the meter may go

@disjoint_base
class ReceiverCore:
    _kernel: ClassVar[str | None]
    _Monitor: ClassVar[type[KeyFlowMonitor]]  # set by engine.bind
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
    def _add(self, kid: int, secret: Secret, kind: KeyKind) -> None: ...
    def _remove(self, kid: int) -> bool: ...
    def _kind(self, kid: int) -> KeyKind | None: ...
    def _reach(self, reach: Reach) -> None: ...
    def _forget(self, mask: int, group: int) -> None: ...
    def _watch(self, on: bool) -> None: ...
    def _resolve(self, kid: int) -> bool: ...
    def _confirmed(self, kids: list[int]) -> None: ...
    def _stats(self) -> ReceiverStats: ...

@final
class KeyFlow:
    __match_args__ = ("state", "kid", "opened", "rejected", "last_ctr", "silent_for_s")

    def __init__(
        self,
        state: KeyState,
        kid: int | None,
        opened: int,
        rejected: dict[str, int],
        last_ctr: int,
        silent_for_s: float,
    ) -> None: ...
    @property
    def state(self) -> KeyState: ...
    @property
    def kid(self) -> int | None: ...
    @property
    def opened(self) -> int: ...
    @property
    def rejected(self) -> dict[str, int]: ...
    @property
    def last_ctr(self) -> int: ...
    @property
    def silent_for_s(self) -> float: ...

@disjoint_base
class KeyFlowMonitor:
    def poll(
        self, now: float, receiver: ReceiverCore, is_stale: Callable[[int], bool]
    ) -> dict[int | None, KeyFlow]: ...
    def poll_stats(
        self, now: float, stats: ReceiverStats, is_stale: Callable[[int], bool]
    ) -> dict[int | None, KeyFlow]: ...

@disjoint_base
class ColumnsCore:
    _columns: bytes
    _count: int

    def __len__(self) -> int: ...
    def _column(self, start: int, width: int, code: str) -> memoryview: ...

@disjoint_base
class BatchCore(ColumnsCore):
    def __init__(
        self,
        data: ReadableBuffer,
        offsets: Sequence[int] | ReadableBuffer,
        lengths: Sequence[int] | ReadableBuffer,
    ) -> None: ...
    @classmethod
    def _joined(cls, frames: Iterable[ReadableBuffer]) -> Self: ...
    @classmethod
    def _from_columns(cls, data: ReadableBuffer, columns: bytes, count: int) -> Self: ...
    @property
    def data(self) -> ReadableBuffer: ...
    def __getitem__(self, row: int, /) -> memoryview: ...
    def __iter__(self) -> Iterator[memoryview]: ...
    def _copies(self) -> list[bytes]: ...
    def _rejected(self) -> int: ...

@disjoint_base
class HeaderCore:
    kid: int
    ctr: int
    size: int

    def __init__(self, kid: int, ctr: int, size: int = 0) -> None: ...
    @staticmethod
    def parse(ciphertext: ReadableBuffer, *, strict: bool = True) -> Header: ...

def parse_headers(
    batch: FrameBatch | Sequence[ReadableBuffer],
    *,
    clear: int | Sequence[int] | None = None,
    strict: bool = True,
) -> HeaderColumns: ...
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
