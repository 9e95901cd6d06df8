"""What the real mail servers of the tests share: folders, free ports, child processes that end with the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["Account", "Daemon", "free_ports", "mail_owner", "make_folder"]

Account = pwd.struct_passwd
_PATIENCE = 20.0
_GUARD = """trap 'kill -TERM $server' TERM; "$@" & server=$!; wait $server; wait $server"""


def make_folder(prefix: str) -> Path:
    """Return a new folder that every user of the machine can walk through (servers change their user)."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    return folder


def free_ports(count: int) -> list[int]:
    """Return ``count`` different free ports of 127.0.0.1."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def mail_owner() -> Account:
    """Return the account that owns the test mailboxes: ourselves, or ``mail`` where we are root."""
    return pwd.getpwnam("mail") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


class Daemon:
    """A server in the foreground of its own process group, stopped with everything it started."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        # Should the tests be killed, the kernel tells the guard, and the guard the server (which may change its user,
        # and would not be told then).
        tied = ["setpriv", "--pdeathsig", "TERM", "sh", "-c", _GUARD, "guard"] if shutil.which("setpriv") else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*tied, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def wait_for(self, ports: Sequence[int], host: str = "127.0.0.1") -> None:
        """Return when every port accepts connections; raise with the log when the server ends or takes too long."""
        end = time.monotonic() + _PATIENCE
        for port in ports:
            while not _accepts(port, host):
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the server did not start: {self._log.read_text(errors='replace')[-3000:]}")
                time.sleep(0.02)

    def stop(self) -> None:
        """End the process group."""
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                return


def _accepts(port: int, host: str) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def remove(folder: Path) -> None:
    """Remove a folder of :func:`make_folder`."""
    shutil.rmtree(folder, ignore_errors=True)
