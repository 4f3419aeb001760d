"""Builds, checks and tries wheels on one Debian machine, without Docker: python tools/wheels

1. An sdist, from which everything else is built, in two other places.
2. A pure wheel; then, for each target and interpreter, a wheel with the native engine. zig compiles
   it against the target's own libc, so no emulator and no machine of that kind is needed.
3. Both places must have made the same bytes. Each wheel is checked (checks.py), and where there is
   an interpreter for it, emulated or not, it is installed into a clean environment of that and run
   (trial.py). A table at the end says what was done with each.

All lies in dist/wheels; the debug information, which a wheel does not carry, in dist/wheels/debug.
"""

import argparse
import platform
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import archive
import checks
import compiler
import seeded
from targets import HERE, PYPY, TARGETS, VERSIONS, Python, Target, pythons_here, with_headers
from trial import applications, call, has_pyav, trial

ROOT = Path(__file__).parents[2]
OUT = ROOT / "dist" / "wheels"
OURS = "{}.{}".format(*sys.version_info)  # this interpreter's version
NOBODY = "no interpreter for it here"


def main() -> None:
    args = _arguments()
    here = pythons_here(ROOT)
    pythons = _pythons(args, with_headers(here))
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    targets = [TARGETS[name] for name in args.targets]
    with tempfile.TemporaryDirectory() as work:
        sdist = _sdist()
        trees = [_unpacked(sdist, Path(work, place)) for place in ("one", "another/place")]
        wheels = _built(trees[0], targets, pythons, OUT)
        again = _again(trees[1], targets, pythons, args.once)
        _equal(wheels, again)
        _checked(wheels, trees[0])
        _seen(wheels, trees[0], Path(work))
        tried = {wheel: _tried(wheel, here, trees[0], Path(work)) for wheel in wheels}
        _must_have_run(tried, args.must_run)
    _sizes([sdist, *wheels])
    _table(tried, again)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tools/wheels", description="builds wheels")
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--targets", choices=TARGETS, default=list(TARGETS), **several)
    parser.add_argument("--pythons", choices=VERSIONS, help="default: all that are here", **several)
    parser.add_argument("--once", choices=TARGETS, default=[], help="not built twice", **several)
    parser.add_argument("--must-run", choices=TARGETS, default=[], help="or it fails", **several)
    return parser.parse_args()


def _pythons(args: argparse.Namespace, found: dict[str, Python]) -> list[Python]:
    wanted = args.pythons or found
    missing = [version for version in wanted if version not in found]
    if missing:
        sys.exit(f"no CPython with headers is here of {', '.join(missing)}")
    for version in VERSIONS:
        python = found[version].executable if version in wanted else "not built for"
        print(f"    {version:6} {python}")
    return [found[version] for version in VERSIONS if version in wanted]


# ---- building ----


def _sdist() -> Path:
    print("== the sdist", flush=True)
    compiler.run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", OUT, ROOT,
                 PYSFRAME_BUILD="none")  # fmt: skip
    return next(OUT.glob("*.tar.gz"))


def _unpacked(sdist: Path, place: Path) -> Path:
    with tarfile.open(sdist) as files:
        files.extractall(place, filter="data")
    return next(place.iterdir())


def _built(tree: Path, targets: list[Target], pythons: list[Python], out: Path) -> list[Path]:
    print(f"== building in {tree}", flush=True)
    pure = _pure(tree)
    wheels = [archive.write(pure, ["py3-none-any"], out)]
    compiler.cythonized(tree)
    for target in targets:
        core, own = compiler.objects(tree, target, pythons)
        for python in pythons:
            module = compiler.module(tree, target, python, [own[python], *core])
            wheels.append(_wheel(pure, module, target, python, out))
            print(f"    {wheels[-1].name}", flush=True)
    return wheels


def _pure(tree: Path) -> dict[str, bytes]:
    """The files of a wheel without the native module."""
    folder = tree / "build/pure"
    compiler.run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder,
                 tree, PYSFRAME_BUILD="none")  # fmt: skip
    return archive.contents(next(folder.glob("*.whl")))


def _wheel(pure: dict[str, bytes], module: Path, target: Target, python: Python, out: Path) -> Path:
    tags = [f"{python.tag}-{python.abi}-{tag}" for tag in target.tags]
    files = {**pure, f"{archive.MODULE_FOLDER}/{module.name}": module.read_bytes()}
    wheel = archive.write(files, tags, out)
    debug = out / "debug" / wheel.stem
    debug.mkdir(parents=True)
    shutil.copy(module.with_name(f"{module.name}.debug"), debug)
    return wheel


def _again(
    tree: Path, targets: list[Target], pythons: list[Python], once: list[str]
) -> dict[str, bytes]:
    out = tree / "again"
    out.mkdir()
    twice = [target for target in targets if target.name not in once]
    return {wheel.name: wheel.read_bytes() for wheel in _built(tree, twice, pythons, out)}


# ---- looking at what was built ----


def _equal(wheels: list[Path], again: dict[str, bytes]) -> None:
    differ = [w.name for w in wheels if w.read_bytes() != again.get(w.name, w.read_bytes())]
    if differ:
        sys.exit(f"built in two places, these are not equal: {', '.join(differ)}")
    print(f"== equal byte for byte in two places: {len(again)} of {len(wheels)}", flush=True)


def _checked(wheels: list[Path], tree: Path) -> None:
    found = [f"{wheel.name}: {fault}" for wheel in wheels for fault in checks.faults(wheel, tree)]
    if found:
        sys.exit("\n".join(found))
    print(f"== checked: {len(wheels)}", flush=True)


def _seen(wheels: list[Path], tree: Path, work: Path) -> None:
    pure = next(wheel for wheel in wheels if "-none-any" in wheel.name)
    if missed := seeded.missed(pure, tree, work / "seeded"):
        sys.exit("planted in a wheel, and not seen:\n" + "\n".join(missed))
    print(f"== planted in wheels, and seen: {', '.join(seeded.faults(tree))}", flush=True)


def _tried(wheel: Path, here: list[Python], tree: Path, work: Path) -> str:
    """Who ran the wheel in an environment of its own, in words."""
    said = [_used(wheel, python, tree, work) for python in _takers(wheel, here)]
    print(f"== {wheel.name}: run by {', '.join(said) or 'nobody'}", flush=True)
    return f"run by {', '.join(said)}" if said else NOBODY


def _takers(wheel: Path, here: list[Python]) -> list[Python]:
    """The interpreters that are the wheel's own."""
    target = checks.target_of(wheel)
    if target is None:
        return [p for p in here if p.target == HERE and p.version in (OURS, PYPY)]
    abi = archive.tags_of(wheel)[0].split("-")[1]
    return [p for p in here if p.target == target.name and p.abi == abi]


def _used(wheel: Path, python: Python, tree: Path, work: Path) -> str:
    native = checks.target_of(wheel) is not None
    folder = work / f"trial-{wheel.stem}-{python.version}"
    said = [trial(wheel, python, folder, tree, "native" if native else "fallback")]
    if native and python.target == HERE and has_pyav(python.version):
        said += [call(wheel, folder)]
    if native and python.target == HERE and python.version == OURS:
        said += applications(wheel, python.executable, folder)
    print("    " + "\n    ".join(said), flush=True)
    who = PYPY if python.version == PYPY else said[0].partition(":")[0]
    return who if python.target.startswith(platform.machine()) else f"{who}, emulated"


def _must_have_run(tried: dict[Path, str], targets: list[str]) -> None:
    for wheel, said in tried.items():
        target = checks.target_of(wheel)
        if said == NOBODY and target and target.name in targets:
            sys.exit(f"{wheel.name}: {said}")


def _sizes(files: list[Path]) -> None:
    for file in files:
        print(f"== {file.stat().st_size:8,} bytes  {file.name}")
        for part, size in archive.parts(file).items() if file.suffix == ".whl" else ():
            print(f"    {size:8,}  {part}")


def _table(tried: dict[Path, str], again: dict[str, bytes]) -> None:
    """Of each wheel what was done with it; all that are left have passed their checks."""
    print("== built, checked, and")
    for wheel, said in tried.items():
        tag = archive.tags_of(wheel)[-1]
        twice = "twice alike" if wheel.name in again else "built once"
        print(f"    {tag:44} {twice}, {said}")


if __name__ == "__main__":
    main()
