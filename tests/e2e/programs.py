"""The programs of the call: Janus, the Pion SFU, the web server. Who starts one ends it."""

import asyncio
import http.server
import json
import threading
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from waiting import Hung, until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ADDRESS = "10.99.0.1"  # of the network that tests/e2e/run makes
JANUS_PLUGINS = Path("/usr/lib/x86_64-linux-gnu/janus")


@asynccontextmanager
async def program(log: Path, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that runs until the block ends; its output goes to a file. It is killed: none of
    these has anything to save, and some wait for their peers when asked to end."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def listens(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    """Waits until a program takes connections. Of one that ends the last lines are told."""

    async def probe() -> bool:
        if process.returncode is not None:
            lines = log.read_text(errors="replace").splitlines()[-15:]
            raise Hung(f"{log.stem} ended with {process.returncode}:\n" + "\n".join(lines))
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await until(f"{log.stem} on port {port}", probe)


# ---- Janus ----

ROOMS = {"VP8": 1, "VP9": 2, "H264": 3, "AV1": 4}


@asynccontextmanager
async def janus(folder: Path) -> AsyncIterator[str]:
    """Debian's Janus, unmodified, with a recorded room for each codec; its WebSocket's address."""
    write_janus_files(folder)
    log = folder / "janus.log"
    command = ("janus", "-C", str(folder / "janus.jcfg"), "-F", str(folder), "-o")
    async with program(log, *command) as process:
        await listens(process, 8188, log)
        yield "ws://127.0.0.1:8188"


def write_janus_files(folder: Path) -> None:
    plugins = sorted(path.name for path in (JANUS_PLUGINS / "plugins").glob("*.so"))
    transports = sorted(path.name for path in (JANUS_PLUGINS / "transports").glob("*.so"))
    (folder / "janus.jcfg").write_text(f"""
general: {{ configs_folder = "{folder}"; plugins_folder = "{JANUS_PLUGINS}/plugins"
  transports_folder = "{JANUS_PLUGINS}/transports"; events_folder = "{JANUS_PLUGINS}/events"
  loggers_folder = "{JANUS_PLUGINS}/loggers"; debug_level = 4
  session_timeout = 0 }}
media: {{ rtp_port_range = "20000-20200" }}
plugins: {{ disable = "{",".join(p for p in plugins if "videoroom" not in p)}" }}
transports: {{ disable = "{",".join(t for t in transports if "websockets" not in t)}" }}
events: {{ broadcast = false }}
""")
    (folder / "janus.transport.websockets.jcfg").write_text(
        'general: { ws = true; ws_port = 8188; ws_ip = "127.0.0.1"; wss = false }\n'
        "admin: { admin_ws = false }\n"
    )
    rooms = (
        f'room-{number}: {{ publishers = 12; bitrate = 1500000; fir_freq = 5; audiocodec = "opus"; '
        f'videocodec = "{codec.lower()}"; record = true; rec_dir = "{folder}"; '
        f"require_e2ee = false }}\n"
        for codec, number in ROOMS.items()
    )
    (folder / "janus.plugin.videoroom.jcfg").write_text(
        "general: { string_ids = false }\n" + "".join(rooms)
    )


# ---- the Pion SFU ----


class Pion:
    """The SFU of tests/e2e/sfu; main.go says what each request does."""

    def __init__(self, address: str, dumps: Path) -> None:
        self._address, self.dumps = address, dumps

    async def _request(self, method: str, path: str, body: str = "") -> str:
        def send() -> str:
            request = urllib.request.Request(self._address + path, body.encode(), method=method)
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.read().decode()

        try:
            return await asyncio.to_thread(send)
        except urllib.error.HTTPError as error:
            raise Hung(f"the SFU refuses {method} {path}: {error.read().decode()}") from None

    async def publish(self, party: str, offer: str) -> str:
        return await self._request("POST", f"/whip/{party}", offer)

    async def subscribe(self, party: str, name: str, offer: str, rid: str = "") -> str:
        return await self._request("POST", f"/whep/{party}?as={name}&rid={rid}", offer)

    async def layer(self, name: str, rid: str) -> None:
        await self._request("POST", f"/layer/{name}?rid={rid}")

    async def impair(self, name: str, kind: str = "", **how: float) -> None:
        await self._request("POST", f"/impair/{name}?kind={kind}", json.dumps(how))

    async def stats(self, name: str) -> dict[str, Any]:
        return json.loads(await self._request("GET", f"/stats/{name}"))

    async def end(self, name: str) -> None:
        await self._request("DELETE", f"/party/{name}")


@asynccontextmanager
async def pion(binary: Path, folder: Path) -> AsyncIterator[Pion]:
    log = folder / "sfu.log"
    command = (str(binary), "-http", "127.0.0.1:8190", "-dump", str(folder))
    async with program(log, *command) as process:
        await listens(process, 8190, log)
        yield Pion("http://127.0.0.1:8190", folder)


# ---- files for the pages ----

WORKER = "/dist/frame-worker.js"


class _Files(http.server.SimpleHTTPRequestHandler):
    """tests/e2e/page, and under /dist/ what `make web` built."""

    def translate_path(self, path: str) -> str:
        name = urllib.parse.urlsplit(path).path
        folder = ROOT / "web" if name.startswith("/dist/") else HERE / "page"
        return str(folder / name.lstrip("/"))

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def web_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), _Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield "http://127.0.0.1:8080/index.html"
    finally:
        server.shutdown()
        server.server_close()
