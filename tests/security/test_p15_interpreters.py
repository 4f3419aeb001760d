"""Promise 15: sub-interpreters are refused, clearly, on every engine.

Two interpreters of one process that both had pysframe would each have senders that the other
does not know of: the same counter under the same key.
"""

import json
import shutil

import pytest
from isolated import SRC, python

# `create` and `run` by the names that this Python has for them.
MANY_INTERPRETERS = """
import json, os, sys
try:
    import _interpreters as interpreters            # since 3.13
except ImportError:
    import _xxsubinterpreters as interpreters
run = getattr(interpreters, "exec", None) or interpreters.run_string
reader, writer = os.pipe()
SEAL = '''
import json, os
try:
    import pysframe
    sender = pysframe.Sender(4, kid=7, base_key=bytes(16), next_ctr=0)
    said = "sealed " + sender.protect(b"frame").hex()
except Exception as error:
    said = type(error).__name__ + ": " + str(error)
os.write(%d, (json.dumps(said) + "\\\\n").encode())
''' % writer
for _ in range(2):
    assert run(interpreters.create(), SEAL) is None
exec(SEAL)
os.close(writer)
print(json.dumps([json.loads(line) for line in os.fdopen(reader)]))
"""


def each_says(**environment: str) -> list[str]:
    """What two sub-interpreters, then the main one, say when they import pysframe and seal."""
    done = python(MANY_INTERPRETERS, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("backend", ["auto", "fallback"])
def test_sub_interpreters_are_refused(backend):
    first, second, main = each_says(PYSFRAME_BACKEND=backend)
    for said in (first, second):
        assert said.startswith("ImportError: pysframe runs in the main interpreter")
        assert "counter" in said and "process" in said
    assert main.startswith("sealed ")


def test_what_would_happen_otherwise(tmp_path):
    """The seeded fault: without the rule, two interpreters seal under one key and counter."""
    shutil.copytree(SRC / "pysframe", tmp_path / "pysframe")
    door = tmp_path / "pysframe" / "engine" / "__init__.py"
    text = door.read_text()
    assert text.count("if _interpreter() != 0:") == 1
    door.write_text(text.replace("if _interpreter() != 0:", "if False:"))
    first, second, main = each_says(PYSFRAME_BACKEND="fallback", PYTHONPATH=str(tmp_path))
    assert first.startswith("sealed ") and first == second == main
