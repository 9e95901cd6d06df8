"""Passwords: which ones are accepted, and their argon2id hashes."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from cgcore.once import once
from cgcore.vault.secret import Secret

if TYPE_CHECKING:
    import argon2

__all__ = ["MAX_LENGTH", "MIN_LENGTH", "PasswordCheck", "PasswordHasher", "find_password_problem", "is_common"]


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


MIN_LENGTH, MAX_LENGTH = 8, 1024

# OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, two passes, one lane.
_MEMORY_KIB, _PASSES, _LANES = 19456, 2, 1


def find_password_problem(password: Secret, username: str = "") -> str:
    """Return the code of what is wrong with a new password, ``""`` when it may be used.

    Length and a list of common ones, no rules of composition (NIST SP 800-63B, 3.1.1.2). Lengths are counted in
    characters of the NFC form.
    """
    text = _normalise(password)
    if len(text) < MIN_LENGTH:
        return "password_too_short"
    if len(text) > MAX_LENGTH:
        return "password_too_long"
    if is_common(text, username):
        return "password_common"
    return ""


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """Whether the password matched, and whether its hash should be made anew with today's parameters."""

    ok: bool
    outdated: bool = False


class PasswordHasher:
    """Makes and checks argon2id hashes. The library loads at the first use."""

    def make_hash(self, password: Secret) -> str:
        """Return the hash of ``password`` in the PHC string format."""
        return self._argon2.hash(_normalise(password))

    def check(self, stored: str, password: Secret) -> PasswordCheck:
        """Return whether ``password`` is the one behind ``stored``.

        Every call costs one hash: an empty ``stored`` (no such user) is checked against a hash that nothing
        matches, and a password beyond the limit is cut to it and refused.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        decoy = self._decoy
        text = _normalise(password)
        try:
            self._verify(stored or decoy, text[:MAX_LENGTH])
        except (VerificationError, InvalidHashError):
            return PasswordCheck(ok=False)
        if not stored or len(text) > MAX_LENGTH:
            return PasswordCheck(ok=False)
        return PasswordCheck(ok=True, outdated=self._argon2.check_needs_rehash(stored))

    def _verify(self, stored: str, text: str) -> None:
        self._argon2.verify(stored, text)

    @once
    def _argon2(self) -> argon2.PasswordHasher:
        import argon2

        return argon2.PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)

    @once
    def _decoy(self) -> str:
        # Made before the first check of any user, known or not, so that it tells nothing.
        from cgcore.identity.tokens import new_token

        return self.make_hash(new_token())


def _normalise(password: Secret) -> str:
    # A lone surrogate (JSON can spell one) has no UTF-8 form; nobody types it.
    text = password.reveal().encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFC", text)
