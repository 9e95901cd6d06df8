"""Looks at key and vault without making either: for a check before the first start, or by somebody else's account."""

from __future__ import annotations

import base64
import secrets

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from cgcore.errors import StorageError, VaultError
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.vault.master_key import KEY_BYTES, find_key_path, load_master_key
from cgcore.vault.records import MemoryRecords, RecordStore, open_records, prefers_records
from cgcore.vault.selection import PlaceKind, VaultPlace
from cgcore.vault.vault import Vault

__all__ = ["inspect_key", "inspect_place"]


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
            shared = prefers_records(database)
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
