"""Promise 3: a row of a FrameBatch keeps its data alive, as ASan sees it.

Rule: rows are read after their batch, their data and all other rows are gone. The same report that
      must not appear is seen to appear for a view that keeps nothing alive.
"""

import pytest
from security.deep.sanitized import python, with_asan

OUTLIVES = """
import gc, pysframe
from array import array

PATTERN = bytes(range(256)) * 64
STARTS, SIZES = [0, 256, 16000, 384], [256, 15000, 384, 0]

def kept(data):
    batch = pysframe.FrameBatch(data, STARTS, SIZES)
    rows = iter(batch)
    columns = batch.offsets, pysframe.parse_headers(batch).status
    return [batch[0], batch[-2], *batch, next(rows), next(rows), batch[1][5:9]], columns

for make in (bytes, bytearray, lambda d: array("B", d), lambda d: memoryview(bytearray(d))):
    rows, (offsets, status) = kept(make(PATTERN))
    gc.collect()
    while rows:
        print(len(bytes(rows.pop())), end=" ")
    print(offsets.tolist() == STARTS, len(status.tobytes()))
"""
SAID = "4 15000 256 0 384 15000 256 384 256 True 4\n" * 4

KEEPS_NOTHING = """
import ctypes
view = ctypes.pythonapi.PyMemoryView_FromMemory
view.restype, view.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
data = bytearray(16384)
row = view(ctypes.addressof(ctypes.c_char.from_buffer(data)), 16384, 0x100)
del data
bytes(row)
"""

pytestmark = pytest.mark.timeout(0)


def test_rows_outlive_their_batch_and_its_data():
    done = python(with_asan(), "-c", OUTLIVES)
    assert (done.stdout, done.stderr) == (SAID, "")


def test_a_view_of_freed_memory_is_found():
    done = python(with_asan(), "-c", KEEPS_NOTHING)
    assert done.returncode != 0
    assert "heap-use-after-free" in done.stderr, done.stderr[-3000:]
