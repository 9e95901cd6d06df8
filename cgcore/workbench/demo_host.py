"""A demonstration for strangers (``CG_DEMO=1``): made anew at each start, and each night.

Apart from :mod:`cgcore.workbench.demo`, which only fills: here data is thrown away.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from cgcore.errors import StorageError
from cgcore.settings import Settings
from cgcore.storage.revision import sqlite_path
from cgcore.vault.secret import Secret
from cgcore.workbench.core import Workbench
from cgcore.workbench.demo import DEMO_USER, seed_demo

__all__ = ["DEMO_MARK", "DEMO_PASSWORD", "DEMO_USER", "clear_demo", "fill_demo", "find_next_reset"]

DEMO_MARK = "demonstration"
"""The file that says of a data folder that it may be thrown away."""

DEMO_PASSWORD = "demo-cloud-gestion"  # noqa: S105  shown to everybody on the log-in page
_NIGHT_HOUR = 3


def clear_demo(settings: Settings) -> None:
    """Throw away what visitors have left.

    Only in a folder that was empty at the first start, with a file of SQLite in it: never a database of somebody's.
    Raises :class:`StorageError` ``demo_folder``.
    """
    folder, path = settings.data_dir, sqlite_path(settings.resolved_database_url())
    if path is None or path.parent.absolute() != folder.absolute():
        raise StorageError("a database of somebody's", code="demo_folder")
    mark = folder / DEMO_MARK
    left = _list_left(folder)
    if left and not mark.exists():
        raise StorageError("a folder with data", code="demo_folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch()
    for each in left:
        if each == mark:
            continue
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink(missing_ok=True)


def _list_left(folder: Path) -> list[Path]:
    # The lock is the one that this server holds.
    return [each for each in folder.iterdir() if each.name != "server.lock"] if folder.is_dir() else []


def fill_demo(workbench: Workbench) -> str:
    """Make company, series and the one user whom everybody enters as; return the name."""
    return seed_demo(workbench, Secret(DEMO_PASSWORD)) or DEMO_USER


def find_next_reset(now: datetime) -> datetime:
    """Return the next moment, after ``now``, at which everything is made anew."""
    night = now.replace(hour=_NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return night if night > now else night + timedelta(days=1)
