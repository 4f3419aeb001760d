"""The proof that whoever shows a credential has its key: DPoP, RFC 9449, with a server's nonce.

Rules of this file:
  1. The server draws a nonce for each connection and takes one proof for it. So a proof that was
     overheard or logged is worth nothing, and no table of seen proofs is needed.
  2. The proof names the credential (`ath`) and the address: it serves for no other.
"""

from __future__ import annotations

import secrets

from ..errors import Refusal
from ..limits import LAST_REVISION, MOST_PROOF
from ..protocol import from_base64url, number, read, refuse, to_base64url, write
from ._jws import PublicKey, Signer, signed, unverified
from ._tokens import Membership, digest_of

TYP = "dpop+jwt"
WHAT = "the proof"
METHOD = "GET"  # of the request that becomes a WebSocket
_CLAIMS = {"jti": str, "htm": str, "htu": str, "iat": int, "nonce": str, "ath": str}


def new_nonce() -> str:
    """A nonce for one connection."""
    return to_base64url(secrets.token_bytes(32))


def prove(signer: Signer, token: str, *, nonce: str, url: str, now: float) -> str:
    """A proof for this credential on the connection that this nonce came on.

    url: the address of the room's WebSocket, without query and fragment.
    """
    claims = {
        "jti": to_base64url(secrets.token_bytes(16)),
        "htm": METHOD,
        "htu": url,
        "iat": int(now),
        "nonce": nonce,
        "ath": to_base64url(digest_of(token)),
    }
    return signed(signer, TYP, write(claims), jwk=signer.public.jwk)


def check_proof(proof: object, membership: Membership, *, nonce: str, url: str) -> PublicKey:
    """The member's key, if the proof is for this credential, this nonce and this address.

    membership: what TenantKeys.verify() returned for the credential. Raises Refused: PROOF,
    MALFORMED or LIMIT.
    """
    given = unverified(proof, typ=TYP, fields={"jwk": dict}, most=MOST_PROOF, what=WHAT)
    key = confirmed(given.header["jwk"], membership, WHAT)
    claims = read(given.verified(key, reason=Refusal.PROOF), WHAT, _CLAIMS)
    number(claims["iat"], "iat", LAST_REVISION)
    if from_base64url(claims["ath"], "ath", 32) != membership.digest:
        refuse(f"{WHAT} is for another credential", Refusal.PROOF)
    if from_base64url(claims["nonce"], "nonce") != from_base64url(nonce, "nonce"):
        refuse(f"{WHAT} is for another connection", Refusal.PROOF)
    if (claims["htm"], claims["htu"]) != (METHOD, url):
        refuse(f"{WHAT} is for another address", Refusal.PROOF)
    return key


def confirmed(jwk: object, membership: Membership, what: str) -> PublicKey:
    """The key of this JWK, if it is the one that the credential is for (RFC 7800 3.1)."""
    key = PublicKey.from_jwk(jwk, f"the key of {what}")
    if jwk != key.jwk:
        refuse(f"the key of {what} must have the fields of its kind and no other")
    if key.thumbprint != membership.thumbprint:
        refuse(f"{what} is signed by another key than the credential is for", Refusal.PROOF)
    return key
