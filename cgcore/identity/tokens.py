"""User names, random tokens and one-time codes; what is stored of the latter two is their SHA-256."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata

from cgcore.vault.secret import Secret

__all__ = [
    "MAX_LENGTH",
    "find_username_problem",
    "hash_code",
    "hash_token",
    "new_code",
    "new_token",
    "normalise_username",
    "username_key",
]

_TOKEN_BYTES = 32
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# Crockford's base 32: no I, L, O, U, so that a code read aloud or copied by hand survives.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS, _GROUP_LENGTH = 4, 5
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def new_token() -> Secret:
    """Return 256 random bits as URL-safe text (43 characters)."""
    return Secret(secrets.token_urlsafe(_TOKEN_BYTES))


def hash_token(token: Secret) -> str:
    """Return the SHA-256 (hex) of ``token``: a fast digest is right, the value is random (ASVS 5.0, 11.4.2)."""
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def new_code() -> Secret:
    """Return a code of 100 random bits for a person to copy: ``7K2MQ-…-…-9XD4T``."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return Secret("-".join(groups))


def hash_code(code: Secret) -> str:
    """Return the SHA-256 (hex) of ``code``; case, dashes, spaces and look-alikes do not count."""
    return hash_token(Secret(code.reveal().strip().upper().translate(_LOOKALIKES)))


MAX_LENGTH = 64


def normalise_username(text: str) -> str:
    """Return the name as it is stored and shown: NFC, no space at either end."""
    return unicodedata.normalize("NFC", text).strip()


def username_key(text: str) -> str:
    """Return what two spellings of one name have in common: compatibility form, case folded (UTS 39, 3.1)."""
    # Anybody may send anything as a name: what no name can be is bounded, and is a name that nobody has.
    name = _UNSTORABLE.sub("\x01", text[: 4 * MAX_LENGTH].strip())
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def find_username_problem(text: str) -> str:
    """Return the code of what is wrong with a new user name, ``""`` when it may be used."""
    name = normalise_username(text)
    if not name:
        return "username_empty"
    if len(name) > MAX_LENGTH:
        return "username_too_long"
    # Control, format and separator characters make two names look like one.
    if any(unicodedata.category(char)[0] == "C" or (char != " " and char.isspace()) for char in name):
        return "username_characters"
    return ""
