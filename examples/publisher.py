"""Sends speech into an encrypted room, records the answer: publisher.py KEYS PORT IN OUT"""

import asyncio
import json
import sys

from aiortc import RTCSessionDescription
from aiortc.contrib.media import MediaPlayer, MediaRecorder

from pysframe.adapters.aiortc import Session
from pysframe.source import StaticKeys


async def main(keys: str, port: int, speech: str, heard: str) -> None:
    async with Session(StaticKeys(keys)) as session:
        sound, recorder, over = MediaPlayer(speech).audio, MediaRecorder(heard), asyncio.Event()
        sound.on("ended", over.set)
        pc = session.connection(sender="agent")
        pc.on("track", recorder.addTrack)
        session.send(pc, sound)

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await pc.setLocalDescription(await pc.createOffer())
            writer.write(json.dumps(vars(pc.localDescription)).encode() + b"\n")
            answer = json.loads(await reader.readline())
            await pc.setRemoteDescription(RTCSessionDescription(**answer))
            await recorder.start()
            await over.wait()
            writer.close()

        async with await asyncio.start_server(meet, "127.0.0.1", port):
            await over.wait()
        await recorder.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
