"""A process of the product that freezes where it is told to: at a point between two commits, by SIGSTOP of itself.

As a program: ``python -m tests.servers.freezing DATABASE_URL DATA CONFIG``. Each line that it reads is a list of JSON:
a thing to do, the point to freeze at, and what it is done with. Points are counted from the beginning of the thing: one
before each transaction, and one behind it. It says ``frozen`` before it stops, and ``done`` when the thing is done. To
whoever measures time it was frozen for an hour.

With ``each`` behind it the program does each thing in a process of its own, which says its id where it is frozen: that
one can be killed there (SIGKILL). It is forked once everything is imported, so it costs next to nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from sqlmodel import Session

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.outbox.batch import BatchChoice, select_rows
from cgcore.outbox.sheet import read_sheet
from cgcore.settings import Settings, load_settings
from cgcore.storage.database import Database, open_database
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.handover import awake_clock
from tests.servers.rivals import ROOT

__all__ = ["Freezer", "freezing"]

_LONG_S = 3600.0


class Freezer:
    """The running process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._frozen = process, process.pid

    def begin(self, thing: str, point: int, *given: object) -> bool:
        """Let it do a thing; return whether it is frozen now, ``False``: it has done it without coming to the point."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([thing, point, *given]) + "\n")
        self._process.stdin.flush()
        said, _, own = self._said().partition(" ")
        if said == "done":
            return False
        self._frozen = int(own)
        if self._frozen == self._process.pid:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
        return True

    def kill(self) -> None:
        """Kill the process that is frozen, where each thing has one of its own; another one does the next thing."""
        os.kill(self._frozen, signal.SIGKILL)
        assert self._said() == "gone"

    def wake(self) -> None:
        """Let it go on, and wait until it has done what it was at."""
        self._process.send_signal(signal.SIGCONT)
        assert self._said() == "done"

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def freezing(settings: Settings, database: Database, *how: str) -> Iterator[Freezer]:
    """Start one over the same database, with the secrets of the same installation; ``how`` is ``each`` or nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CG_")}
    environment |= {
        "CG_MAIL_ALLOW_PRIVATE": "127.0.0.0/8",
        "CG_SANDBOX": "off",
        "CG_MASTER_KEY": settings.master_key.get_secret_value(),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    url = database.url.render_as_string(hide_password=False)
    places = (url, str(settings.data_dir), str(settings.config_dir))
    command = [sys.executable, "-m", "tests.servers.freezing", *places, *how]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Freezer(process)
    finally:
        process.kill()
        process.communicate()


# ---- The program


class _Points:
    """Where the process is between its transactions."""

    def __init__(self) -> None:
        self.left, self.slept_s = -1, 0.0
        self.writing = threading.RLock()  # of the thread that is inside a transaction: none is frozen there

    def pass_one(self) -> None:
        """Freeze, if this is the point."""
        self.left -= 1
        if self.left != -1:
            return
        with self.writing:
            self.slept_s += _LONG_S  # before: whoever measures looks again only once it is awake
            _say(f"frozen {os.getpid()}")
            # To this very thread: a signal to the process would let it go on for a moment, into the next transaction.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    def clock(self) -> float:
        """Return seconds that went on while it was frozen."""
        return awake_clock() + self.slept_s


def _work(workbench: Workbench) -> None:
    workbench.outbox.worker.work_once()


def _hand_in(workbench: Workbench, user_id: int, name: str, mail: str, rows: str, key: str) -> None:
    ana, section = Actor(user_id, "", name, mail), workbench.batches
    plan = section.plan(ana, DocumentType.SALES_INVOICE, read_sheet(rows.encode()), ())
    section.start(ana, plan, select_rows(plan, BatchChoice()), [], key=key)
    section.wait()


_THINGS: dict[str, Callable[..., None]] = {"work": _work, "hand_in": _hand_in}


def _main(url: str, data: str, config: str, *how: str) -> None:
    lines = iter(sys.stdin.readline, "")
    if not how:
        _serve(url, data, config, lines)
        return
    for name in ("workbench", "mail", "storage", "outbox", "templates", "vault"):
        package = import_module(f"cgcore.{name}")
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name:
                import_module(module.name)
    for line in lines:
        if child := os.fork():
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
                _say("gone")
        else:
            _serve(url, data, config, iter([line]))
            os._exit(0)


def _serve(url: str, data: str, config: str, lines: Iterator[str]) -> None:
    points, opened = _Points(), Database.session

    @contextmanager
    def session(database: Database, **more: Any) -> Generator[Session]:
        points.pass_one()
        with points.writing, opened(database, **more) as inside:
            yield inside
        points.pass_one()

    workbench = Workbench(load_settings(data_dir=data, config_dir=config), open_database(url))
    worker = workbench.outbox.worker
    vars(worker._sender)["_awake"] = vars(worker._copies)["_awake"] = points.clock
    setattr(Database, "session", session)  # noqa: B010 (the methods of a class are nobody's to set)
    for line in lines:
        thing, point, *given = json.loads(line)
        points.left = point
        _THINGS[thing](workbench, *given)
        points.left = -1
        _say("done")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
