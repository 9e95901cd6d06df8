"""What a rule has to say about a series or a default: an error that blocks, or a warning that does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cgcore.documents import DocumentType
from cgcore.series.codes import sign_words
from cgcore.series.kinds import type_label
from cgcore.texts import names_in, sentence

__all__ = ["Finding", "Severity", "find"]


class Severity(StrEnum):
    """Whether saving goes on."""

    ERROR = "error"
    WARNING = "warning"


def _no_values() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the number of its rule, a stable code, its document type, and the values that its sentence names."""

    rule: int
    code: str
    severity: Severity
    document_type: DocumentType | None = None
    values: Mapping[str, Any] = field(default_factory=_no_values)

    @property
    def message(self) -> str:
        """One sentence that says what and why, made for whoever reads it now."""
        # ``told``: a sentence of an earlier version, in which the values could not be recognised.
        return str(self.values.get("told", "")) or sentence("cgcore.series", self.code, **self._words())

    @property
    def blocks(self) -> bool:
        """Whether it refuses the save."""
        return self.severity is Severity.ERROR

    def as_json(self) -> dict[str, Any]:
        """Return the finding as the API shows it."""
        return {"rule": self.rule, "code": self.code, "severity": self.severity.value, "message": self.message}

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it is stored: plain JSON values, no sentence."""
        kind = self.document_type.value if self.document_type else ""
        return {
            "rule": self.rule,
            "code": self.code,
            "severity": self.severity.value,
            "type": kind,
            "values": dict(self.values),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        """Return the finding that :meth:`to_json` wrote."""
        kind = DocumentType(value["type"]) if value["type"] else None
        return cls(value["rule"], value["code"], Severity(value["severity"]), kind, value["values"])

    def _words(self) -> dict[str, object]:
        words = dict(self.values)
        if self.document_type is not None:
            words["tipo"] = type_label(self.document_type)
        if "signos" in words:
            words["signos"] = sign_words(words["signos"])
        return words


def find(
    rule: int, code: str, severity: Severity, document_type: DocumentType | None = None, **values: object
) -> Finding:
    """Return the finding ``code`` with those of ``values`` that its sentence names."""
    named = names_in("cgcore.series", code)
    return Finding(
        rule, code, severity, document_type, {name: value for name, value in values.items() if name in named}
    )
