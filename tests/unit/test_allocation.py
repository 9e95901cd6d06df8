"""What the C library keeps: counted by its own account of its heaps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import ctypes, sys, threading
from cgcore.allocation import keep_one_heap

libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_info"):
    sys.exit("NO GLIBC")
assert sys.argv[1] == "as it is" or keep_one_heap()
all_there = threading.Barrier(5)

def work():
    held = bytearray(50_000)
    all_there.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for each in threads:
    each.start()
all_there.wait()
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def _count_heaps(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, how], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    if "NO GLIBC" in done.stderr:
        pytest.skip("another C library")
    assert done.returncode == 0, done.stderr
    return done.stdout.count("<heap nr=")


def test_threads_share_one_heap() -> None:
    """As they would not by themselves; what starts by this program asks for it first of all."""
    assert _count_heaps("as it is") > 1
    assert _count_heaps("one heap") == 1
    begun = (ROOT / "streamlit_app.py").read_text("utf-8")
    assert begun.index("\nkeep_one_heap()\n") < begun.index("\ninstall_line_log()\n")
