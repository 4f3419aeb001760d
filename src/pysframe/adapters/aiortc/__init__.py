"""SFrame for aiortc: a peer that is end-to-end encrypted, in five lines.

    session = Session(StaticKeys("keys.json"))
    pc = session.connection()
    session.send(pc, microphone)
    answer = await session.answer(pc, offer)
    ...
    await session.close()

Rules of this package:
  1. A decoder is given frames whose tag has verified, and nothing else: not the frame that came
     before its key, not media in the clear, not an empty frame.
  2. A track that is sent yields sealed frames or none.
  3. No exception ends a decoder thread. Whatever is dropped is counted under a name, and when
     nothing opens any more, the session says so and why.
  4. aiortc has no hook for encoded frames, so this package leans on private names of it. They are
     all in _private.py, and importing the package checks that they are there.
"""

from ._receiving import Incoming
from ._sending import SealedTrack
from ._session import ANYBODY, Session, configuration

__all__ = ["ANYBODY", "Incoming", "SealedTrack", "Session", "configuration"]
