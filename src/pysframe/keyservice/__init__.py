"""A key service that cannot listen, and a tenant who decides who may hear. Extra: pysframe[keys].

    credentials      who may be in a room: JWTs that the tenant signs, bound to each member's key
    introductions    a member's hello: the key that others seal to, verified from the tenant down
    roster           who is in the room, and the hash by which two members compare what they see
    sender_keys      key messages: one signed header, one HPKE seal per member
    member           one member of one room: the log's entries in, key events and messages out
    entries          what a room's log holds
    own_keys, heard_keys   when a member makes, uses and drops keys
    seals, protocol  HPKE, and how messages are spelled
    errors, limits   why something is refused, and how much a room may have

What a service has; imported by those who use it:

    rooms            who gets a seat, and what goes into the log
    store, store_sqlite   where the logs are kept
    wire             what members and a service say to each other: docs/key-service.md

The format and its reasons are docs/sealed-keys.md, its figures vectors/sealed_keys.json.

Rules of this package:
  1. Everything here is pure but store_sqlite: bytes, time and a store come in as arguments.
  2. The service is trusted with delivery alone. Whatever it hands over is checked by the member who
     gets it, up to the tenant's key, which the application has from the tenant.
"""

from .credentials import Membership, PublicKey, Role, Signer, SigningKey, TenantIssuer, TenantKeys
from .errors import Refusal, Refused
from .introductions import Member, Session, introduced, say_hello
from .member import Outcome, RoomMember
from .own_keys import Pace
from .protocol import KeyHeader, SealedKey
from .roster import Roster, Seat
from .seals import Kem, OpeningKey, SealingKey
from .sender_keys import KeyNumbers, OpenedKey, RosterHashes, open_header, open_key, seal_key

__all__ = [
    "Kem",
    "KeyHeader",
    "KeyNumbers",
    "Member",
    "Membership",
    "OpenedKey",
    "OpeningKey",
    "Outcome",
    "Pace",
    "PublicKey",
    "Refusal",
    "Refused",
    "Role",
    "RoomMember",
    "Roster",
    "RosterHashes",
    "SealedKey",
    "SealingKey",
    "Seat",
    "Session",
    "Signer",
    "SigningKey",
    "TenantIssuer",
    "TenantKeys",
    "introduced",
    "open_header",
    "open_key",
    "say_hello",
    "seal_key",
]
