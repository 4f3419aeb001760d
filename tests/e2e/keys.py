"""Keys of a run. Every one is new: parties share nothing but what a scenario gives them."""

from typing import NamedTuple

from pysframe import CipherSuite

SUITE = CipherSuite.AES_128_GCM_SHA256_128


class Key(NamedTuple):
    """One key of a sender; `wrong` is another one under the same name and number."""

    sender: str
    kid: int
    base_key: bytes

    @property
    def wrong(self) -> "Key":
        return self._replace(base_key=SUITE.generate_base_key())

    def given(self, *, mine: bool) -> dict[str, object]:
        """As a page wants it."""
        return {"sender": self.sender, "kid": self.kid, "key": self.base_key.hex(), "mine": mine}


def new_key(sender: str, kid: int) -> Key:
    return Key(sender, kid, SUITE.generate_base_key())
