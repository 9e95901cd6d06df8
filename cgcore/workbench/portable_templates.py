"""Templates and signature in a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session

from cgcore.documents import DocumentType, types_with_template
from cgcore.errors import InvalidInput
from cgcore.portable.fields import Fields
from cgcore.portable.problems import refuse, refuse_with
from cgcore.storage import templates as store
from cgcore.workbench.template_rows import clean_subject, clean_text

__all__ = ["export_templates", "import_templates"]

_TYPES = {entry.code.value: entry.code for entry in types_with_template()}


def export_templates(session: Session, user_id: int) -> dict[str, Any]:
    """Return ``templates`` and ``signature`` of a user as they stand in a file; built-in ones are left out."""
    rows = store.list_templates(session, user_id)
    signature = store.find_signature(session, user_id)
    return {
        "templates": {
            name: {"subject": rows[name].subject, "body": rows[name].body} for name in _TYPES if name in rows
        },
        "signature": {"html": signature.html} if signature else None,
    }


def import_templates(
    session: Session,
    user_id: int,
    place: str,
    *,
    templates: Mapping[str, Any] | None,
    signature: Mapping[str, Any] | None,
    now: datetime,
) -> None:
    """Replace a user's templates, signature, or both by those of a file; None leaves that part alone.

    A type that ``templates`` does not name goes back to the built-in one; what is replaced stays in the history.
    Markup is cleaned as a save cleans it. Raises :class:`cgcore.portable.problems.Refused`.
    """
    if templates is not None:
        _replace_templates(session, user_id, _read_templates(templates, f"{place}.templates"), now)
    if signature is not None:
        at = f"{place}.signature"
        html = _cleaned("signature", Fields(signature, at, ("html",)).long_text("html"), at)
        row = store.find_signature(session, user_id)
        if row is None or row.html != html:
            store.save_signature(session, user_id, html=html, now=now)
    session.flush()


def _read_templates(templates: Mapping[str, Any], place: str) -> dict[DocumentType, tuple[str, str]]:
    parts: dict[DocumentType, tuple[str, str]] = {}
    for name, value in templates.items():
        at = f"{place}.{name}"
        if name not in _TYPES:
            raise refuse(at, "unknown_field")
        fields = Fields(value, at, ("subject", "body"))
        typed = fields.text("subject")
        try:
            subject = clean_subject(typed)
        except InvalidInput as refused:
            raise refuse_with(f"{at}.subject", refused.problems[0].message) from None
        parts[_TYPES[name]] = (subject, _cleaned("body", fields.long_text("body"), f"{at}.body"))
    return parts


def _cleaned(field: str, html: str, place: str) -> str:
    try:
        return clean_text(field, html)
    except InvalidInput as refused:
        raise refuse_with(place, refused.problems[0].message) from None


def _replace_templates(
    session: Session, user_id: int, parts: Mapping[DocumentType, tuple[str, str]], now: datetime
) -> None:
    rows = store.list_templates(session, user_id)
    for entry in types_with_template():
        row = rows.get(entry.code.value)
        if entry.code not in parts:
            if row is not None:
                session.delete(row)
            continue
        subject, body = parts[entry.code]
        if row is None or (row.subject, row.body) != (subject, body):
            store.save_template(session, user_id, entry.code, subject=subject, body=body, now=now)
