"""A process of the product that drives one run, to be killed, stopped, or raced against others.

As a program: ``python -m tests.servers.driving DATABASE_URL FOLDER USER_ID PORT``. It says ``ready``, starts a run at
each line that it reads, says ``run ID``, and at its end ``end VERDICT``. The run is one conversation with ``PORT``.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cgcore.activity import Action
from cgcore.identity.actor import Actor
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.settings import load_settings
from cgcore.storage.database import Database, open_database
from cgcore.workbench import Workbench
from cgcore.workbench.runs import Job

__all__ = ["Driver", "drive"]

ROOT = Path(__file__).parents[2]


class Driver:
    """A running process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def says(self, word: str) -> str:
        """Return what stands behind ``word`` in its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line.startswith(word), line
        return line.removeprefix(word).strip()

    def go(self) -> None:
        """Let it start a run."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


@contextmanager
def drive(database: Database, folder: Path, user_id: int, port: int) -> Iterator[Driver]:
    """Start a process and wait until it is ready."""
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.servers.driving", url, str(folder), str(user_id), str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    driver = Driver(process)
    try:
        driver.says("ready")
        yield driver
    finally:
        process.kill()
        process.communicate()


def _run(workbench: Workbench, actor: Actor, port: int) -> None:
    def steps() -> Iterator[Step]:
        yield Step("smtp", "tcp", Status.OK)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.recv(1)
        yield Step("smtp", "final", Status.OK)

    def conclude(_steps: object, verdict: Verdict, session: object) -> None:
        workbench.context.activity.record(actor, Action.TEST_MAIL_SENT, result=verdict.key, session=session)  # type: ignore[arg-type]

    job = Job(steps, lambda _steps, ms: Verdict("ok", "final", ms), conclude)
    run = workbench.runs.start(actor, Cell.TEST_MAIL, "f", job)
    _say("run", run.id)
    *_, last = workbench.runs.follow(actor, run)
    _say("end", last.verdict.key if last.verdict else "")


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def _main(url: str, folder: str, user_id: str, port: str) -> None:
    settings = load_settings(data_dir=Path(folder) / "data", config_dir=Path(folder) / "config")
    workbench = Workbench(settings, open_database(url))
    actor = Actor(int(user_id), "ana")
    _ = workbench.runs
    _say("ready")
    for _line in sys.stdin:
        _run(workbench, actor, int(port))


if __name__ == "__main__":
    _main(*sys.argv[1:])
