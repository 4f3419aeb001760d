"""Why a message, a key or a member is refused: a closed list, each with words for a person."""

from __future__ import annotations

from enum import StrEnum

from ..errors import SFrameError


class Refusal(StrEnum):
    """The closed list; tests, counters and other implementations know refusals by these names."""

    MALFORMED = "malformed"  # not the format that the specification states
    VERSION = "version"  # of another version of it
    LIMIT = "limit"  # more than a room or a message may have
    CREDENTIAL = "credential"  # the tenant did not say this, or not for here
    EXPIRED = "expired"  # or not valid yet
    PROOF = "proof"  # whoever shows the credential has not shown its key
    SIGNATURE = "signature"  # not by the member whom it names
    STRANGER = "stranger"  # for or from somebody who is not in the roster
    ROLE = "role"  # a member who may not do this
    ROSTER = "roster"  # made for other members than those seen here
    REPLAYED = "replayed"  # an older one than what is known
    TWO_KEYS = "two keys"  # another key under a number that has one
    SEAL = "seal"  # it does not open with this member's key
    COMMITMENT = "commitment"  # it opens to another key than the header commits to
    CLASSICAL = "classical"  # post-quantum protection is required, and this member has none


class Refused(SFrameError):
    """What came is refused, and nothing has changed. No message contains a byte of a key."""

    def __init__(self, reason: Refusal, words: str) -> None:
        super().__init__(f"{words} ({reason})")
        self.reason = reason

    def __reduce__(self) -> tuple[type[Refused], tuple[Refusal, str]]:
        return type(self), (self.reason, str(self).removesuffix(f" ({self.reason})"))
