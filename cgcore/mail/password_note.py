"""What a person may not see in the password they typed, told once a server has refused it."""

from __future__ import annotations

import re
from dataclasses import replace

from cgcore.mail.account_texts import sentence, visible
from cgcore.mail.steps import Step
from cgcore.vault.secret import Secret

__all__ = ["with_password_note"]

_ABOUT_THE_PASSWORD = frozenset({"bad_credentials", "app_password_required"})
_GROUPS = re.compile(r"\w{4}(?:\s\w{4}){3}")  # how providers show a password of sixteen letters


def with_password_note(step: Step, password: Secret | None) -> Step:
    """Return a refused sign-in with ``details.hint`` where blanks in the password may be the cause.

    The note is a sentence and holds nothing of the password. What was typed is what was sent: no blank is taken away.
    """
    code = _code(password.reveal() if password is not None else "")
    if step.key not in _ABOUT_THE_PASSWORD or not code:
        return step
    return replace(step, details={**step.details, "hint": sentence(code)})


def _code(text: str) -> str:
    if _GROUPS.fullmatch(text.strip()):
        return "password_groups"
    if text != text.strip():
        return "password_outer_spaces"
    return "password_invisible" if visible(text) != text.replace(" ", "") else ""
