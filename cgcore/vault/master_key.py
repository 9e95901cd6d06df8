"""The master key: where it comes from, and the keys derived from it, one per use."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import final

from cgcore.errors import VaultError
from cgcore.settings import Settings
from cgcore.vault.records import hold_lock, make_private_folder, write_atomically

__all__ = ["KEY_BYTES", "MasterKey", "Sealer", "find_key_path", "load_master_key", "read_key_file", "record_name"]

KEY_BYTES = 32
_FILE_NAME = "master.key"
_OTHERS = 0o077


@final
class MasterKey:
    """32 random bytes that never leave this object; only keys derived from them do."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise VaultError("the master key is not 32 bytes", code="master_key_invalid")
        self._key = key

    def __repr__(self) -> str:
        return "MasterKey(…)"

    def derive(self, label: str, length: int = KEY_BYTES) -> bytes:
        """Return ``length`` bytes for the use that ``label`` names: HKDF-SHA256 (RFC 5869) with the label as info."""
        # Imported here: only a process that derives pays for it.
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = b"cloud-gestion/" + label.encode()
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(self._key)


def find_key_path(settings: Settings) -> Path | None:
    """Return the file that holds the key, or None when ``CG_MASTER_KEY`` itself does."""
    if settings.master_key.get_secret_value():
        return None
    return settings.master_key_file or settings.config_dir / _FILE_NAME


def load_master_key(settings: Settings, *, may_create: bool) -> MasterKey:
    """Return the master key: ``CG_MASTER_KEY``, else the key file, which is made when missing.

    ``may_create`` is False where a vault exists already: a fresh key could not open it. A missing
    ``CG_MASTER_KEY_FILE`` is refused in production. Raises :class:`VaultError` with one of the codes
    ``master_key_invalid``, ``master_key_mode``, ``master_key_missing``, ``master_key_lost``, ``master_key_unreadable``.
    """
    path = find_key_path(settings)
    if path is None:
        return _decode(settings.master_key.get_secret_value().encode())
    try:
        if not path.exists():
            _create(settings, path, may_create=may_create)
        return _read(path)
    except OSError as error:
        raise VaultError(f"the key file: {type(error).__name__}", code="master_key_unreadable") from error


def read_key_file(path: Path) -> MasterKey:
    """Return the key in a file. Raises :class:`VaultError` as :func:`load_master_key` does."""
    try:
        return _read(path)
    except OSError as error:
        raise VaultError(f"the key file: {type(error).__name__}", code="master_key_unreadable") from error


def _create(settings: Settings, path: Path, *, may_create: bool) -> None:
    if not may_create:
        raise VaultError("there is a vault but no key file", code="master_key_lost")
    if settings.production and settings.master_key_file is not None:
        raise VaultError("the key file does not exist", code="master_key_missing")
    make_private_folder(path.parent)
    with hold_lock(path.with_name(path.name + ".lock")):
        # A second process may have made it while this one waited.
        if not path.exists():
            write_atomically(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")


def _read(path: Path) -> MasterKey:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise VaultError("the key file is not its owner's alone", code="master_key_mode")
    return _decode(path.read_bytes())


def _decode(text: bytes) -> MasterKey:
    try:
        return MasterKey(base64.b64decode(text.strip(), validate=True))
    except binascii.Error:
        # Without the cause: its text could quote the key.
        raise VaultError("the master key is not base64", code="master_key_invalid") from None


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

    @staticmethod
    def made(record: bytes) -> bool:
        """Return whether a record is of this kind, whatever key it was sealed with."""
        return record.startswith(_MARK)

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
