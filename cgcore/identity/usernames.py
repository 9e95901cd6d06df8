"""User names: how one is written, and when two are the same."""

from __future__ import annotations

import unicodedata

__all__ = ["MAX_LENGTH", "find_username_problem", "normalise_username", "username_key"]

MAX_LENGTH = 64


def normalise_username(text: str) -> str:
    """Return the name as it is stored and shown: NFC, no space at either end."""
    return unicodedata.normalize("NFC", text).strip()


def username_key(text: str) -> str:
    """Return what two spellings of one name have in common: compatibility form, case folded (UTS 39, 3.1)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).casefold())


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
