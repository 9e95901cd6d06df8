"""What a change of a series does: in words for the trail, and to the defaults that point at it."""

from __future__ import annotations

from dataclasses import replace

from cgcore.activity import Action
from cgcore.documents import DocumentType
from cgcore.series.drafts import SeriesDraft
from cgcore.series.guards import allows
from cgcore.series.kinds import Counter, Series, type_label
from cgcore.texts import sentence

__all__ = ["change_action", "describe_change", "forbids_anew"]

_SHOWN = ("name", "kind", "document_types")  # as the API calls them


def change_action(before: Series, after: Series) -> Action:
    """Return the trail's word for the change."""
    if before.active == after.active:
        return Action.SERIES_SAVED
    return Action.SERIES_ENABLED if after.active else Action.SERIES_DISABLED


def describe_change(before: Series, after: Series) -> str:
    """Return each changed field with its old and new value."""
    old, new = before.as_json(), after.as_json()
    return "; ".join(
        f"{sentence('cgcore.series', f'field_{name}')}: {_words(old[name])} → {_words(new[name])}"
        for name in _SHOWN
        if old[name] != new[name]
    )


def forbids_anew(before: Series, draft: SeriesDraft, document_type: DocumentType) -> bool:
    """Whether ``draft`` takes away what ``before`` allowed: a default of this type would be left an orphan."""
    counters = {kind: before.counters.get(kind, Counter()) for kind in draft.next_numbers}
    after = replace(before, kind=draft.kind, active=draft.active, counters=counters)
    return allows(document_type, before) and not allows(document_type, after)


def _words(value: str | dict[str, int]) -> str:
    if isinstance(value, str):
        return value or "–"
    return ", ".join(f"{type_label(DocumentType(kind))} {number}" for kind, number in value.items()) or "–"
