"""Senders of ratchet steps, and what a receiver makes of their frames."""

from parties import GCM, new_sender

from pysframe import (
    AuthenticationFailed,
    Header,
    MLSLayout,
    SenderKeyLayout,
    UnknownKey,
    ratchet_base_key,
)

LAYOUT = SenderKeyLayout(4)
MLS = MLSLayout(E=4, S=6)


def make_steps(engine, base_key, generation, count=32):
    keys = [base_key, *(ratchet_base_key(GCM, base_key, step) for step in range(1, count))]
    return [
        new_sender(engine, GCM, key, LAYOUT.pack(generation, step)) for step, key in enumerate(keys)
    ]


def opens(receiver, sender, frame=b"frame"):
    try:
        return receiver.unprotect(sender.protect(frame)) == frame
    except (UnknownKey, AuthenticationFailed):  # a KID from behind may stand for one far ahead
        return False


def forged(kid):
    """A frame that only a header was spent on."""
    return Header(kid, 0).encode() + bytes(20)
