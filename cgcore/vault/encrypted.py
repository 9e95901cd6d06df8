"""The «cofre cifrado»: our own keyring backend, one encrypted record per secret.

Imports ``keyring``, so it stands apart and is itself imported at the first use of the vault.
"""

from __future__ import annotations

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from cgcore.vault.master_key import Sealer, record_name
from cgcore.vault.records import RecordStore, delete_record, read_record, write_record

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
        record = read_record(self._records, record_name(service, username))
        return None if record is None else self._sealer.open(service, username, record)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write or replace the secret. Raises :class:`VaultError` ``record_write_failed``: nothing changed."""
        write_record(self._records, record_name(service, username), self._sealer.seal(service, username, password))

    def delete_password(self, service: str, username: str) -> None:
        """Remove the secret. Raises keyring's ``PasswordDeleteError`` when there is none."""
        if not delete_record(self._records, record_name(service, username)):
            raise PasswordDeleteError("no such secret")
