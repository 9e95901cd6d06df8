"""Many documents at once: what of a sheet and of files is to be sent, and what became of each row.

Nothing is decided for a person: rows with a problem, without their file, with files to choose from, and those that were
sent already stay behind, each with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cgcore.outbox.matching import Matching
from cgcore.outbox.message import Message
from cgcore.outbox.rows import DocumentRow, SheetColumns
from cgcore.outbox.states import State

__all__ = [
    "INTERRUPTED",
    "Batch",
    "BatchChoice",
    "BatchEntry",
    "BatchLine",
    "BatchPlan",
    "BatchState",
    "Before",
    "Behind",
    "Selection",
    "select_rows",
]


class BatchState(StrEnum):
    """``storing``: nothing has left; ``ready``: every message is stored and goes by itself; ``failed``: none is."""

    STORING = "storing"
    READY = "ready"
    FAILED = "failed"


INTERRUPTED: Mapping[str, Any] = {"key": "interrupted"}
"""Why a batch has failed whose process is gone."""


class Behind(StrEnum):
    """Why a row stays behind."""

    PROBLEM = "problem"
    ASKED = "asked"
    NO_FILE = "no_file"
    ALREADY = "already"


@dataclass(frozen=True, slots=True)
class Before:
    """That a document has been handed in already: to whom, when, and where that message stands."""

    state: State
    moment: datetime
    addresses: Sequence[str]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a sheet and the names of files were understood as; rows and files are told by their places."""

    columns: SheetColumns
    rows: Sequence[DocumentRow]
    matching: Matching
    before: Mapping[int, Before]
    file_names: Sequence[str]


def _no_files() -> Mapping[int, int]:
    return {}


@dataclass(frozen=True, slots=True)
class BatchChoice:
    """What a person has said: the files of rows that were asked, rows that go again, rows that go without a file."""

    files: Mapping[int, int] = field(default_factory=_no_files)
    again: Collection[int] = frozenset()
    without_file: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that go, each with its file (``None``: without), and those that stay behind."""

    going: Mapping[int, int | None]
    behind: Mapping[int, Behind]


def select_rows(plan: BatchPlan, choice: BatchChoice) -> Selection:
    """Return what goes and what stays behind by a person's choice. One file never goes with two rows."""
    going, behind, taken = dict[int, int | None](), dict[int, Behind](), set(plan.matching.files.values())
    for place, row in enumerate(plan.rows):
        file = plan.matching.files.get(place)
        if file is None and (chosen := choice.files.get(place)) is not None and chosen not in taken:
            file = chosen
            taken.add(chosen)
        if row.problems:
            behind[place] = Behind.PROBLEM
        elif place in plan.before and place not in choice.again:
            behind[place] = Behind.ALREADY
        elif file is None and place in plan.matching.asks:
            behind[place] = Behind.ASKED
        elif file is None and plan.file_names and not choice.without_file:
            behind[place] = Behind.NO_FILE
        else:
            going[place] = file
    return Selection(going, behind)


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A row as it is kept: ``message`` is the id of what was made of it, ``""`` where it stayed ``behind``."""

    line: int
    document_type: str
    series: str
    number: str
    customer: str
    to: Sequence[str]
    file: str = ""
    message: str = ""
    behind: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what is stored of it."""
        return {
            "line": self.line,
            "type": self.document_type,
            "series": self.series,
            "number": self.number,
            "customer": self.customer,
            "to": list(self.to),
            "file": self.file,
            "message": self.message,
            "behind": self.behind,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> BatchLine:
        """Return what :meth:`to_json` has stored."""
        return cls(
            line=stored["line"],
            document_type=stored["type"],
            series=stored["series"],
            number=stored["number"],
            customer=stored["customer"],
            to=tuple(stored["to"]),
            file=stored["file"],
            message=stored["message"],
            behind=stored["behind"],
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Many documents of one user, handed in together. ``reason`` tells of a failed one, as codes and values."""

    id: str
    user_id: int
    created: datetime
    state: BatchState
    name: str
    owner: str
    lines: Sequence[BatchLine]
    reason: Mapping[str, Any] | None = None

    @property
    def going(self) -> Sequence[BatchLine]:
        """The rows of which messages were made."""
        return [line for line in self.lines if line.message]


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A row and its message as that stands; ``None`` for one that stayed behind, or is not stored yet."""

    line: BatchLine
    message: Message | None
