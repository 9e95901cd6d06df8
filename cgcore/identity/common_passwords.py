"""The passwords that guessers try first: the usual worldwide ones, the Spanish ones, and ours."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["is_common"]


def is_common(password: str, username: str = "") -> bool:
    """Return whether ``password`` is one of the first that a guesser tries.

    Those are a list, one short block repeated, and the user name itself with digits or signs around it.
    """
    folded = password.casefold()
    if folded in _listed() or re.fullmatch(r"(.{1,4}?)\1+", folded, re.DOTALL):
        return True
    name = username.casefold()
    return bool(name) and folded.strip("0123456789!.-_ ") == name


@cache
def _listed() -> frozenset[str]:
    # Whole passwords of eight characters and more; shorter ones are refused by length.
    return frozenset(files("cgcore.identity").joinpath("common_passwords.txt").read_text("utf-8").split())
