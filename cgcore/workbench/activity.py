"""The activity log: everybody writes it, a user reads their own lines, an administrator all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, cast

from cgcore.activity import Action, ActivityEntry, ActivityFilters, Change, build_csv, neutral_line
from cgcore.documents import DocumentType, type_label
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.storage import activity as store
from cgcore.texts import join, sentence, text, wordings

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["ActivityPage", "ActivitySection", "Words", "detail_words"]

_MAX_CHANGES = 4000
_MAX_LIMIT = 200


Words = Callable[[ActivityEntry], tuple[str, str, str]]
"""Object, result and detail of a line, as they are shown."""


_FIELDS = {
    "account": ("cgcore.workbench", "changed_"),
    "oauth": ("cgcore.workbench", "oauth_"),
    "company": ("cgcore.company", "field_"),
    "series": ("cgcore.series", "field_"),
    "user": ("cgcore.identity", "field_"),
}


# Values that are codes themselves.
_NAMED = {"series.kind": ("cgcore.series", "kinds"), "user.role": ("cgcore.identity", "roles")}


class ActivityPage(TypedDict):
    """One page of the activity log; ``next`` is the cursor of the following page, None on the last."""

    items: list[ActivityEntry]
    next: str | None


class ActivitySection:
    """Use cases of the activity log."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(
        self, actor: Actor, cursor: str | None = None, limit: int = 50, filters: ActivityFilters | None = None
    ) -> ActivityPage:
        """Return one page, the newest line first: all lines for an administrator, their own for a user.

        ``limit`` is 1 to 200. Raises :class:`InvalidInput` for a cursor that this section did not hand out.
        """
        limit = max(1, min(limit, _MAX_LIMIT))
        with self._context.read_as(actor) as (session, actor):
            found = store.list_entries(
                session,
                filters or ActivityFilters(),
                actor_id=_visible_to(actor),
                before=_parse_cursor(cursor),
                limit=limit + 1,
            )
        items = found[:limit]
        return {"items": items, "next": str(items[-1].id) if len(found) > limit else None}

    def export_csv(
        self,
        actor: Actor,
        *,
        header: Sequence[str],
        labels: Mapping[str, str],
        filters: ActivityFilters | None = None,
        words: Words | None = None,
    ) -> Iterator[str]:
        """Yield the lines that ``actor`` may see as CSV (see :func:`cgcore.activity.build_csv`); records the export."""
        self._context.require_present(actor)
        self._context.activity.note(actor, Action.ACTIVITY_EXPORTED)
        return self._csv_lines(actor, filters or ActivityFilters(), header, labels, words)

    def _csv_lines(
        self,
        actor: Actor,
        filters: ActivityFilters,
        header: Sequence[str],
        labels: Mapping[str, str],
        words: Words | None,
    ) -> Iterator[str]:
        with self._context.read_as(actor) as (session, actor):
            entries = store.iter_entries(session, filters, actor_id=_visible_to(actor))
            yield from build_csv(entries, header=header, labels=labels, words=words)


def detail_words(entry: ActivityEntry) -> str:
    """Return the detail of a line in words: what was changed, else what is stored."""
    if not entry.changes:
        return entry.detail
    told = [_change_words(change) for change in entry.changes]
    has_values = any(change.old is not None for change in entry.changes)
    return neutral_line("; ".join(told) if has_values else join(told), _MAX_CHANGES)


def _change_words(change: Change) -> str:
    area, _, name = change.code.partition(".")
    if area == "portable":
        return sentence("cgcore.portable", name, nombre=change.whose)
    if area == "type":
        word = type_label(DocumentType(name))
    else:
        package, key = _FIELDS[area]
        word = sentence(package, key + name)
    head = f"{change.whose}: {word}" if change.whose else word
    if change.old is None:
        return head
    return f"{head}: {_value_words(change.code, change.old)} → {_value_words(change.code, change.new)}"


def _value_words(code: str, value: object) -> str:
    if isinstance(value, dict):
        numbers = cast("dict[str, object]", value)
        return join(f"{type_label(DocumentType(kind))} {number}" for kind, number in numbers.items()) or "–"
    if code in _NAMED:
        return wordings(*_NAMED[code]).get(str(value), str(value))
    return str(value or "–")


def _visible_to(actor: Actor) -> int | None:
    return None if actor.is_admin else actor.user_id


def _parse_cursor(cursor: str | None) -> int | None:
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise InvalidInput(FieldProblem("cursor", "invalid_cursor", text("cgcore.workbench", "invalid_cursor")))
    return int(cursor)
