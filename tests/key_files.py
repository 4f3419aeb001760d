"""Files like keys.json, for tests of what reads them and of what follows."""

import asyncio
import base64
import json


def base64url(key):
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def content(key=bytes(16), other=bytes(range(16)), **more):
    send = {"sender": "agent", "kid": 7, "base_key": base64url(key), "counters": "agent.counters"}
    receive = [{"sender": "alice", "kid": 300, "base_key": base64url(other)}]
    return {"version": 1, "suite": 4, "envelope": 1, "send": send, "receive": receive} | more


def written(tmp_path, said, mode=0o600):
    path = tmp_path / "keys.json"
    path.write_bytes(said if isinstance(said, bytes) else json.dumps(said).encode())
    path.chmod(mode)
    return path


def events_of(source):
    async def collect():
        return [event async for event in source.events()]

    return asyncio.run(collect())
