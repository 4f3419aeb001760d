"""The machine that figures come from, in words."""

import os
import platform
import subprocess
from pathlib import Path


def name() -> str:
    return f"{cpu()}, {os.cpu_count()} cores, Linux {platform.machine()}, CPython {python()}"


def commit() -> str:
    """What was measured; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    here = Path(__file__).parent
    return subprocess.run(command, cwd=here, capture_output=True, text=True).stdout.strip()


def python() -> str:
    return platform.python_version()


def cpu() -> str:
    """The model as the system names it; what it can do, where a hypervisor hides the name."""
    text = Path("/proc/cpuinfo").read_text()
    model, vendor = _field(text, "model name"), _field(text, "vendor_id")
    maker = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}.get(vendor, vendor)
    return model if any(c.isalpha() for c in model) else f"an unnamed {maker} CPU"


def microarchitecture() -> str:
    """The kind of CPU that a bar can name; empty where this file has no name for it."""
    text = Path("/proc/cpuinfo").read_text()
    vendor = _field(text, "vendor_id")
    family, model = int(_field(text, "cpu family") or 0), int(_field(text, "model") or 0)
    if vendor == "AuthenticAMD" and family == 0x1A:
        return "zen5"
    if vendor == "AuthenticAMD" and family == 0x19 and model >> 4 in (0x1, 0x6, 0x7, 0xA):
        return "zen4"
    return ""


def _field(text: str, key: str) -> str:
    found = (
        line.partition(":")[2].strip()
        for line in text.splitlines()
        if line.partition(":")[0].strip() == key
    )
    return next(found, "")
