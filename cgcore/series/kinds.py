"""A series: its kind, the document types it serves, and the counter of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cgcore.documents import DOCUMENT_TYPES, DocumentType, SeriesGroup, info

__all__ = ["Counter", "Series", "SeriesKind", "type_label"]


class SeriesKind(StrEnum):
    """What a series numbers, as far as invoices are concerned; the value is also the word on screen."""

    ORDINARY = "ordinaria"
    SIMPLIFIED = "simplificada"
    CORRECTIVE = "rectificativa"


@dataclass(frozen=True, slots=True)
class Counter:
    """The counter of one document type in one series.

    ``next_number`` is the number of the next document. ``last_used`` is the highest number that a sent document
    bore in ``last_used_year``; both are 0 where none was sent.
    """

    next_number: int = 1
    last_used: int = 0
    last_used_year: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """A series as it is shown: ``counters`` holds exactly the document types it serves."""

    code: str
    name: str = ""
    kind: SeriesKind = SeriesKind.ORDINARY
    active: bool = True
    counters: Mapping[DocumentType, Counter] = field(default_factory=dict[DocumentType, Counter])
    used: bool = False
    version: int = 1

    def serves(self, document_type: DocumentType) -> bool:
        """Whether documents of this type may be numbered here."""
        return document_type in self.counters

    def serves_group(self, group: SeriesGroup) -> bool:
        """Whether it serves any type of ``group``."""
        return any(info(document_type).group is group for document_type in self.counters)

    @property
    def mixes_sales_and_purchases(self) -> bool:
        """Whether it serves both sides (rule 9)."""
        return self.serves_group(SeriesGroup.SALES) and self.serves_group(SeriesGroup.PURCHASES)

    def as_json(self) -> dict[str, Any]:
        """Return the API's object; ``document_types`` maps each type served to its next number."""
        return {
            "code": self.code,
            "name": self.name,
            "kind": self.kind.value,
            "active": self.active,
            "document_types": {
                entry.code.value: self.counters[entry.code].next_number
                for entry in DOCUMENT_TYPES
                if entry.code in self.counters
            },
            "version": self.version,
        }


def type_label(document_type: DocumentType) -> str:
    """Return the type's label where its group is not in sight: «Facturas», «Facturas de compra»."""
    entry = info(document_type)
    return f"{entry.series_label} de compra" if entry.group is SeriesGroup.PURCHASES else entry.series_label
