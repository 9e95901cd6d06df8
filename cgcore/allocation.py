"""How the C library keeps what Python lets go of: in one place, and given back to the system.

By itself glibc makes a heap of its own for each thread that finds another one at work, up to eight a core, and gives
back less and less: once a block of 25 MB was freed, blocks of that size are kept (``man 3 mallopt``, ``M_ARENA_MAX``,
``M_MMAP_THRESHOLD``). A server that hands a large file from thread to thread so holds it several times over. Threads
that take turns for the interpreter seldom meet in the allocator, so one heap costs them nothing.

Apart from :mod:`cgcore.process`: what a process is called has nothing to do with it.
"""

from __future__ import annotations

__all__ = ["keep_one_heap"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
_LARGE = 128 * 1024  # what a new process begins with


def keep_one_heap() -> bool:
    """Let all threads to come share a heap, and give large blocks back; False where the C library has no such way.

    For the first moment of a process that runs for long: heaps that there are stay.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    wanted = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: _LARGE, _M_TRIM_THRESHOLD: _LARGE}
    return min(mallopt(option, value) for option, value in wanted.items()) == 1
