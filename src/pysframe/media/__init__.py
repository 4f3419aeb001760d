"""Media that passes through servers which must not hear it: envelopes, and SFrame over RTP.

    Envelope, seal_many, open_many       one envelope per codec: docs/envelope.md
    fragment, Depacketizer, stream_base_key   draft-ietf-avtcore-rtp-sframe

Everything here is pure: bytes come in as arguments, and no module does I/O.
"""

from .envelope import VERSION, Envelope, Opened, open_many, seal_many
from .rtp import Ciphertext, Depacketizer, fragment, stream_base_key

__all__ = [
    "VERSION",
    "Ciphertext",
    "Depacketizer",
    "Envelope",
    "Opened",
    "fragment",
    "open_many",
    "seal_many",
    "stream_base_key",
]
