"""«Contraseña del usuario actual»: the field, and the grant that the right password gives for one action."""

from __future__ import annotations

import math

import streamlit as st

from cgcore.errors import FieldProblem, InvalidInput, Throttled
from cgcore.vault.secret import Secret
from pages.ui.keys.view import KeysPage
from pages.ui.texts import api_key as texts

__all__ = ["PASSWORD", "ask_password", "find_grant"]

PASSWORD = "password"  # noqa: S105 (the name of a field)


def ask_password(key: str) -> Secret:
    """Draw the field and return what was typed."""
    return Secret(st.text_input(texts.PASSWORD, type="password", key=key, autocomplete="current-password"))


def find_grant(page: KeysPage, action: str, password: Secret) -> str | tuple[FieldProblem, ...]:
    """Return the grant for ``action``, or what is wrong with the password."""
    try:
        return page.workbench.identity.issue_grant(page.actor, action, password)
    except InvalidInput as refused:
        return refused.problems
    except Throttled as throttled:
        sentence = texts.WAIT.format(seconds=math.ceil(throttled.retry_after))
        return (FieldProblem(PASSWORD, "throttled", sentence),)
