"""The written form of an API key: ``cg_<id 8>_<secret 32><checksum 6>`` in base62."""

from __future__ import annotations

import re
import secrets
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest

from cgcore.vault.secret import Secret

__all__ = ["ALPHABET", "KEY_PATTERN", "KeyParts", "build_key", "find_parts", "new_parts"]

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase

# Only word characters, so that a double click selects a whole key. Published for secret scanners.
KEY_PATTERN = r"cg_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}"

_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 8, 32, 6
_FORM = re.compile(r"cg_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")


@dataclass(frozen=True, slots=True)
class KeyParts:
    """A key taken apart: its public ``id`` and its ``secret`` (32 base62 characters, about 190 bits)."""

    id: str
    secret: Secret


def new_parts(choice: Callable[[str], str] = secrets.choice) -> KeyParts:
    """Return the parts of a new key; ``choice`` picks one character of an alphabet at random."""
    return KeyParts(
        id="".join(choice(ALPHABET) for _ in range(_ID_LENGTH)),
        secret=Secret("".join(choice(ALPHABET) for _ in range(_SECRET_LENGTH))),
    )


def build_key(parts: KeyParts) -> Secret:
    """Return the key as a person copies it: ``cg_`` id ``_`` secret checksum."""
    body = f"cg_{parts.id}_{parts.secret.reveal()}"
    return Secret(body + _checksum(body))


def find_parts(text: str) -> KeyParts | None:
    """Return the parts of the key in ``text``, or ``None`` when it is mistyped, cut or no key at all.

    The checksum is public arithmetic (CRC-32 of the ASCII ``cg_<id>_<secret>``): it finds typing errors without
    the database and proves nothing else.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    key_id, secret, checksum = match.groups()
    if not compare_digest(checksum, _checksum(f"cg_{key_id}_{secret}")):
        return None
    return KeyParts(id=key_id, secret=Secret(secret))


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits = ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits.rjust(_CHECKSUM_LENGTH, "0")
