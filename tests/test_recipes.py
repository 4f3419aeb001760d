"""CONTRIBUTING's recipes, followed to the letter in a copy of the tree, which is built and run.

The text cannot drift: a step must name the files that it changes, and no others.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import machine
import pytest
from c_core.core import ROOT, library_files, run
from recipe_steps import COMMAND, ISA, RECIPES, SUITE, TRANSPORT, WORDS, new_ciphertext
from security.deep.builds import RELEASE, cached, generated

pytestmark = pytest.mark.timeout(900)

NOT_COPIED = shutil.ignore_patterns(".*", "build", "__pycache__", "*.so", "*.egg-info")
HAS_AVX = machine.cpu_flags() >= machine.X86_KERNELS["aesni"] | {"avx"}
PLACES = {"<isa>": ISA, "<name>": COMMAND}


@pytest.fixture(scope="module")
def tree():
    """A copy in which every recipe was followed, with its native engine built: once for a state of
    the tree, whoever asks first."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    return cached("recipes", sorted(contents(ROOT).items()), make) / "tree"


def make(folder: Path) -> None:
    copy = folder / "tree"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    for recipe, steps in RECIPES.items():
        follow(copy, recipe, steps)
    build(copy)


def follow(tree: Path, recipe: str, steps) -> None:
    texts = steps_of(recipe)
    assert len(texts) == len(steps), recipe
    for text, step in zip(texts, steps, strict=True):
        assert files_in(text) == step.changes | step.reads, text
        before = contents(tree)
        step.follow(tree)
        after = contents(tree)
        changed = {path for path in after if before.get(path) != after[path]}
        assert_named(changed, {filled(name) for name in step.changes}, text)


def assert_named(changed: set[str], named: set[str], text: str) -> None:
    """Every file that changed is named, or lies in a folder that is; every name had a change."""
    found = {path: {name for name in named if stands_for(name, path)} for path in changed}
    assert all(found.values()), (changed, text)
    assert {name for names in found.values() for name in names} == named, text


def stands_for(name: str, path: str) -> bool:
    return path == name or (name.endswith("/") and path.startswith(name))


def filled(name: str) -> str:
    for place, value in PLACES.items():
        name = name.replace(place, value)
    return name


def steps_of(recipe: str) -> list[str]:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    (section,) = re.findall(rf"^### {recipe}\n(.*?)^##", page, re.MULTILINE | re.DOTALL)
    steps = section.split("\n\n")[0]
    return [" ".join(step.split()) for step in re.split(r"^\d\. ", steps, flags=re.M)[1:]]


def files_in(text: str) -> set[str]:
    """What stands in backticks and is a path of the tree."""
    return set(re.findall(r"`([\w<>./-]+/[\w<>./-]*|\w+\.(?:md|toml))`", text))


def contents(tree: Path) -> dict[str, bytes]:
    """Path -> bytes of what is copied."""
    found = {}
    for folder, folders, files in os.walk(tree):
        ignored = NOT_COPIED(folder, [*folders, *files])
        folders[:] = [name for name in folders if name not in ignored]
        paths = [Path(folder, name) for name in files if name not in ignored]
        found |= {str(path.relative_to(tree)): path.read_bytes() for path in paths}
    return found


# ---- building and running ----


def build(tree: Path) -> None:
    """The extension, as setup.py makes it, but with -O1: in a third of the time."""
    flags = f"{RELEASE.replace('-O3', '-O1')} -fPIC -I{sysconfig.get_path('include')} -Icsrc"
    sources = [
        generated(),
        *sorted(library_files(tree / "csrc"), key=lambda path: -path.stat().st_size),
    ]

    def compiled(source: Path) -> str:
        run(f"gcc {flags} -c {source} -o {tree}/{source.stem}.o", tree)
        return f"{tree}/{source.stem}.o"

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = " ".join(pool.map(compiled, sources))
    name = f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    run(f"gcc -shared {objects} -o {tree}/src/pysframe/engine/{name}")
    for part in objects.split():
        Path(part).unlink()


def python(tree: Path, *arguments: str, **switches: str) -> str:
    """What a command in the copy says; the package is the copy's."""
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PYSFRAME_", "PYTEST_"))}
    given |= {"PYTHONPATH": str(tree / "src"), **switches}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=given, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def test_an_instruction_set(tree):
    """AVX serves AES-GCM and borrows the rest; doctor, switches and the suite's fixtures see it."""
    code = (
        "import json; from pysframe import engine; print(json.dumps([engine.ladder(), engine.{}]))"
    )
    ladder, available = json.loads(python(tree, "-c", code.format("available()")))
    assert ladder == ["none", "aesni", "avx", "vaes256", "vaes512"]
    if not HAS_AVX:
        assert "native:avx" not in available
        return
    assert "native:avx" in available
    said = python(tree, "-m", "pysframe", "doctor", PYSFRAME_KERNEL=ISA)
    assert re.search(rf"engine +native, kernel {ISA}\n", said) and "All is well." in said
    capped = python(tree, "-c", code.format("default().name"), PYSFRAME_MAX_ISA=ISA)
    assert json.loads(capped)[1] == "native:avx"


RECORD = """
import sys
sys.path.insert(0, "bench")
import record
record.about.microarchitecture = lambda: "zen4"  # of which the budget makes claims
sys.argv[1:] = ["avx", "Header.parse"]
raise SystemExit(record.main())
"""


def test_an_instruction_set_is_measured(tree):
    """By the gates of the next narrower kernel, from which its own begin; in C, too."""
    if not HAS_AVX:
        return
    budget = tomllib.loads((ROOT / "bench" / "budgets.toml").read_text())
    made = tomllib.loads(python(tree, "-c", RECORD, PYSFRAME_KERNEL=ISA))[ISA]
    assert made["trial"] == budget["aesni"]["trial"]
    for kind in ("rows", "kernels", "shapes", "ticks", "around", "floors"):
        assert names(made[kind]) == names(budget["aesni"][kind])
    command = [sys.executable, "bench/gates.py", "--kernel", ISA, "--json", "Header.parse"]
    switches = {"PYTHONPATH": str(tree / "src"), "PYSFRAME_KERNEL": ISA}
    done = subprocess.run(command, cwd=tree, env=os.environ | switches, stdout=subprocess.PIPE)
    (verdict,) = json.loads(done.stdout)
    assert (verdict["kernel"], verdict["name"]) == (ISA, "Header.parse")


def names(rows):
    return [{k: v for k, v in row.items() if k not in ("bar", "p99")} for row in rows]


SEALS_AND_OPENS = """
import sys
from pysframe import CipherSuite, engine as engines
suite, expected = CipherSuite(int(sys.argv[1])), bytes.fromhex(sys.argv[2])
key, metadata, plaintext = bytes(range(16)), b"IETF SFrame WG", b"draft-ietf-sframe-enc"
engine = engines.default()
sender = engine.Sender(suite, kid=0x123, base_key=key, next_ctr=0x4567)
receiver = engine.Receiver(suite)
receiver.add_key(0x123, key)
assert sender.protect(plaintext, metadata) == expected
assert receiver.unprotect(expected, metadata) == plaintext
frames = [bytes(i) for i in range(70)]
assert engine.unprotect_many(receiver, engine.protect_many(sender, frames)).to_list() == frames
print(engine.name)
"""


def test_a_cipher_suite(tree):
    code = "from pysframe import engine; print(*engine.available())"
    names = python(tree, "-c", code).split()
    assert {name.split(":")[0] for name in names} == {"native", "fallback"}
    arguments = "-c", SEALS_AND_OPENS, str(int(SUITE)), new_ciphertext()
    for name in names:
        engine, kernel = name.split(":")
        switches = {"PYSFRAME_BACKEND": engine, "PYSFRAME_KERNEL": kernel}
        assert python(tree, *arguments, **switches) == f"{name}\n"


def test_a_command(tree):
    assert re.search(
        rf"^ +{COMMAND} +say one line$", python(tree, "-m", "pysframe", "--help"), re.M
    )
    assert python(tree, "-m", "pysframe", COMMAND) == f"{WORDS}\n"


def test_a_transport(tree):
    """Every adapter has its floor, and every extra of one is the tests' as well."""
    project = tomllib.loads((tree / "pyproject.toml").read_text())
    contracts = {c["name"]: c for c in project["tool"]["importlinter"]["contracts"]}
    floors = " | ".join(contracts["Adapters import down"]["layers"]).split(" | ")
    here = (tree / "src/pysframe/adapters").iterdir()
    adapters = {path.stem for path in here if not path.stem.startswith("__")}
    extras = project["project"]["optional-dependencies"]
    assert adapters == {"aiortc", TRANSPORT} == set(floors)
    assert {TRANSPORT, "aiortc"} <= {*extras} & {*re.findall(r"\w+", extras["test"][0])}


def test_the_suite_of_the_copy_sees_what_is_new(tree):
    """Its own tests of switches, suites, figures, pages and gates pass, on the new kernel, too."""
    names = ("switches", "suites", "rfc9605", "vectors_are_unchanged", "readme", "imports")
    files = [f"tests/test_{name}.py" for name in names] + [f"tests/cli/test_{COMMAND}.py"]
    files += [f"tests/adapters/test_{TRANSPORT}.py", "tests/latency/test_gates.py"]
    options = (
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--partial",
        "-k",
        "not headers and not ctr_hmac",
    )
    said = python(tree, "-m", "pytest", *options, *files)
    assert f"test_unprotect[fallback:pycryptodome-suite{int(SUITE)}]" in said
    assert "test_a_bag_that_was_shaken" in said
    if HAS_AVX:
        assert f"test_the_ladder_only_lowers[{ISA}]" in said
        assert f"test_unprotect[native:{ISA}-suite{int(SUITE)}]" in said


# ---- the checks above see what they are for ----


def test_a_step_that_names_another_file_is_seen(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(AssertionError):
        assert_named({"csrc/hash/suites.c"}, {"csrc/sfr_suites.c"}, "a step")
    with pytest.raises(AssertionError):
        assert_named({"tests/cli/test_x.py"}, {"tests/cli/", "README.md"}, "a step")
    assert_named({"tests/cli/test_x.py"}, {"tests/cli/"}, "a step")
