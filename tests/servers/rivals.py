"""Processes of the product over one database that all try the same thing in the same moment.

As a program: ``python -m tests.servers.rivals DATABASE_URL FOLDER NUMBER``. It says ``ready``, opens the database at
the first line that it reads and says ``open``. Each line after that is a list of JSON: the name of a thing, and what it
is tried with. It is tried by several threads at once, and their outcomes are said as a list of JSON.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cgcore.errors import CloudGestionError
from cgcore.identity.actor import Actor, Scope
from cgcore.mail.oauth_client import OAuthProvider
from cgcore.mail.request import TokenRefused
from cgcore.settings import load_settings
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.oauth.attempts import AttemptState

__all__ = ["Rivals", "meet"]

ROOT = Path(__file__).parents[2]
_THREADS = 3


class Rivals:
    """The running processes."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def open(self) -> None:
        """Let all of them open the database in the same moment."""
        self._tell("open")
        for process in self._processes:
            line = _line_of(process)
            assert line == "open", line

    def attempt(self, thing: str, *given: object) -> list[str]:
        """Let every thread of every process try it; return what came of each: ``done``, a state, or a refusal."""
        self._tell(json.dumps([thing, *given]))
        return sorted(outcome for process in self._processes for outcome in json.loads(_line_of(process)))

    def _tell(self, line: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line + "\n")
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.flush()


@contextmanager
def meet(url: str, folder: Path, count: int = 2) -> Iterator[Rivals]:
    """Start the processes and wait until all are ready. Each has its own data folder, and the master key of all."""
    with ExitStack() as stack:
        processes = [_start(stack, url, folder, number) for number in range(count)]
        for process in processes:
            line = _line_of(process)
            assert line == "ready", line
        yield Rivals(processes)


def _start(stack: ExitStack, url: str, folder: Path, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.servers.rivals", url, str(folder), str(number)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.communicate)
    stack.callback(process.kill)
    return process


def _line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# ---- The program


def _first_use(workbench: Workbench, code: str, name: str) -> object:
    return workbench.identity.accounts.first_use(Secret(code), name, Secret("una frase bastante larga"))


def _reset(workbench: Workbench, code: str) -> object:
    return workbench.identity.accounts.reset_password(Secret(code), Secret("otra frase bastante larga"))


def _pair(workbench: Workbench, code: str) -> object:
    return workbench.keys.pair_finish(code, "Móvil")


def _issue(workbench: Workbench, grant: str, user_id: int, session_hash: str) -> object:
    return workbench.keys.issue(Actor(user_id, "", session_hash=session_hash), grant, "App", frozenset(Scope))


def _roll(workbench: Workbench, grant: str, key_id: str, user_id: int, session_hash: str) -> object:
    return workbench.keys.roll(Actor(user_id, "", session_hash=session_hash), grant, key_id)


def _log_in(workbench: Workbench, name: str, now: str) -> object:
    # The same moment for all: how fast the machine is says nothing about how many are heard.
    vars(workbench.context)["clock"] = lambda: datetime.fromisoformat(now)
    return workbench.identity.sessions.log_in(name, Secret("no es esta"), ip="192.0.2.1")


def _token(workbench: Workbench, user_id: int) -> object:
    workbench.oauth.tokens.forget(user_id)
    return workbench.oauth.tokens.take(user_id)


def _come_back(workbench: Workbench, answer: dict[str, str], user_id: int, session_hash: str) -> object:
    actor = Actor(user_id, "", session_hash=session_hash)
    return workbench.oauth.attempts.come_back(actor, OAuthProvider.CUSTOM, answer).state


def _save_draft(workbench: Workbench, user_id: int, session_hash: str) -> None:
    actor, word = Actor(user_id, "", session_hash=session_hash), secrets.token_hex(4)
    workbench.drafts.keep(actor, "mail_account", "pestaña", {"user": word, "host": word})
    workbench.drafts.flush(actor)


def _send_due(workbench: Workbench) -> None:
    workbench.outbox.worker.work_once()


_THINGS: dict[str, Callable[..., object]] = {
    "first_use": _first_use,
    "reset": _reset,
    "pair": _pair,
    "issue": _issue,
    "roll": _roll,
    "log_in": _log_in,
    "token": _token,
    "come_back": _come_back,
    "save_draft": _save_draft,
    "send_due": _send_due,
}


def _outcome(thing: Callable[..., object], workbench: Workbench, given: list[Any], start: threading.Barrier) -> str:
    start.wait()
    try:
        came = thing(workbench, *given)
    except CloudGestionError as refused:
        return refused.code
    except TokenRefused as refused:
        return refused.key
    # What a use case returns beside a state (the name of whose password was set, for one) is no outcome.
    return came.value if isinstance(came, AttemptState) else "done"


def _main(url: str, folder: str, number: str) -> None:
    place = Path(folder)
    settings = load_settings(database_url=url, data_dir=place / number, config_dir=place / "config")
    _say("ready")
    sys.stdin.readline()
    workbench = open_workbench(settings)
    _ = workbench.database
    _say("open")
    with ThreadPoolExecutor(_THREADS) as threads:
        for line in sys.stdin:
            name, *given = json.loads(line)
            start = threading.Barrier(_THREADS)
            tries = [threads.submit(_outcome, _THINGS[name], workbench, given, start) for _ in range(_THREADS)]
            _say(json.dumps([attempt.result() for attempt in tries]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
