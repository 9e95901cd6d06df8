"""A keyring in memory: the double that passes the same contract."""

from __future__ import annotations

import threading

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

__all__ = ["MemoryKeyring"]


class MemoryKeyring(KeyringBackend):
    """Keeps everything in ``entries`` and forgets it with the process.

    The argument is required so that keyring's detection never picks it (see ``EncryptedKeyring``).
    """

    priority = 1  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, entries: dict[tuple[str, str], str]) -> None:
        super().__init__()
        self.entries = entries
        self._lock = threading.Lock()

    def get_password(self, service: str, username: str) -> str | None:
        """Return the secret, or None."""
        with self._lock:
            return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write or replace the secret."""
        with self._lock:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Remove the secret. Raises ``PasswordDeleteError`` when there is none."""
        with self._lock:
            if self.entries.pop((service, username), None) is None:
                raise PasswordDeleteError("no such secret")
