"""Which nonces were used: what every test of promise 5 counts with.

A nonce is sframe_salt XOR CTR, and key and salt follow from (suite, base_key, KID), so a nonce is
used twice exactly when one (suite, base_key, KID, CTR) seals two frames.
"""

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable

import numpy

from pysframe import Header


class Ledger:
    """The counter of every ciphertext that anybody could have seen, by key, in eight bytes each."""

    def __init__(self) -> None:
        self.used: defaultdict[Hashable, array[int]] = defaultdict(lambda: array("Q"))

    def note(self, *ciphertexts: bytes, key: Hashable = None) -> None:
        """Ciphertexts under one key, their KIDs apart."""
        for ciphertext in ciphertexts:
            header = Header.parse(ciphertext)
            self.used[key, header.kid].append(header.ctr)

    def note_counters(self, counters: Iterable[int], key: Hashable = None) -> None:
        self.used[key].extend(counters)

    @property
    def total(self) -> int:
        return sum(map(len, self.used.values()))

    @property
    def duplicates(self) -> int:
        return self.total - sum(len(numpy.unique(ctrs)) for ctrs in self.used.values())

    def __str__(self) -> str:
        return f"{self.total} counters, {self.duplicates} used twice"
