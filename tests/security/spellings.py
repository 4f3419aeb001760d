"""How a key is written down by people and programs."""

import base64

PIECE = 8  # bytes of a key; a dozen in a row have one of the pieces that are looked for


def spellings(secret: bytes) -> set[str]:
    """Of each piece of a secret: hex, decimal, base64 at its three alignments, repr."""
    said = set()
    for at in range(0, len(secret) - PIECE + 1, 4):
        piece = secret[at : at + PIECE]
        said |= {piece.hex(), piece.hex(" "), piece.hex(":"), str(list(piece))[1:-1]}
        said |= {repr(piece)[2:-1], base64.b64encode(piece)[:10].decode()}
    return said | {spelling.upper() for spelling in said}


def shown(said: str, *secrets: bytes) -> list[str]:
    return [s for secret in secrets for s in spellings(secret) if s in said]
