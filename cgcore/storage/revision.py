"""At which revision a database stands, found without SQLAlchemy: loading that takes longer than the answer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

__all__ = ["HEAD_REVISION", "is_current"]

# The newest migration. Compared with the stored revision, so that Alembic is imported only when they differ.
HEAD_REVISION = "0004"

_SQLITE = "sqlite:///"


def is_current(url: str) -> bool:
    """Return whether the SQLite file behind ``url`` answers and stands at this program's revision.

    False also where only :func:`cgcore.storage.database.open_database` can tell: another kind of database, no file
    yet, one that cannot be read. Nothing is written and nothing is made.
    """
    path = Path(unquote(url.removeprefix(_SQLITE)))
    if not url.startswith(_SQLITE) or not path.is_file():
        return False
    try:
        # "rw": a database in WAL mode is not readable without its side files, which "ro" may not make.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return False
    return found == (HEAD_REVISION,)
