"""Which nonces were used: what every test of promise 5 counts with.

A nonce is sframe_salt XOR CTR, and key and salt follow from (suite, base_key, KID), so a nonce is
used twice exactly when one (suite, base_key, KID, CTR) seals two frames.
"""

from collections import Counter
from collections.abc import Hashable, Iterable

from pysframe import Header


class Ledger:
    """(key, counter) of every ciphertext that anybody could have seen."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[Hashable, int]] = Counter()

    def note(self, *ciphertexts: bytes, key: Hashable = None) -> None:
        """Ciphertexts under one key, their KIDs apart."""
        for ciphertext in ciphertexts:
            header = Header.parse(ciphertext)
            self.seen[(key, header.kid), header.ctr] += 1

    def note_counters(self, counters: Iterable[int], key: Hashable = None) -> None:
        self.seen.update((key, ctr) for ctr in counters)

    @property
    def duplicates(self) -> int:
        return self.seen.total() - len(self.seen)

    def __str__(self) -> str:
        return f"{self.seen.total()} counters, {self.duplicates} used twice"
