"""The activity log: its actions, its lines, and its export to a spreadsheet. Append-only, never a secret."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = [
    "Action",
    "ActivityEntry",
    "ActivityFilters",
    "Change",
    "build_csv",
    "neutral_cell",
    "neutral_line",
    "read_changes",
    "write_changes",
]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # a spreadsheet reads the wide ones too
_SEPARATOR = ";"  # what a Spanish spreadsheet opens by a double click


class Action(StrEnum):
    """What was done. The activity log takes any text; these are the ones that the pages have a label for."""

    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "login_failed"
    LOGGED_OUT = "logged_out"
    REAUTHENTICATED = "reauthenticated"
    SESSIONS_ENDED = "sessions_ended"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 (an action, not a password)
    PASSWORD_RESET = "password_reset"  # noqa: S105
    RESET_LINK_ISSUED = "reset_link_issued"
    USER_ADDED = "user_added"
    USER_SAVED = "user_saved"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    PROFILE_SAVED = "profile_saved"
    COMPANY_SAVED = "company_saved"
    COMPANY_SERIES_SAVED = "company_series_saved"
    SERIES_ADDED = "series_added"
    SERIES_SAVED = "series_saved"
    SERIES_DISABLED = "series_disabled"
    SERIES_ENABLED = "series_enabled"
    SERIES_DELETED = "series_deleted"
    DEFAULTS_SAVED = "series_defaults_saved"
    DEFAULTS_ORPHANED = "series_defaults_orphaned"
    DEFAULTS_CHECKED = "series_defaults_checked"
    ACCOUNT_SAVED = "mail_account_saved"
    CERTIFICATE_PINNED = "certificate_pinned"
    MAIL_WATCH_TOLD = "mail_watch_told"
    MAIL_PRESET_SAVED = "mail_preset_saved"
    MAIL_PRESET_REMOVED = "mail_preset_removed"
    PROBE_RUN = "probe_run"
    TEST_MAIL_SENT = "test_mail_sent"
    DOCUMENT_SENT = "document_sent"
    DOCUMENT_CANCELLED = "document_cancelled"
    DOCUMENT_RESENT = "document_resent"
    DOCUMENT_RESOLVED = "document_resolved"
    DOCUMENT_REST_SKIPPED = "document_rest_skipped"
    DOCUMENT_BOUNCED = "document_bounced"
    BOUNCE_SEARCH_BEGUN = "bounce_search_begun"
    BOUNCE_SEARCH_ENDED = "bounce_search_ended"
    DOCUMENTS_HANDED_IN = "documents_handed_in"
    DOCUMENTS_STOPPED = "documents_stopped"
    DOCUMENTS_CANCELLED = "documents_cancelled"
    DOCUMENTS_RESENT = "documents_resent"
    SENDING_RESUMED = "sending_resumed"
    TEMPLATE_SAVED = "template_saved"
    TEMPLATE_RESTORED = "template_restored"
    TEMPLATES_COPIED = "templates_copied"
    SIGNATURE_SAVED = "signature_saved"
    KEY_ISSUED = "key_issued"
    KEY_ROLLED = "key_rolled"
    KEY_REVOKED = "key_revoked"
    PAIRING_CODE_ISSUED = "pairing_code_issued"
    DEVICE_PAIRED = "device_paired"
    OAUTH_CLIENT_SAVED = "oauth_client_saved"
    OAUTH_CLIENT_REMOVED = "oauth_client_removed"
    OAUTH_CONNECTED = "oauth_connected"
    OAUTH_DISCONNECTED = "oauth_disconnected"
    OAUTH_LOST = "oauth_lost"
    CONFIGURATION_EXPORTED = "configuration_exported"
    CONFIGURATION_IMPORTED = "configuration_imported"
    ACTIVITY_EXPORTED = "activity_exported"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was changed: its code (``account.smtp``, ``series.kind``, ``type.quote``), and old and new value.

    Both values are ``None`` where they are not told. ``whose`` is a user name, ``"*"`` for the company.
    """

    code: str
    old: object = None
    new: object = None
    whose: str = ""


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One line of the activity log. ``actor_name`` is the user name as it was then, ``""`` where nobody was signed in.

    ``detail`` is data or, in lines of earlier versions, words; ``changes`` are codes with values.
    """

    id: int
    at: datetime
    actor_id: int | None
    actor_name: str
    action: str
    object: str
    result: str
    detail: str
    ip: str
    key_id: str = ""
    changes: tuple[Change, ...] = ()

    def as_json(self, detail: str = "") -> dict[str, Any]:
        """Return the line as the API shows it, with ``detail`` in words; the moment in ISO 8601, UTC."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "user": self.actor_name,
            "action": self.action,
            "object": self.object,
            "result": self.result,
            "detail": detail or self.detail,
            "ip": self.ip,
            "key_id": self.key_id,
        }


@dataclass(frozen=True, slots=True)
class ActivityFilters:
    """What a reader looks for; every part given must hold. ``text``: in object, detail, user or address."""

    text: str = ""
    action: str = ""
    result: str = ""
    username: str = ""
    since: datetime | None = None
    until: datetime | None = None


def write_changes(changes: Sequence[Change], limit: int) -> str:
    """Return ``changes`` as JSON text of at most about ``limit`` characters; the last ones fall away beyond that."""
    kept: list[str] = []
    for change in changes:
        text = json.dumps([change.code, change.old, change.new, change.whose], ensure_ascii=False)
        if sum(map(len, kept)) + len(text) > limit:
            break
        kept.append(text)
    return f"[{','.join(kept)}]" if kept else ""


def read_changes(text: str) -> tuple[Change, ...]:
    """Return what :func:`write_changes` wrote."""
    return tuple(Change(*values) for values in json.loads(text)) if text else ()


def neutral_line(text: str, limit: int) -> str:
    """Return ``text`` on one line, at most ``limit`` characters.

    Line breaks, control characters and the marks that reorder text become a space, so that one line of the activity log
    can never pass for two (CWE-117) nor read backwards.
    """
    line = text
    if not (text.isascii() and text.isprintable()):
        line = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp", "Cs"} else char for char in text)
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def neutral_cell(text: str) -> str:
    """Return ``text`` with an apostrophe before a leading formula sign (OWASP, CSV injection): nothing is computed."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def build_csv(
    entries: Iterable[ActivityEntry],
    *,
    header: Sequence[str],
    labels: Mapping[str, str],
    words: Callable[[ActivityEntry], tuple[str, str, str]] | None = None,
) -> Iterator[str]:
    """Yield the activity log as lines of CSV, opened by a UTF-8 mark and ``header``, one line an entry.

    ``header`` names seven columns: moment (UTC), user, action, object, result, detail, address. ``labels`` are the
    screen words of actions and results; what has none is written as it is stored. ``words`` returns object, result and
    detail of a line as they are shown.
    """
    yield "\ufeff" + _csv_line(header)
    for entry in entries:
        plain = entry.object, labels.get(entry.result, entry.result), entry.detail
        thing, result, detail = words(entry) if words else plain
        moment, action = f"{entry.at:%Y-%m-%d %H:%M:%S}", labels.get(entry.action, entry.action)
        yield _csv_line([moment, entry.actor_name, action, thing, result, detail, entry.ip])


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=_SEPARATOR, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(
        [neutral_cell(cell) for cell in cells]
    )
    return buffer.getvalue()
