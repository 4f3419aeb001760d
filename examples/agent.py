"""An agent in an encrypted room: it hears alice, and says again what it heard, under its own key.

    python examples/agent.py agent-keys.json 7000        (publisher.py listens there)

What it heard is in the tracks that `pc` yields, decoded: hand them to a recogniser as you would
without encryption. A frame that did not open is never among them.
"""

import asyncio
import json
import sys

from aiortc import RTCSessionDescription

from pysframe.adapters.aiortc import Session
from pysframe.source import StaticKeys


async def main(keys: str, port: int, host: str = "127.0.0.1") -> None:
    async with Session(StaticKeys(keys)) as session:
        session.on("trouble", lambda trouble: print("trouble:", trouble.words))
        session.on("recovered", lambda trouble: print("over:", trouble.words))
        pc = session.connection(sender="alice")
        pc.on(
            "track", lambda track: session.send(pc, track)
        )  # an echo, sealed with the agent's key

        reader, writer = await asyncio.open_connection(host, port)  # signalling, as yours does it
        while offer := await reader.readline():
            answer = await session.answer(pc, RTCSessionDescription(**json.loads(offer)))
            writer.write(json.dumps(vars(answer)).encode() + b"\n")
        writer.close()
        print("heard:", *(track.counts for track in session.incoming))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
