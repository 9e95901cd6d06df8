"""A private PostgreSQL cluster for the tests, on a free loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cgcore.storage.database import open_database
from tests.servers.leftout import leave_out

__all__ = ["PostgresServer", "children_of", "postgres_server", "run_postgres"]

_USER = "cgtest"


class PostgresServer:
    """A running cluster; hands out fresh databases."""

    def __init__(self, bin_dir: Path, folder: Path, port: int) -> None:
        self._bin, self._folder, self.port = bin_dir, folder, port
        self._model = ""

    def start(self) -> None:
        """Initialise and start the cluster; nothing is kept safe on disk, it is thrown away."""
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", str(data), "-o", options, "-l", str(self._folder / "log"), "-w", "start")

    def stop(self) -> None:
        """Stop the cluster."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def list_processes(self) -> list[int]:
        """Return the ids of the cluster's processes, the one that makes the others first."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        return [postmaster, *children_of(postmaster)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop every process of the cluster where it stands, until the block ends: connections stay, answers do not."""
        postmaster = self.list_processes()[0]
        stopped: list[int] = []
        # The first one makes the others: once it stands still, there are no more to come.
        try:
            for find in (lambda: [postmaster], lambda: children_of(postmaster)):
                for pid in find():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def create_database(self, name: str) -> str:
        """Create database ``name`` and return its URL."""
        return self._create(name)

    def create_migrated_database(self, name: str) -> str:
        """Create database ``name`` as the migrations make it and return its URL; they run once, the rest are copies."""
        if not self._model:
            open_database(self._create("migrated")).close()
            self._model = "migrated"
        return self._create(name, self._model)

    def guard(self, url: str, password: str) -> str:
        """Return ``url`` for a role of its own that has to show ``password`` (SCRAM)."""
        import psycopg

        name = url.rpartition("/")[2]
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {name} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            for statement in (
                f"CREATE ROLE \"{name}\" LOGIN SUPERUSER PASSWORD '{password}'",
                "SELECT pg_reload_conf()",
            ):
                connection.execute(statement)  # type: ignore[arg-type]
        return f"postgresql://{name}:{password}@127.0.0.1:{self.port}/{name}"

    def _create(self, name: str, model: str = "template1") -> str:
        import psycopg

        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{model}"')  # type: ignore[arg-type]
        return self._dsn(name)

    def _dsn(self, database: str) -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._bin / program), *arguments]
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root; its Debian package brings the account.
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self._folder)


def children_of(parent: int) -> list[int]:
    """Return the ids of the processes that ``parent`` has made."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in brackets may hold anything; state and parent follow its last bracket.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_postgres() -> Iterator[PostgresServer | None]:
    """Run a cluster for the block; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="cg-pg-"))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    server = PostgresServer(found[-1].parent, folder, _free_port())
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One cluster for the whole run."""
    with run_postgres() as server:
        if server is None:
            leave_out("postgresql")
        assert server is not None
        yield server
