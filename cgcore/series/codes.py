"""The code of a series: what it may be, and what is better avoided in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cgcore.texts import sentence

__all__ = ["MAX_CODE", "code_key", "code_problem", "foreign_characters", "past_year", "sign_words"]

MAX_CODE = 10

# What the tax agency advises for the number of an invoice: no lower case, no ñ, no accents.
_ADVISED = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_/. ")
_RECENT_YEARS = 5  # a two-digit number counts as a year only so far back: «F25», not «A16»


def code_key(code: str) -> str:
    """Return what makes two codes the same series: case does not count."""
    return code.casefold()


def code_problem(code: str) -> str:
    """Return the key of what forbids ``code``, ``""`` for none: 1 to 10 printable signs, no blank at an end."""
    if not code.strip():
        return "code_empty"
    if code != code.strip():
        return "code_outer_space"
    if len(code) > MAX_CODE:
        return "code_too_long"
    return "" if code.isprintable() else "code_unprintable"


def foreign_characters(code: str) -> list[str]:
    """Return the signs outside the tax agency's advice, each once; a space where there are several."""
    found = [char for char in dict.fromkeys(code) if char not in _ADVISED]
    return [*found, " "] if code.count(" ") > 1 else found


def sign_words(signs: Sequence[str]) -> str:
    """Return the signs of :func:`foreign_characters` as a sentence shows them."""
    return ", ".join(sentence("cgcore.series", "several_spaces") if sign == " " else f"«{sign}»" for sign in signs)


def past_year(code: str, name: str, *, year: int) -> str:
    """Return the past year a series is named after, ``""`` for none: four digits anywhere, two only in the code."""
    for text in (code, name):
        for digits in re.findall(r"(?<!\d)(?:19|20)\d\d(?!\d)", text):
            if int(digits) < year:
                return digits
    for digits in re.findall(r"(?<!\d)\d\d(?!\d)", code):
        if 0 < (year - int(digits)) % 100 <= _RECENT_YEARS:
            return digits
    return ""
