"""Another master key for a whole installation, while nobody serves it.

Apart from :mod:`cgcore.workbench.secrets`, which a server needs too: this is for the command alone.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from cgcore.settings import Settings
from cgcore.storage.copies import require_unused
from cgcore.storage.database import open_database
from cgcore.vault.rotation import Rotation, rotate
from cgcore.workbench.secrets import list_secret_names, open_records
from cgcore.workbench.start import sole_server

__all__ = ["rotate_master_key"]


def rotate_master_key(settings: Settings, new_key: Path) -> Rotation:
    """Seal every secret with the key in the file ``new_key``, see :func:`cgcore.vault.rotation.rotate`.

    Raises :class:`VaultError`, and :class:`StorageError` while a server runs on the database.
    """
    url = settings.resolved_database_url()
    with sole_server(settings):
        require_unused(url)
        with closing(open_database(url)) as database:
            return rotate(settings, open_records(settings, database), list_secret_names(database), new_key)
