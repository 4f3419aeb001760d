"""Decides which ratchet steps and generations a receiver may meet next: RFC 9605 5.1.

Rules of this file:
  1. It decides over KIDs and steps only. It holds no key and derives none.
  2. A KID proposes and a verified tag decides: resolve() moves nothing, and confirm() is called
     only after authentication. A forged KID can cause each of max_steps keys to be derived once;
     they are few, and they are kept.
  3. No two live steps of a generation share a KID, which shows a step only modulo 2^R.

    steps        ... s-3 | s-2  s-1 |    s    | s+1  s+2 | s+3 ... s+max_steps | ...
                   gone  |   kept   |confirmed|  ahead   |  derived when asked | unknown
"""

from .._buffers import ReadableBuffer, byte_view
from .._tracebacks import without_locals
from ..engine import KeyKind, Reach
from ..errors import MisuseError
from ..limits import LAST_STEPS, LIMIT_MAX_STEPS, MIN_BASE_KEY, checked
from ..suites import CipherSuite
from .layouts import SenderKeyLayout
from .plan import Changes, Derive

STEPS_BEHIND = 2  # kept behind the confirmed step, for frames that were overtaken in the network
STEPS_AHEAD = 2  # derived before any frame names them
RETIRED = 16  # generations remembered as past


class Chain:
    """The ratchet steps of one generation, as far as KIDs show them."""

    __slots__ = ("_ahead", "_behind", "_layout", "_reach", "generation", "live", "step")

    def __init__(self, layout: SenderKeyLayout, generation: int, step: int, max_steps: int) -> None:
        steps = 1 << layout.R
        self._layout, self.generation, self.step = layout, generation, step
        self._behind = max(0, min(STEPS_BEHIND, steps - 1 - STEPS_AHEAD))
        self._reach = min(max_steps, steps - 1 - self._behind)
        self._ahead = min(STEPS_AHEAD, self._reach)
        self.live = {self.kid_of(step): step}  # KID -> step, of the keys that have been derived

    def kid_of(self, step: int) -> int:
        return self._layout.pack(self.generation, step)

    def distance(self, kid: int) -> int:
        """Steps from the confirmed one to the next that this KID can mean."""
        return (self._layout.unpack(kid).ratchet_step - self.step) % (1 << self._layout.R)

    def resolve(self, kid: int) -> Derive | None:
        """How to derive the key of a KID; None for one behind, or out of reach."""
        steps = self.distance(kid)
        if steps > self._reach:
            return None
        self.live[kid] = self.step + steps
        return Derive(kid, self.generation, steps)

    def reach(self) -> Reach:
        """The KIDs that resolve() has an answer for."""
        numbers = (1 << self._layout.R) - 1
        mask, group = group_of(self._layout, self.generation)
        total = self._reach + 1
        return Reach(mask, group, numbers, 0, self.step & numbers, total, total)

    def advance(self, step: int) -> tuple[tuple[int, ...], tuple[Derive, ...]]:
        """Confirms this step: returns the KIDs to drop and the keys to derive.

        Skipped steps are derived as well: their last frames may still be in flight.
        """
        first, last = step - self._behind, step + self._ahead
        drop = tuple(kid for kid, live in self.live.items() if live < first)
        for kid in drop:
            del self.live[kid]
        coming = range(max(first, self.step + 1), last + 1)
        missing = [new for new in coming if self.kid_of(new) not in self.live]
        derive = tuple(
            Derive(self.kid_of(new), self.generation, new - self.step) for new in missing
        )
        self.live |= {self.kid_of(new): new for new in missing}
        self.step = step
        return drop, derive


class SenderKeys:
    """The generations of one sender. Not thread-safe by itself.

    A new generation leaves earlier ones untouched until a tag verifies under it. Then one earlier
    generation is kept, for frames in flight, and older ones are forgotten.

    >>> keys = SenderKeys(SenderKeyLayout(4))
    >>> [hex(key.kid) for key in keys.add(1, 0, max_steps=8).derive]
    ['0x10', '0x11', '0x12']
    >>> keys.resolve(0x15), keys.resolve(0x1c), keys.resolve(0x25)
    (Derive(kid=21, number=1, steps=5, kind=<KeyKind.AHEAD: 1>), None, None)
    >>> changes = keys.confirm([0x15])
    >>> [hex(kid) for kid in changes.drop], [hex(key.kid) for key in changes.derive]
    (['0x10', '0x11', '0x12'], ['0x13', '0x14', '0x16', '0x17'])
    >>> changes.advance
    ((1, 5),)
    """

    __slots__ = ("_chains", "_retired", "layout")

    def __init__(self, layout: SenderKeyLayout) -> None:
        self.layout = layout
        self._chains: dict[int, Chain] = {}  # generation -> its steps, in order of arrival
        self._retired: tuple[int, ...] = ()

    def add(self, generation: int, step: int, max_steps: int) -> Changes:
        """Adds a generation and the step of its base_key; one already present is unchanged.

        The first generation's key is real at once; a later one's becomes real when a tag verifies.
        """
        max_steps = checked("max_steps", max_steps, 0, LIMIT_MAX_STEPS)
        if generation in self._chains:
            return Changes()
        kind = KeyKind.AHEAD if self._chains else KeyKind.GIVEN
        given = Derive(self.layout.pack(generation, step), generation, 0, kind)
        chain = self._chains[generation] = Chain(self.layout, generation, step, max_steps)
        self._retired = tuple(past for past in self._retired if past != generation)
        return Changes(derive=(given, *chain.advance(step)[1]), reach=(chain.reach(),))

    def group(self, number: int) -> tuple[int, int]:
        """The upper 64-R bits of a KID tell its generation."""
        return group_of(self.layout, number)

    def covers(self, number: int, kid: int) -> bool:
        """Whether this KID names this generation."""
        return self.layout.unpack(kid).generation == number

    def resolve(self, kid: int) -> Derive | None:
        """How to derive the key of an unknown KID; None for a KID that is not next."""
        chain = self._chains.get(self.layout.unpack(kid).generation)
        return chain.resolve(kid) if chain else None

    def confirm(self, kids: list[int]) -> Changes:
        """Tags have verified under these KIDs: their chains advance, and old generations go."""
        drop: list[int] = []
        derive: list[Derive] = []
        advance: list[tuple[int, int]] = []
        reach: list[Reach] = []
        newest = self._newest_steps(kids)
        for chain, step in newest.items():
            before = chain.step
            if step > before:
                gone, new = chain.advance(step)
                drop, derive = [*drop, *gone], [*derive, *new]
                advance.append((chain.generation, step - before))
                reach.append(chain.reach())
        forget = self._before_last([chain.generation for chain in newest])
        for generation in forget:
            self.remove(generation)
        return Changes(forget, tuple(drop), tuple(derive), tuple(advance), tuple(reach))

    def remove(self, number: int) -> Changes:
        """Forgets a generation, which must be present."""
        del self._chains[number]
        self._retired = (*self._retired, number)[-RETIRED:]
        return Changes(forget=(number,))

    def is_stale(self, kid: int) -> bool:
        """Whether this KID is of a forgotten generation, or nearer behind than ahead."""
        generation = self.layout.unpack(kid).generation
        chain = self._chains.get(generation)
        if chain is None:
            return generation in self._retired
        ahead = chain.distance(kid)
        return (1 << self.layout.R) - ahead < ahead

    def _newest_steps(self, kids: list[int]) -> dict[Chain, int]:
        """The furthest confirmed step of each chain, determined before any chain moves."""
        newest: dict[Chain, int] = {}
        for kid in kids:
            chain = self._chains.get(self.layout.unpack(kid).generation)
            if chain is not None and kid in chain.live:
                newest[chain] = max(newest.get(chain, 0), chain.live[kid])
        return newest

    def _before_last(self, confirmed: list[int]) -> tuple[int, ...]:
        """The generations more than one before the newest confirmed one."""
        order = list(self._chains)
        newest = max((order.index(generation) for generation in confirmed), default=0)
        return tuple(order[: max(newest - 1, 0)])


def group_of(layout: SenderKeyLayout, generation: int) -> tuple[int, int]:
    """(mask, group) of a generation's KIDs."""
    return (1 << 64) - (1 << layout.R), layout.pack(generation)


@without_locals
def ratchet_base_key(suite: CipherSuite | int, base_key: ReadableBuffer, steps: int = 1) -> bytes:
    """The base_key `steps` ratchet steps on, Nh bytes: RFC 9605 5.1.

    Give it to members who join now, and to nobody else. Python owns the bytes: they cannot be
    wiped. Raises MisuseError unless steps is 1..65535 and base_key has 16 bytes or more.

    >>> ratchet_base_key(4, bytes(range(16))).hex()[:16]
    'fb75d8d5782da6c6'
    """
    from ..engine import key_schedule  # here, because it needs hashlib, and receivers do not

    suite = CipherSuite(suite)
    key = bytes(byte_view(base_key, "base_key"))
    if len(key) < MIN_BASE_KEY:
        raise MisuseError(f"base_key has {len(key)} bytes; it needs at least {MIN_BASE_KEY}")
    # No step at all would hand out the present key, which opens what came before.
    for _ in range(checked("steps", steps, 1, LAST_STEPS)):
        secret = key_schedule.derive_secret(suite, key)
        key = key_schedule.derive_ratchet(suite, secret)
    return key
