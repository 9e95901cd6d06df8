"""How a person sends: how long a document can be undone, and whether the adviser gets a copy.

It stands alone because storage, facade and pages hand it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cgcore.outbox.states import Kind

__all__ = ["LONGEST_UNDO_S", "OutboxPreferences"]

LONGEST_UNDO_S = 60


def _no_copies() -> Mapping[str, Kind]:
    return {}


@dataclass(frozen=True, slots=True)
class OutboxPreferences:
    """``undo_s`` seconds to take a document back; ``copies`` says by document type how the ``adviser`` is named."""

    undo_s: int = 10
    adviser: str = ""
    copies: Mapping[str, Kind] = field(default_factory=_no_copies)

    def copy_kind(self, document_type: str) -> Kind | None:
        """Return how the adviser gets a copy of documents of a type; ``None``: not by itself."""
        return self.copies.get(document_type) if self.adviser else None
