"""The parts of a configuration file out of the installation; an import compares the same forms before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cgcore.company.company import Company
from cgcore.documents import DOCUMENT_TYPES, DocumentType, types_with_template
from cgcore.mail.account import AuthKind, MailAccountDraft, account_to_json
from cgcore.mail.preset import MailPreset
from cgcore.series.series import Series
from cgcore.storage.snapshot import UserState

__all__ = ["export_account", "export_company", "export_defaults", "export_presets", "export_series", "export_user"]

_TYPES = [entry.code.value for entry in types_with_template()]


def export_company(
    company: Company, defaults: Mapping[DocumentType, str], presets: Iterable[MailPreset]
) -> dict[str, Any]:
    """Return the company with its default series, and its mail servers by domain where it keeps any."""
    value = company.as_json()
    value.pop("version")
    return {**value, "series": export_defaults(defaults), **export_presets(presets)}


def export_presets(presets: Iterable[MailPreset]) -> dict[str, Any]:
    """Return the company's mail servers under their name in the file, nothing where there are none."""
    kept = {preset.domain: preset.as_json() for preset in presets}
    return {"mail_servers": kept} if kept else {}


def export_series(series: Series) -> dict[str, Any]:
    """Return one series."""
    value = series.as_json()
    value.pop("version")
    return value


def export_user(state: UserState, *, only_templates: bool = False) -> dict[str, Any]:
    """Return one user: particulars, mail account without password, templates, signature, defaults.

    Templates that are the built-in ones are left out.
    """
    row, own = state.row, state.templates
    texts: dict[str, Any] = {
        "templates": {name: {"subject": own[name][0], "body": own[name][1]} for name in _TYPES if name in own},
        "signature": None if state.signature is None else {"html": state.signature},
    }
    if only_templates:
        return {"name": row.username, **texts}
    return {
        "name": row.username,
        "full_name": row.full_name,
        "mail": row.mail,
        "role": row.role,
        # Said of whom it is not so: everybody else may log in.
        **({} if row.active else {"active": False}),
        "mail_account": export_account(state.account.draft) if state.account else None,
        # On it is by itself.
        **({} if state.watched else {"mail_watch": False}),
        **({"bounce_search": True} if state.searched else {}),
        **texts,
        "series_defaults": export_defaults(state.defaults),
    }


def export_account(draft: MailAccountDraft) -> dict[str, Any]:
    """Return an account; how it signs in, and as whom, is said where it is not by password.

    A connection stays where it was made.
    """
    value = account_to_json(draft)
    if draft.auth is AuthKind.PASSWORD:
        del value["auth"], value["logins"]
    return value


def export_defaults(defaults: Mapping[DocumentType, str]) -> dict[str, str]:
    """Return default series by type, in the order of the types."""
    return {entry.code.value: defaults[entry.code] for entry in DOCUMENT_TYPES if entry.code in defaults}
