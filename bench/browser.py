"""The browser's frame worker beside LiveKit's, and latencies of a call, for the report: web/bench/.

Rule: a browser is no part of what `make bench` installs. Where it, Node or the build of web/ is not
there, the report says which, and has no figure.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

WEB = Path(__file__).parent.parent / "web"
CHROMIUM = "/usr/bin/chromium"  # as web/test/browser/browsers.ts has it


def figures() -> dict[str, Any]:
    """{"missing": what} or {"frames": lines of table.ts, "latency": rows of latency-run.ts}."""
    if what := missing():
        return {"missing": what}
    before = os.getloadavg()[0]
    frames = said("run.js")
    load = [before, os.getloadavg()[0]]
    return {"frames": frames, "load": load, "latency": said("latency-run.js")}


def missing() -> str | None:
    if not shutil.which("node"):
        return "Node"
    if not Path(os.environ.get("CHROMIUM", CHROMIUM)).exists():
        return "Chromium"
    if not (WEB / "build" / "bench" / "run.js").exists():
        return "the build of `make web`"
    return None


def said(script: str) -> Any:
    """What a script of web/bench/ measures. One that is beyond its bar has measured, too."""
    command = ["node", f"build/bench/{script}", "--json"]
    done = subprocess.run(command, cwd=WEB, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"web/bench: {script} ended with {done.returncode} and no figures")
    return json.loads(done.stdout)
