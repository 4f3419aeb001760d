"""The steps of CONTRIBUTING's recipes as code: what a contributor would do to a copy of the tree.

The instruction set is AVX, and serves AES-GCM only. The suite has another tag length of a known
family. The command says one line. The transport carries frames in whatever bag of bytes there is.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import oracle

from pysframe import CipherSuite

ISA, COMMAND, WORDS = "avx", "greet", "hello from a new command"
SUITE = CipherSuite._new_member_(CipherSuite, 61441, 32, 16, 48, 12, 12)
SUITE_NAME = "AES_128_CTR_HMAC_SHA256_96"
KID, CTR, METADATA, PLAINTEXT = 0x123, 0x4567, b"IETF SFrame WG", b"draft-ietf-sframe-enc"


class Step(NamedTuple):
    """One step: the files that it names and changes, those it only points to, and what is done."""

    changes: set[str]
    follow: Callable[[Path], object]
    reads: frozenset[str] = frozenset()


def insert(path: Path, before: str, text: str) -> None:
    """Text in front of a place that is there once."""
    content = path.read_text()
    assert content.count(before) == 1, f"{path}: {content.count(before)} times: {before}"
    path.write_text(content.replace(before, text + before))


def nothing(tree: Path) -> None:
    """Of a step that has nothing to do here, or ever."""


# ---- an instruction set ----


def write_kernel(tree: Path) -> None:
    text = (tree / "csrc" / "aead/gcm_aesni.c").read_text()
    text = text.replace("_aesni", f"_{ISA}").replace("ssse3,pclmul", "ssse3,pclmul,avx")
    (tree / "csrc" / "aead" / f"gcm_{ISA}.c").write_text(text)


def declare_kernel(tree: Path) -> None:
    header = tree / "csrc" / "aead/kernels.h"
    place = "extern const sfr_ops sfr_gcm128_aesni"
    insert(header, place, "extern const sfr_ops sfr_gcm128_avx, sfr_gcm256_avx;\n")
    cpu = tree / "csrc" / "platform/cpu.h"
    insert(cpu, "    SFR_CPU_AESNI = 1 << 0,", "    SFR_CPU_AVX = 1 << 30,\n")
    detect = tree / "csrc" / "platform/cpu.c"
    insert(detect, "    static const char *const shani[]", f"    {AVX_FEATURES}\n")
    insert(detect, "    if (all(present, shani))", f"    {AVX_DETECTED}\n")


def dispatch_kernel(tree: Path) -> None:
    dispatch = tree / "csrc" / "aead/dispatch.c"
    row = '    {"avx", SFR_CPU_AVX, {&sfr_gcm128_avx, &sfr_gcm256_avx, NULL, NULL}},\n'
    insert(dispatch, '    {"aesni", SFR_CPU_AESNI,', row)


AVX_FEATURES = 'static const char *const avx[] = {"avx", NULL};'
AVX_DETECTED = "if (all(present, avx) && (saved & 6) == 6) bits |= SFR_CPU_AVX;"


def name_flags(tree: Path) -> None:
    insert(tree / "tests" / "machine.py", '"vaes256": VAES256,', '"avx": AESNI | {"avx"}, ')


def name_kernel_in_pages(tree: Path) -> None:
    insert(tree / "README.md", "`vaes256`, `vaes512`; on ARM", "`avx`, ")
    insert(
        tree / "csrc" / "README.md", "| `vaes256` | those", "| `avx` | those, AVX | YMM saved |\n"
    )


# ---- a cipher suite ----


def new_ciphertext() -> str:
    """By the test suite's own SFrame over `cryptography`."""
    _, key, salt = oracle.schedule(SUITE, bytes(range(16)), KID)
    header = oracle.encode_header(KID, CTR)
    nonce = bytes(a ^ b for a, b in zip(salt, CTR.to_bytes(12), strict=True))
    sealed = oracle.aead_seal(SUITE, key, nonce, header + METADATA, PLAINTEXT, "cryptography")
    return (header + sealed).hex()


def add_rows(tree: Path) -> None:
    sizes = f"{SUITE.Nh}, {SUITE.Nka}, {SUITE.Nk}, {SUITE.Nn}, {SUITE.Nt}"
    row = f"    {{{int(SUITE)}, {sizes}}},\n"
    insert(tree / "csrc" / "hash/suites.c", "};\n#define SUITES", row)
    member = f"    {SUITE_NAME} = ({int(SUITE)}, {sizes})\n\n"
    insert(tree / "src/pysframe/suites.py", "    def __new__(cls", member)


def add_answer(tree: Path) -> None:
    path = tree / "src/pysframe/engine/_self_test.py"
    content = path.read_text()
    assert f"KID = {KID:#x}\n" in content and f'METADATA = b"{METADATA.decode()}"\n' in content
    insert(path, "}\n\n\ndef run(", f'    {int(SUITE)}: "{new_ciphertext()}",\n')


def add_vectors(tree: Path) -> None:
    """One row of the suite, and one frame, in the form of the RFC's."""
    folder = tree / "vectors"
    model = json.loads((folder / "rfc9605.json").read_text())
    sizes = {"nh": SUITE.Nh, "nka": SUITE.Nka, "nk": SUITE.Nk, "nn": SUITE.Nn, "nt": SUITE.Nt}
    row = model["suites"][0] | {"id": int(SUITE), "name": SUITE_NAME} | sizes
    case = model["sframe"][0] | {"suite": int(SUITE), "ct": new_ciphertext()}
    text = json.dumps({"format": model["format"], "suites": [row], "sframe": [case]})
    (folder / "hmac96.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    insert(folder / "README.md", "| livekit.json |", f"| hmac96.json | one frame | {digest} |\n")


# ---- a command ----

MODULE = f'''"""pysframe {COMMAND}: says one line."""

HELP = "say one line"
TEXT = "Says one line. Exit status: 0."


def add_arguments(parser):
    parser.add_argument("--twice", action="store_true", help="say it twice")


def run(args):
    print("\\n".join(["{WORDS}"] * (2 if args.twice else 1)))
    return 0
'''
TEST = f'''from pysframe.cli import main


def test_it_says_its_line(capsys):
    assert main(["{COMMAND}", "--twice"]) == 0
    assert capsys.readouterr().out == "{WORDS}\\n" * 2
'''


def write_command(tree: Path) -> None:
    (tree / f"src/pysframe/cli/{COMMAND}.py").write_text(MODULE)


def enter_command(tree: Path) -> None:
    path = tree / "src/pysframe/cli/__init__.py"
    insert(path, "inspect\nfrom ._console", "greet, ")
    insert(path, '    "bench": bench,', f'    "{COMMAND}": {COMMAND},\n')


def tell_command(tree: Path) -> None:
    line = f"    pysframe {COMMAND}                    says one line\n"
    insert(tree / "README.md", "    pysframe bench  ", line)
    (tree / f"tests/cli/test_{COMMAND}.py").write_text(TEST)


# ---- a transport ----

TRANSPORT = "bags"
ADAPTER = '''"""Frames in bags of bytes. Authenticated is the frame alone."""

from collections.abc import Iterable, Iterator

from ..errors import FrameRejected
from ..receiver import Receiver
from ..sender import Sender


def packed(sender: Sender, frames: Iterable[bytes]) -> list[bytes]:
    return [sender.protect(frame) for frame in frames]


def unpacked(receiver: Receiver, bag: Iterable[bytes]) -> Iterator[bytes]:
    """What opens; the rest is left out."""
    for ciphertext in bag:
        try:
            yield receiver.unprotect(ciphertext)
        except FrameRejected:
            pass
'''
END_TO_END = """from pysframe import Receiver, Sender
from pysframe.adapters.bags import packed, unpacked


def test_a_bag_that_was_shaken(rng):
    key, frames = rng.randbytes(16), [rng.randbytes(40) for _ in range(100)]
    with Sender(4, kid=7, base_key=key, next_ctr=0) as sender:
        bag = packed(sender, frames)
    assert not any(frame in ciphertext for frame, ciphertext in zip(frames, bag, strict=True))
    kept = [number for number in range(100) if number % 7]
    arriving = [bag[number] for number in kept + kept[::3]] + [bytes(60), b"", bag[3][:-1]]
    rng.shuffle(arriving)
    receiver = Receiver(4)
    receiver.add_key(7, key)
    assert sorted(unpacked(receiver, arriving)) == sorted(frames[number] for number in kept)
    assert list(unpacked(receiver, bag[:1])) == [frames[0]]
"""


def write_adapter(tree: Path) -> None:
    (tree / f"src/pysframe/adapters/{TRANSPORT}.py").write_text(ADAPTER)


def admit_adapter(tree: Path) -> None:
    """The extra names no library, as the adapter needs none."""
    path = tree / "pyproject.toml"
    extra = f"# pysframe.adapters.{TRANSPORT}. It needs nothing yet.\n{TRANSPORT} = []\n"
    insert(path, "# `pysframe decrypt`: PyAV writes", extra)
    insert(path, 'aiortc,call,decrypt,keys]",\n    # Fuzzes', f"{TRANSPORT},")
    insert(path, 'layers = ["aiortc"]', f"# {TRANSPORT} and aiortc do not import each other.\n")
    path.write_text(path.read_text().replace('["aiortc"]', f'["aiortc | {TRANSPORT}"]'))


def try_adapter(tree: Path) -> None:
    (tree / f"tests/adapters/test_{TRANSPORT}.py").write_text(END_TO_END)


# ---- all of them, in the order of CONTRIBUTING ----

AESNI, DOCTOR = "csrc/aead/gcm_aesni.c", "src/pysframe/cli/doctor.py"
RECIPES = {
    "Add an instruction set": [
        Step({"csrc/aead/gcm_<isa>.c"}, write_kernel, frozenset({AESNI})),
        Step({"csrc/aead/kernels.h", "csrc/platform/cpu.h", "csrc/platform/cpu.c"}, declare_kernel),
        Step({"csrc/aead/dispatch.c"}, dispatch_kernel),
        Step({"tests/machine.py"}, name_flags),
        Step({"README.md", "csrc/README.md"}, name_kernel_in_pages),
        Step(set(), nothing, frozenset({"bench/", "bench/budgets.toml", "bench/about.py"})),
    ],
    "Add a cipher suite": [
        Step({"csrc/hash/suites.c", "src/pysframe/suites.py"}, add_rows),
        Step(set(), nothing),  # the AEAD is not new
        Step({"src/pysframe/engine/_self_test.py"}, add_answer),
        Step(
            {"vectors/", "vectors/README.md"},
            add_vectors,
            frozenset({"vectors/rfc9605.json"}),
        ),
    ],
    "Add a command": [
        Step({"src/pysframe/cli/<name>.py"}, write_command, frozenset({DOCTOR})),
        Step({"src/pysframe/cli/__init__.py"}, enter_command),
        Step({"README.md", "tests/cli/"}, tell_command),
    ],
    "Add a transport": [
        Step({"src/pysframe/adapters/"}, write_adapter),
        Step({"pyproject.toml"}, admit_adapter),
        Step({"tests/adapters/"}, try_adapter),
    ],
}
