"""Numbers that callers or several modules meet, each with its source.

Rule: values only, and the one check that words their violation. The C core has its own copies of
      those it needs; tests/test_twin.py holds the two together.
"""

from operator import index

from .errors import MisuseError

# ---- headers: RFC 9605 4.3 ----

# The KID and CTR fields are 1 to 8 bytes long.
KID_BITS = 64
LAST_KID = LAST_CTR = (1 << KID_BITS) - 1
# Config byte, KID and CTR.
MAX_HEADER = 17  # bytes

# ---- keys ----

# RFC 9605 leaves the length of a base_key to the key exchange; a shorter one is a mistake.
MIN_BASE_KEY = 16  # bytes
# Sealing q blocks and opening s keeps GCM's advantage below 2^-57 while q + s <= 2^36:
# draft-irtf-cfrg-aead-limits.
KEY_BUDGET = 1 << 36  # AES blocks
# RFC 9605 7.5: a 4-byte tag is forged once in 2^32 tries.
SHORT_TAG = 4  # bytes
# Failures after which a key with a 4-byte tag closes itself: they leave a forger 2^-20.
SHORT_TAG_FAILURES = 1 << 12

# ---- frames ----

DEFAULT_MAX_FRAME = 16 << 20  # bytes
LIMIT_MAX_FRAME = 0x7FFF_FFFF  # bytes: lengths of a batch are int32
LIMIT_WINDOW = 1 << 20  # frames, of replay_window
# Sound and all layers of pictures share a sender's counters, and a jitter buffer holds pictures
# back: that of aiortc 128 packets, which are ten seconds of small ones, some 1,000 frames.
ROOM_WINDOW = 1 << 13  # frames, of a Keyring's receivers

# ---- keys that follow from others: RFC 9605 5 ----

# A derivation costs about a microsecond a step, and a forged KID can ask for it.
LIMIT_MAX_STEPS = 1024  # of max_steps
# Ratchet steps that one call may take, some 0.1 s of HKDF.
LAST_STEPS = 0xFFFF
# Members of an epoch whose keys are derived before their first frame.
READY_MEMBERS = 64
# Members of a roster whose keys may all be present at once.
LIMIT_ROSTER = 4096
# Keys that headers have asked for and no tag has confirmed; the oldest makes room.
MAX_ASKED = 128

# ---- key flow: what tests/test_clear_media.py measured on real media and networks ----

CONSECUTIVE = 10  # failures without a frame opened between them: 200 ms of audio
WRONG_SHARE, WRONG_LEAST = 0.2, 21  # failing frames: their share, and the fewest that count
CLEAR_SHARE = 0.05  # frames that no SFrame sender sent: one stream in twenty
UNKNOWN_FRAMES, UNKNOWN_S = 10, 0.2  # frames under an unknown KID, and for how long
FLOWING_AFTER = 5  # frames opened
SILENT_S = 2.0  # without a frame
QUIET_S = 1.0  # of good frames only, until clear media counts as over
REMEMBERED = 64  # removed KIDs

# A KID's refused frames are judged by the share of them whose CTR follows an earlier one.
PLAIN_FRAMES, PLAIN_SHARE = 10, 0.7  # from so many frames on, so high a share is a sender's
ANY_FRAMES, SENT_SHARE = 20, 0.4  # likewise, with more frames
ODD_SHARE = 0.25  # this share or less is no sender's
GUESS_ONE_IN = 3  # undecided: a sender's while more than one in so many follow
PACE_FRAMES = 64  # beyond so many, the counts are scaled down to half as many

# How long a share of bad frames is collected before it is judged and begun anew.
WINDOW_FRAMES, WINDOW_S = 100, 2.0  # on a busy stream
SLOW_S, SLOWEST_S = 5.0, 60.0  # on a slow one, and where nothing good comes
GOOD_FRAMES = 5  # with so many good frames a window ends after SLOW_S, not SLOWEST_S


def checked(name: str, value: int, first: int, last: int) -> int:
    """value as an int; MisuseError outside first..last, TypeError when it is no integer."""
    number = index(value)
    if not first <= number <= last:
        limit = "2^64-1" if last == LAST_CTR else last
        raise MisuseError(f"{name} is {number}; it must be {first}..{limit}")
    return number
