"""One encrypted record: AES-256-GCM, bound to the name it was made for."""

from __future__ import annotations

import hashlib
import json
import secrets

from cgcore.errors import VaultError
from cgcore.vault.master_key import MasterKey

__all__ = ["Sealer", "record_name"]

# A record is: mark and format version, 12-byte nonce, ciphertext with its 16-byte tag (NIST SP 800-38D).
_MARK = b"CGV\x01"
_NONCE_BYTES = 12
_LABEL = "vault"


def _binding(service: str, user: str) -> bytes:
    # A JSON list, so that ("a", "bc") and ("ab", "c") differ; ASCII, so that no normal form is confused with another.
    return json.dumps([_MARK[-1], service, user]).encode("ascii")


def record_name(service: str, user: str) -> str:
    """Return the name under which the record lies: a SHA-256 (hex), so no user name reaches the disk."""
    return hashlib.sha256(_binding(service, user)).hexdigest()


class Sealer:
    """Seals and opens records with a key derived from the master key."""

    def __init__(self, master_key: MasterKey) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(master_key.derive(_LABEL))

    def seal(self, service: str, user: str, value: str) -> bytes:
        """Return the record of ``value``; the same value gives another record each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, value.encode("utf-8", "surrogatepass"), _binding(service, user))
        return _MARK + nonce + sealed

    def open(self, service: str, user: str, record: bytes) -> str:
        """Return the value. Raises :class:`VaultError` ``record_unreadable`` unless it was sealed for this name."""
        from cryptography.exceptions import InvalidTag

        start = len(_MARK) + _NONCE_BYTES
        try:
            if not record.startswith(_MARK) or len(record) < start:
                raise InvalidTag
            opened = self._cipher.decrypt(record[len(_MARK) : start], record[start:], _binding(service, user))
        except InvalidTag:
            raise VaultError("the record cannot be opened", code="record_unreadable") from None
        return opened.decode("utf-8", "surrogatepass")
