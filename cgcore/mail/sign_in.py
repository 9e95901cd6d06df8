"""Signing in: the forms of a user name that are worth a try, and what may be wrong with the password."""

from __future__ import annotations

import re
from dataclasses import replace

from cgcore.mail.account_texts import visible
from cgcore.mail.addresses import domain_of, is_address
from cgcore.mail.request import ProbeRequest
from cgcore.mail.steps import Leg, Step
from cgcore.vault.secret import Secret

__all__ = ["other_user_form", "with_password_note"]


def other_user_form(request: ProbeRequest) -> str:
    """Return the form of the user name worth one more try, ``""`` when there is none.

    Only where the provider is known to want the form that was not typed: guessing would spend log-in attempts.
    """
    from cgcore.mail.providers import find_provider

    provider = find_provider(request.provider) if request.provider else None
    if provider is None:
        return ""
    form = provider.imap_username_form if request.leg is Leg.IMAP else ""
    form = form or provider.username_form
    if form == "local_part" and is_address(request.user):
        return request.user.rpartition("@")[0]
    domain = domain_of(request.mail_from)
    if form == "address" and domain and "@" not in request.user and "\\" not in request.user:
        return f"{request.user}@{domain}"
    return ""


_ABOUT_THE_PASSWORD = frozenset({"bad_credentials", "app_password_required"})
_GROUPS = re.compile(r"\w{4}(?:\s\w{4}){3}")  # how providers show a password of sixteen letters


def with_password_note(step: Step, password: Secret | None) -> Step:
    """Return a refused sign-in with ``details.hint`` where blanks in the password may be the cause.

    The note is the code of a sentence and holds nothing of the password. No blank is taken away.
    """
    code = _code(password.reveal() if password is not None else "")
    if step.key not in _ABOUT_THE_PASSWORD or not code:
        return step
    return replace(step, details={**step.details, "hint": code})


def _code(text: str) -> str:
    if _GROUPS.fullmatch(text.strip()):
        return "password_groups"
    if text != text.strip():
        return "password_outer_spaces"
    return "password_invisible" if visible(text) != text.replace(" ", "") else ""
