"""The words of a verdict: each kind of cell has its own catalogue; pages and API show the same."""

from __future__ import annotations

from collections.abc import Callable

from cgcore.runs import BROKEN, INTERRUPTED, Cell, Verdict
from cgcore.texts import sentence

__all__ = ["verdict_texts"]


def verdict_texts(cell: str, verdict: Verdict) -> tuple[str, str]:
    """Return title and fix of a verdict of ``cell``; the fix may be empty. Never raises for what is stored."""
    if "told" in verdict.values:
        # The sentences of an earlier version, where their values could not be told.
        title, fix = verdict.values["told"]
        return str(title), str(fix)
    if verdict.key in (INTERRUPTED, BROKEN):
        return _of_no_end(cell, verdict.key)
    try:
        return _texts_of(cell)(verdict)
    except (KeyError, ValueError):
        # Stored by another version of the program.
        return sentence("cgcore.workbench", "verdict_unknown", code=verdict.key), ""


def _texts_of(cell: str) -> Callable[[Verdict], tuple[str, str]]:
    if cell == Cell.API_KEY:
        return _of_key_check
    if cell == Cell.SETUP:
        from cgcore.workbench.mail_setup import setup_verdict_texts

        return setup_verdict_texts
    if cell == Cell.DELIVERABILITY:
        return _of_deliverability
    if cell == Cell.SERIES_CHECK:
        from cgcore.series.defaults import verdict_texts as of_series_check

        return of_series_check
    from cgcore.mail.diagnosis.texts import verdict_texts as of_mail

    return of_mail


def _of_no_end(cell: str, key: str) -> tuple[str, str]:
    # Of a mail that was on its way nobody knows whether it has left.
    kind = "sending_fix" if cell in (Cell.TEST_MAIL, Cell.TEMPLATE_MAIL) else "fix"
    return sentence("cgcore.workbench", f"{key}_title"), sentence("cgcore.workbench", f"{key}_{kind}")


def _of_key_check(verdict: Verdict) -> tuple[str, str]:
    passed = verdict.key == "ok"
    title = sentence("cgcore.api_keys", "accepted" if passed else verdict.key, **verdict.values)
    return title, "" if passed else sentence("cgcore.api_keys", f"{verdict.key}_fix")


def _of_deliverability(verdict: Verdict) -> tuple[str, str]:
    # Each finding has its own line; the whole is good or not.
    return sentence("cgcore.workbench", "deliverability_ok" if verdict.key == "ok" else "deliverability_wanting"), ""
