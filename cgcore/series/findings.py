"""What a rule has to say about a series or a default: an error that blocks, or a warning that does not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cgcore.documents import DocumentType
from cgcore.texts import sentence

__all__ = ["Finding", "Severity", "find"]


class Severity(StrEnum):
    """Whether saving goes on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the number of its rule, a stable code, and one Spanish sentence that says what and why."""

    rule: int
    code: str
    severity: Severity
    message: str
    document_type: DocumentType | None = None

    @property
    def blocks(self) -> bool:
        """Whether it refuses the save."""
        return self.severity is Severity.ERROR

    def as_json(self) -> dict[str, Any]:
        """Return the finding as the API shows it."""
        return {"rule": self.rule, "code": self.code, "severity": self.severity.value, "message": self.message}


def find(
    rule: int, code: str, severity: Severity, document_type: DocumentType | None = None, **values: object
) -> Finding:
    """Return the finding ``code`` with its sentence filled in."""
    return Finding(rule, code, severity, sentence("cgcore.series", code, **values), document_type)
