"""What a room may have and a message may be, each with its reason. Values only."""

# ---- names and numbers ----

MOST_NAME = 128  # characters of a tenant, a room, a member
LAST_INDEX = (1 << 36) - 1  # a KID has 64 bits: 36 of index, 20 of generation, 8 of ratchet step
LAST_GENERATION = (1 << 20) - 1
LAST_REVISION = (1 << 53) - 1  # the last whole number that JavaScript counts exactly
# A member who hears of a sender late is still within the 200 steps that receivers derive.
LAST_STEP = 64

# ---- keys ----

MIN_KEY, MOST_KEY = 16, 64  # bytes of a base_key; a ratchet step of SHA-512 gives 64

# ---- rooms ----

MOST_MEMBERS = 1000
# Of all senders together when everybody needs a new key: 0.1 s of a relay, 15 MB.
MOST_SEALS = 10_000
SEALS_IN_MESSAGE = 256  # hybrid ones are 0.4 MB

# ---- texts, in characters ----

MOST_BODY = 1 << 20
MOST_TOKEN = 4096  # a membership credential
MOST_HELLO = 4096  # of which a hybrid public key is 2,163
MOST_HEADER = 2048  # the signed header of a key
MOST_PROOF = 2048

# ---- time, in seconds ----

MOST_LIFE = 900  # of a credential: how long somebody who was revoked may go on
SKEW = 30  # by which two clocks may differ
