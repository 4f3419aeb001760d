"""Whole SFrame calls, each beside what cryptography's bare AESGCM does to the same frames."""

from collections.abc import Callable

from interleave import Contender, Match
from peers import cryptography
from verdicts import Measured
from workloads import PeerCalls, Workload

OURS: dict[str, Callable[[Workload], Contender]] = {
    "protect": lambda w: w.protect(),
    "unprotect": lambda w: w.unprotect(),
    "protect_many": lambda w: w.batches().protect_many(),
    "unprotect_many.to_list": lambda w: w.batches().unprotect_many_to_list(),
    "protect_batch": lambda w: w.batches().protect_batch(),
    "unprotect_batch": lambda w: w.batches().unprotect_batch(),
    "protect_batch.out": lambda w: w.batches().protect_batch(out=True),
    "unprotect_batch.out": lambda w: w.batches().unprotect_batch(out=True),
}
TURNS, STRETCHES = 20, 4


def duel(call: str, suite: int, size: int) -> tuple[Contender, Contender]:
    """Ours, and what cryptography does to the same frames."""
    workload = Workload(suite, size)
    calls = PeerCalls(workload, cryptography())
    return OURS[call](workload), calls.opening() if call.startswith("un") else calls.sealing()


class CallContest:
    """How many times faster ours is, at best and in its slowest block but one of a hundred."""

    def __init__(self, call: str, suite: int, size: int) -> None:
        self.match = Match(lambda: list(duel(call, suite, size)))

    def go_on(self, longer: int) -> Measured:
        self.match.go_on(TURNS * longer, STRETCHES * longer)
        best, late = self.match.best, self.match.late
        ours, theirs = "ours", "cryptography"
        return Measured(
            best[theirs] / best[ours], best[ours], late[theirs] / late[ours], late[ours]
        )
