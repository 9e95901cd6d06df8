"""The changes of an import: what stood there, what will stand there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cgcore.texts import Text

__all__ = ["Change", "ImportPlan", "compare"]

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Change:
    """One value of ``object`` that changes; ``before`` is ``""`` for a new one, ``after`` for one that goes."""

    object: Text
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Every change of an import, and what to know about it; ``fingerprint`` stands for exactly these changes."""

    changes: tuple[Change, ...]
    noted: tuple[Text, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know, in the language of the person."""
        return tuple(str(note) for note in self.noted)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the changes."""
        rows = [[change.object.as_json(), change.field, change.before, change.after] for change in self.changes]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def compare(object: Text, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Yield the changes from ``before`` to ``after``, two objects as the API shows them, place by place."""
    old, new = dict(_flat(before, "")), dict(_flat(after, ""))
    for field in [*old, *(field for field in new if field not in old)]:
        if old.get(field, "") != new.get(field, ""):
            yield Change(object, field, _shown(old.get(field, "")), _shown(new.get(field, "")))


def _flat(value: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for name, entry in value.items():
        at = f"{place}.{name}" if place else name
        if isinstance(entry, Mapping):
            yield from _flat(entry, at)  # pyright: ignore[reportUnknownArgumentType]
        elif entry is not None:
            yield at, entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)


def _shown(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    # Two long texts that begin alike must not look alike.
    return f"{text[: _SHOWN - 10]}… #{hashlib.sha256(text.encode()).hexdigest()[:6]}"
