"""The trail of what happened: its actions, its lines, and its export to a spreadsheet. Append-only, never a secret."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = ["Action", "ActivityEntry", "ActivityFilters", "build_csv", "neutral_cell", "neutral_line"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # a spreadsheet reads the wide ones too
_SEPARATOR = ";"  # what a Spanish spreadsheet opens by a double click


class Action(StrEnum):
    """What was done. The trail takes any text; these are the ones that the pages have a label for."""

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
    PROBE_RUN = "probe_run"
    TEST_MAIL_SENT = "test_mail_sent"
    DOCUMENT_SENT = "document_sent"
    TEMPLATE_SAVED = "template_saved"
    TEMPLATE_RESTORED = "template_restored"
    TEMPLATES_COPIED = "templates_copied"
    SIGNATURE_SAVED = "signature_saved"
    KEY_ISSUED = "key_issued"
    KEY_ROLLED = "key_rolled"
    KEY_REVOKED = "key_revoked"
    PAIRING_CODE_ISSUED = "pairing_code_issued"
    DEVICE_PAIRED = "device_paired"
    CONFIGURATION_EXPORTED = "configuration_exported"
    CONFIGURATION_IMPORTED = "configuration_imported"
    ACTIVITY_EXPORTED = "activity_exported"


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One line of the trail. ``actor_name`` is the user name as it was then, ``""`` where nobody was signed in."""

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

    def as_json(self) -> dict[str, Any]:
        """Return the line as the API shows it; the moment in ISO 8601, UTC."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "user": self.actor_name,
            "action": self.action,
            "object": self.object,
            "result": self.result,
            "detail": self.detail,
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


def neutral_line(text: str, limit: int) -> str:
    """Return ``text`` on one line, at most ``limit`` characters.

    Line breaks, control characters and the marks that reorder text become a space, so that one line of the trail
    can never pass for two (CWE-117) nor read backwards.
    """
    line = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp", "Cs"} else char for char in text)
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def neutral_cell(text: str) -> str:
    """Return ``text`` with an apostrophe before a leading formula sign (OWASP, CSV injection): nothing is computed."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def build_csv(entries: Iterable[ActivityEntry], *, header: Sequence[str], labels: Mapping[str, str]) -> Iterator[str]:
    """Yield the trail as lines of CSV, opened by a UTF-8 mark and ``header``, one line an entry.

    ``header`` names seven columns: moment (UTC), user, action, object, result, detail, address. ``labels`` are the
    screen words of actions and results; what has none is written as it is stored.
    """
    yield "\ufeff" + _csv_line(header)
    for entry in entries:
        yield _csv_line(
            [
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                entry.actor_name,
                labels.get(entry.action, entry.action),
                entry.object,
                labels.get(entry.result, entry.result),
                entry.detail,
                entry.ip,
            ]
        )


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=_SEPARATOR, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(
        [neutral_cell(cell) for cell in cells]
    )
    return buffer.getvalue()
