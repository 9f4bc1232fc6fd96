"""A process keeps one heap, however many threads allocate at once."""

import subprocess
import sys
from pathlib import Path

import pytest

# Four threads hold memory at the same time; malloc_info() lists the heaps of the process.
HEAPS = """
import ctypes, sys, threading
from rung_ops.system import processes
if sys.argv[1] == "one":
    processes.keep_one_arena()
c = ctypes.CDLL(None)
c.malloc.restype = c.fopen.restype = ctypes.c_void_p
together = threading.Barrier(5)
def hold():
    c.malloc(ctypes.c_size_t(1000))
    together.wait()
for _ in range(4):
    threading.Thread(target=hold).start()
together.wait()
file = ctypes.c_void_p(c.fopen(sys.argv[2].encode(), b"w"))
c.malloc_info(0, file)
c.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="heaps of glibc")
@pytest.mark.parametrize(("arenas", "least", "most"), [("one", 1, 1), ("as it is", 2, 99)])
def test_threads_share_a_heap_on_request(
    tmp_path: Path, arenas: str, least: int, most: int
) -> None:
    result = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", HEAPS, arenas, str(result)], check=True)

    assert least <= result.read_text().count("<heap nr=") <= most
