"""The «cofre cifrado»: our own keyring backend, one encrypted record per secret.

Imports ``keyring``, so it is itself imported at the first use of the vault.
"""

from __future__ import annotations

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from cgcore.errors import VaultError
from cgcore.vault.master_key import Sealer, record_name
from cgcore.vault.records import RecordStore

__all__ = ["EncryptedKeyring"]


class EncryptedKeyring(KeyringBackend):
    """A keyring over a record store.

    The constructor's arguments are required on purpose: every subclass of ``KeyringBackend`` registers itself, and one
    that could be made without arguments would take part in keyring's detection and pull in its chainer.
    """

    priority = 4  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, records: RecordStore, sealer: Sealer) -> None:
        super().__init__()
        self._records = records
        self._sealer = sealer

    def get_password(self, service: str, username: str) -> str | None:
        """Return the secret, or None. Raises :class:`VaultError`: ``record_unreadable``, ``record_read_failed``."""
        try:
            record = self._records.read(record_name(service, username))
        except OSError as error:
            raise VaultError(f"reading a record: {type(error).__name__}", code="record_read_failed") from error
        return None if record is None else self._sealer.open(service, username, record)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write or replace the secret. Raises :class:`VaultError` ``record_write_failed``: nothing changed."""
        record = self._sealer.seal(service, username, password)
        try:
            self._records.write(record_name(service, username), record)
        except OSError as error:
            raise VaultError(f"writing a record: {type(error).__name__}", code="record_write_failed") from error

    def delete_password(self, service: str, username: str) -> None:
        """Remove the secret. Raises keyring's ``PasswordDeleteError`` when there is none."""
        try:
            found = self._records.delete(record_name(service, username))
        except OSError as error:
            raise VaultError(f"removing a record: {type(error).__name__}", code="record_write_failed") from error
        if not found:
            raise PasswordDeleteError("no such secret")
