"""A document that a person has put aside, to go on with it another day: what was typed, and the files that go with it.

It stands alone because storage, facade and pages hand it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["SavedDocument", "SavedFields", "SavedFile"]


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file as it was chosen; its bytes are the stored part ``blob``."""

    name: str
    media_type: str
    size: int
    blob: str


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class SavedFields:
    """What stood in the form, as it was typed: right or wrong, whole or not. ``texts`` are its lines by their names.

    ``subject`` and ``body`` are ``None`` where they are those of the template; ``adviser`` and
    ``read_receipt`` where nothing was changed.
    """

    document_type: str
    series: str = ""
    texts: Mapping[str, str] = field(default_factory=_nothing)
    subject: str | None = None
    body: str | None = None
    adviser: bool | None = None
    read_receipt: bool | None = None


@dataclass(frozen=True, slots=True)
class SavedDocument:
    """A document put aside; later names sort behind earlier ones."""

    id: str
    user_id: int
    saved: datetime
    fields: SavedFields
    files: Sequence[SavedFile] = ()
