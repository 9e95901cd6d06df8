"""Which process this is, as others can tell: across restarts, containers and machines."""

from __future__ import annotations

import os
import secrets
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgcore.settings import Settings

__all__ = ["has_ended", "name_instance", "new_owner"]

_PROC = Path("/proc")


def new_owner() -> str:
    """Return a name for whoever does something in this process: ``boot:namespace:process:started:random``.

    The first two, one start of a kernel and one space of process ids, are empty where they cannot be told (not Linux).
    """
    pid = os.getpid()
    return ":".join([*_machine(), str(pid), _started(pid), secrets.token_hex(6)])


def has_ended(owner: str, *, here: bool) -> bool:
    """Return whether the process behind a name of :func:`new_owner` is gone for sure; so is nobody, the owner ``""``.

    False also where that cannot be told: it lives, or it ran on another machine or in another container. ``here``
    says that it ran on this machine, so another start of the kernel is an earlier one.
    """
    if not owner:
        return True
    boot, namespace, pid, started, _random = owner.split(":")
    own_boot, own_namespace = _machine()
    if not boot or not own_boot:
        return False
    if (boot, namespace) != (own_boot, own_namespace):
        return here and boot != own_boot
    return _started(int(pid)) != started


def name_instance(settings: Settings | None) -> str:
    """Return how this process is told from the others: ``CG_INSTANCE``, else a word made up at its start.

    Not the name of the machine: whoever asks for the health is told it.
    """
    return (settings.instance if settings is not None else "") or _made_up()


@cache
def _made_up() -> str:
    return secrets.token_hex(4)


@cache
def _machine() -> tuple[str, str]:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = "".join(filter(str.isdigit, (_PROC / "self/ns/pid").readlink().name))
    except OSError:
        return "", ""
    return boot, namespace


def _started(pid: int) -> str:
    """Return when a process was started, in ticks since the machine was, ``""`` where there is none (proc(5))."""
    try:
        told = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    # The name of the program, in brackets, may hold blanks and brackets.
    state, *rest = told.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]
