"""Who may be in a room: the tenant's word, and the member's proof.

    TenantIssuer, TenantKeys, Membership, Role   credentials that a tenant signs, and what they say
    prove, check_proof, new_nonce                whoever shows one has its key
    SigningKey, Signer, PublicKey                keys for signatures, in memory or elsewhere
    signed, unverified, confirmed                what hellos and key messages are signed with

Format and reasons: docs/sealed-keys.md. Nothing here does I/O; time comes in as an argument.
Everything is thread-safe.
"""

from ._jws import PublicKey, Signer, Unverified, signed, unverified
from ._keys import SigningKey
from ._proofs import check_proof, confirmed, new_nonce, prove
from ._tokens import (
    Membership,
    Role,
    TenantIssuer,
    TenantKeys,
    digest_of,
    is_valid,
    refuse_expired,
)

__all__ = [
    "Membership",
    "PublicKey",
    "Role",
    "Signer",
    "SigningKey",
    "TenantIssuer",
    "TenantKeys",
    "Unverified",
    "check_proof",
    "confirmed",
    "digest_of",
    "is_valid",
    "new_nonce",
    "prove",
    "refuse_expired",
    "signed",
    "unverified",
]
