"""Where the vault meets the database: its records, the names of what it may hold, and a look at it before a start."""

from __future__ import annotations

import base64
import os
import secrets
import time
from collections.abc import Callable

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from cgcore.errors import StorageError, VaultError
from cgcore.mail.oauth_client import OAuthProvider
from cgcore.sandbox.state import AUTHORITY_SECRET, sandbox_secret
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.storage.identity import list_users
from cgcore.storage.vault_records import VaultRecords
from cgcore.vault import PlaceKind, Vault, VaultLimits, VaultPlace
from cgcore.vault.master_key import KEY_BYTES, find_key_path, load_master_key
from cgcore.vault.records import FolderRecords, MemoryRecords, RecordStore
from cgcore.vault.selection import FindBackend

__all__ = [
    "inspect_key",
    "inspect_place",
    "list_secret_names",
    "oauth_client_secret",
    "oauth_pending_secret",
    "oauth_secret",
    "open_records",
    "open_vault",
    "secret_name",
]


def secret_name(user_id: int) -> str:
    """Return the vault's name of a user's mail password; by number, so that a rename orphans nothing."""
    return f"mail/{user_id}"


def oauth_secret(user_id: int) -> str:
    """Return the vault's name of a user's refresh token."""
    return f"oauth/{user_id}"


def oauth_pending_secret(user_id: int) -> str:
    """Return the vault's name of a refresh token that its user has not said yes to yet."""
    return f"oauth-pending/{user_id}"


def oauth_client_secret(provider: OAuthProvider) -> str:
    """Return the vault's name of the secret of the client that is registered with a provider."""
    return f"oauth-client/{provider.value}"


def list_secret_names(database: Database) -> list[str]:
    """Return the name of each secret that there may be; a keyring cannot be asked what it holds."""
    with database.read() as session:
        users = [row.id for row in list_users(session) if row.id is not None]
    own = (secret_name, sandbox_secret, oauth_secret, oauth_pending_secret)
    clients = [oauth_client_secret(each) for each in OAuthProvider]
    return [AUTHORITY_SECRET, *clients, *(name(user) for user in users for name in own)]


def open_vault(
    settings: Settings,
    database: Database,
    *,
    find_backend: FindBackend | None = None,
    limits: VaultLimits | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Vault:
    """Return the vault of these settings; nothing is read yet.

    With PostgreSQL the encrypted records are in its table ``vault_record`` and come before the keyring of one machine,
    unless ``PYTHON_KEYRING_BACKEND`` names a keyring; else they are in ``vault`` under the data folder.
    ``find_backend`` finds the system's keyring, ``clock`` counts seconds.
    """
    shared = _prefers_records(database) and find_backend is None
    records = open_records(settings, database)
    return Vault(settings, records, shared=shared, find_backend=find_backend, limits=limits, clock=clock)


def open_records(settings: Settings, database: Database) -> RecordStore:
    """Return where the encrypted records of these settings lie: in PostgreSQL's table, else in the data folder."""
    if database.is_sqlite:
        return FolderRecords(settings.data_dir / "vault")
    return VaultRecords(database)


def inspect_key(settings: Settings) -> bool:
    """Return whether there is a master key; False where the first start will make one. Raises :class:`VaultError`."""
    path = find_key_path(settings)
    if path is not None and not path.exists():
        if settings.production and settings.master_key_file is not None:
            raise VaultError("the key file does not exist", code="master_key_missing")
        if _has_records(settings):
            raise VaultError("there is a vault but no key file", code="master_key_lost")
        return False
    load_master_key(settings, may_create=False)
    return True


def inspect_place(settings: Settings) -> VaultPlace:
    """Return where secrets live, or will live after the first start. The system's keyring is tried out."""
    try:
        exists = inspect_key(settings)
        database = Database(settings.resolved_database_url())
        try:
            records = open_records(settings, database)
            shared = _prefers_records(database)
            if exists and _has_records(settings):
                return Vault(settings, records, shared=shared).describe()
            return _inspect_unmade(settings, records, shared=shared)
        finally:
            database.close()
    except VaultError as error:
        return VaultPlace(PlaceKind.BLOCKED, reason=error.code)
    except (SQLAlchemyError, StorageError):
        return VaultPlace(PlaceKind.BLOCKED, reason="records_unreachable")


def _inspect_unmade(settings: Settings, records: RecordStore, *, shared: bool) -> VaultPlace:
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    stand_in = settings.model_copy(update={"master_key": SecretStr(key)})
    return Vault(stand_in, MemoryRecords(records.location), shared=shared).describe()


def _has_records(settings: Settings) -> bool:
    database = Database(settings.resolved_database_url())
    try:
        return bool(open_records(settings, database).names())
    except OSError as error:
        # A database that is not there yet, or has no tables yet, has no records either; check says so on its own line.
        if database.is_sqlite:
            raise VaultError(f"the records: {type(error).__name__}", code="records_unreachable") from None
        return False
    finally:
        database.close()


def _prefers_records(database: Database) -> bool:
    """Return whether shared records come before the keyring of one machine: unless a keyring is named on purpose."""
    return not database.is_sqlite and not os.environ.get("PYTHON_KEYRING_BACKEND")
