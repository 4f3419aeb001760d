"""Senders and receivers that belong together, made the way their users make them."""

from pysframe import CipherSuite, FrameRejected, FrameStatus, Header

SUITES = list(CipherSuite)
GCM = CipherSuite.AES_128_GCM_SHA256_128
LAST_CTR = 2**64 - 1


def options(suite: int) -> dict[str, bool]:
    return {"allow_short_tags": True} if CipherSuite(suite).has_short_tag else {}


def new_sender(engine, suite, base_key, kid=7, next_ctr=0, **more):
    more = options(suite) | more
    return engine.Sender(suite, kid=kid, base_key=base_key, next_ctr=next_ctr, **more)


def stored(engine, store, base_key, kid=7, **more):
    """A sender whose counters come from a CounterStore."""
    return engine.Sender(GCM, kid=kid, base_key=base_key, counters=store, **more)


def ctrs(sender, count):
    """The counters of that many frames."""
    return [Header.parse(sender.protect(b"frame")).ctr for _ in range(count)]


def fresh_sender(engine, suite, kid=7, **more):
    """A sender of a random key that nobody else gets to know."""
    return new_sender(engine, suite, CipherSuite(suite).generate_base_key(), kid, **more)


def new_receiver(engine, suite, base_key=None, kid=7, **more):
    receiver = engine.Receiver(suite, **options(suite), **more)
    if base_key is not None:
        receiver.add_key(kid, base_key)
    return receiver


def pair(engine, suite, rng, kid=7, next_ctr=0, **more):
    """A sender and a receiver of one fresh key; `more` is the receiver's."""
    base_key = rng.randbytes(16)
    sender = new_sender(engine, suite, base_key, kid, next_ctr)
    return sender, new_receiver(engine, suite, base_key, kid, **more)


def core_of(policy):
    """What is under a Sender or Receiver class alone, not opened yet: its policy is gone."""
    core = next(cls for cls in policy.__mro__ if cls.__name__.endswith("Core"))
    return type(core.__name__, (core,), {"_kernel": policy._kernel})()


def status_of(receiver, *args, **kwargs) -> tuple[FrameStatus, bytes]:
    """What unprotect makes of a frame, as a batch would put it."""
    try:
        return FrameStatus.OK, receiver.unprotect(*args, **kwargs)
    except FrameRejected as error:
        return error.status, b""


def flipped(data: bytes, position: int, mask: int = 1) -> bytes:
    changed = bytearray(data)
    changed[position] ^= mask
    return bytes(changed)
