"""What a rendering has to say about its template: codes, severities, and the sentence for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cgcore.templates.scan import Found, Kind
from cgcore.templates.variables import is_known, suggest_variable
from cgcore.texts import Text, text

__all__ = [
    "CHECKS_AT_MOST",
    "SEVERITY",
    "Check",
    "Code",
    "Field",
    "Findings",
    "Severity",
    "Use",
    "build_check",
    "sort_checks",
]


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
    TABLE_AS_TEXT = "table_as_text"


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
    text: Text

    @property
    def message(self) -> str:
        """The sentence, in the language of the person."""
        return str(self.text)

    @property
    def blocks(self) -> bool:
        """Whether a message with this finding may not be sent."""
        return self.severity is Severity.ERROR

    def to_dict(self) -> dict[str, Any]:
        """Return the check as API and command line write it."""
        shown = ("code", "severity", "field", "position", "variable", "suggestion", "message")
        return {name: getattr(self, name) for name in shown}


def build_check(
    code: Code,
    field: Field,
    *,
    position: int | None = None,
    variable: str | None = None,
    suggestion: str | None = None,
    shown: str = "",
    key: str = "",
    severity: Severity | None = None,
    **values: str,
) -> Check:
    """Return the check ``code`` with its severity; ``key`` names another sentence than the code's own."""
    key = key or code.value
    if code is Code.UNKNOWN_VARIABLE and suggestion:
        key = "unknown_variable_suggestion"
    short = shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "…"
    said = text("cgcore.templates", f"checks.{key}", shown=short, suggestion=suggestion or "", **values)
    return Check(code, severity or SEVERITY[code], field, position, variable, suggestion, said)


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


# More of the same would only make the answer long.
CHECKS_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a variable's value goes; an empty value is said there."""

    field: Field
    position: int
    name: str
    written: str


@dataclass(slots=True)
class Findings:
    """The checks of one field, and the uses of variables in it, for one document type.

    ``names`` are the values of the type's variables that rendering knows: what is not among them stays as written.
    """

    where: Field
    names: Mapping[str, str]
    checks: list[Check] = field(default_factory=list[Check])
    uses: list[Use] = field(default_factory=list[Use])

    def add(self, code: Code, **details: object) -> None:
        """Note a check, unless there are already more than anybody reads."""
        if len(self.checks) < CHECKS_AT_MOST:
            self.checks.append(build_check(code, self.where, **details))  # pyright: ignore[reportArgumentType]

    def take(self, found: Sequence[Found], offset: int, *, place: int | None = None) -> list[Found]:
        """Return those that get a value, and note what is wrong with the others.

        Their position is ``offset`` plus their start, or ``place`` for what is not in the joined text.
        """
        return [item for item in found if self._accept(item, item.start + offset if place is None else place)]

    def _accept(self, found: Found, position: int) -> bool:
        if found.kind is Kind.WRONG_BRACES:
            self.wrong_braces(found, position)
        elif found.name in self.names:
            self.uses.append(Use(self.where, position, found.name, found.written))
            return True
        elif is_known(found.name):
            key = "variable_not_for_every_type" if self.where is Field.SIGNATURE else ""
            self.add(Code.VARIABLE_NOT_FOR_TYPE, position=position, variable=found.name, shown=found.written, key=key)
        else:
            meant = suggest_variable(found.written) if len(self.checks) < CHECKS_AT_MOST else None
            self.add(
                Code.UNKNOWN_VARIABLE, position=position, variable=found.name, suggestion=meant, shown=found.written
            )
        return False

    def wrong_braces(self, found: Found, position: int, *, key: str = "") -> None:
        """Note a variable written with the wrong marks; ``key`` names another sentence than the usual one."""
        self.add(
            Code.WRONG_BRACES,
            position=position,
            variable=" ".join(found.name.split()),
            suggestion=found.suggestion,
            shown=" ".join(found.written.split()),
            key=key,
        )
