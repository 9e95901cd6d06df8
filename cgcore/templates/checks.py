"""What a rendering has to say about its template: codes, severities, and the sentence for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from cgcore.templates.texts import check_text

__all__ = ["SEVERITY", "Check", "Code", "Field", "Severity", "build_check", "sort_checks"]


class Severity(StrEnum):
    """Whether a check stops a sending; none stops a rendering."""

    ERROR = "error"
    WARNING = "warning"


class Field(StrEnum):
    """The three fields of a template, in the order of the page."""

    SUBJECT = "subject"
    BODY = "body"
    SIGNATURE = "signature"


class Code(StrEnum):
    """Stable codes of the checks, as API and command line show them."""

    UNKNOWN_VARIABLE = "unknown_variable"
    WRONG_BRACES = "wrong_braces"
    SPLIT_VARIABLE = "split_variable"
    VARIABLE_NOT_FOR_TYPE = "variable_not_for_type"
    EMPTY_VALUE = "empty_value"
    LINK_WITHOUT_SCHEME = "link_without_scheme"
    UNSAFE_LINK = "unsafe_link"
    REMOTE_IMAGE = "remote_image"
    UNREADABLE_IMAGE = "unreadable_image"
    IMAGE_TOO_LARGE = "image_too_large"
    MISSING_ALT = "missing_alt"
    NEAR_CLIPPING = "near_clipping"
    TOO_BIG = "too_big"
    EMPTY_SUBJECT = "empty_subject"
    EMPTY_BODY = "empty_body"


_ERRORS = {
    *(Code.UNKNOWN_VARIABLE, Code.WRONG_BRACES, Code.VARIABLE_NOT_FOR_TYPE, Code.UNSAFE_LINK),
    *(Code.UNREADABLE_IMAGE, Code.TOO_BIG, Code.EMPTY_SUBJECT),
}
SEVERITY = {code: Severity.ERROR if code in _ERRORS else Severity.WARNING for code in Code}
_ORDER = {field: index for index, field in enumerate(Field)}
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``position`` is the offset in the field's joined text, None for the field as a whole.

    ``variable`` and ``suggestion`` are names without braces, None where the finding is about something else.
    """

    code: Code
    severity: Severity
    field: Field
    position: int | None
    variable: str | None
    suggestion: str | None
    message: str

    @property
    def blocks(self) -> bool:
        """Whether a message with this finding may not be sent."""
        return self.severity is Severity.ERROR

    def to_dict(self) -> dict[str, Any]:
        """Return the check as API and command line write it."""
        return asdict(self)


def build_check(
    code: Code,
    field: Field,
    *,
    position: int | None = None,
    variable: str | None = None,
    suggestion: str | None = None,
    shown: str = "",
    text: str = "",
    severity: Severity | None = None,
    **values: str,
) -> Check:
    """Return the check ``code`` with its sentence (``text`` names another than the code's own) and severity."""
    key = text or code.value
    if code is Code.UNKNOWN_VARIABLE and suggestion:
        key = "unknown_variable_suggestion"
    short = shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "…"
    message = check_text(key, shown=short, suggestion=suggestion or "", **values)
    return Check(code, severity or SEVERITY[code], field, position, variable, suggestion, message)


def sort_checks(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks by field and position; those about a whole field come after those about a place.

    The same about one variable at one place (twice in a link, or in a link and its text) is said once.
    """
    ordered = sorted(checks, key=lambda check: (_ORDER[check.field], check.position is None, check.position or 0))
    said: set[Check] = set()
    kept: list[Check] = []
    for check in ordered:
        if check.variable is None or check not in said:
            kept.append(check)
            said.add(check)
    return tuple(kept)
