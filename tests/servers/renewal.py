"""A process of the product that is killed between a provider's answer and the store of the vault.

As a program: ``python -m tests.servers.renewal DATABASE_URL FOLDER USER_ID``. It asks for an access token, says
``answered`` once the provider has given one, and then keeps nothing and goes no further.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cgcore.settings import load_settings
from cgcore.workbench import open_workbench

__all__ = ["renew_and_die"]

ROOT = Path(__file__).parents[2]


def renew_and_die(url: str, folder: Path, user_id: int) -> int:
    """Start such a process, kill it in that moment with SIGKILL, and return its exit code."""
    command = [sys.executable, "-m", "tests.servers.renewal", url, str(folder), str(user_id)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "answered\n"
        process.kill()
        return process.wait()


def _main(url: str, folder: str, user_id: str) -> None:
    place = Path(folder)
    settings = load_settings(database_url=url, data_dir=place / "muere", config_dir=place / "config")
    workbench = open_workbench(settings)

    door = workbench.oauth._door
    ask = door.refresh

    def stop(*arguments: Any) -> None:
        ask(*arguments)
        sys.stdout.write("answered\n")
        sys.stdout.flush()
        signal.pause()

    vars(workbench.oauth)["_door"] = SimpleNamespace(refresh=stop)
    workbench.oauth.tokens.take(int(user_id))


if __name__ == "__main__":
    _main(*sys.argv[1:])
