"""What people have typed and not saved yet: kept for their owner alone, written soon and at most once a second."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

from cgcore.clock import has_happened
from cgcore.identity.actor import Actor
from cgcore.storage import drafts as store

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["Draft", "DraftTrouble", "DraftsSection"]

_log = logging.getLogger(__name__)

_MAX_CHARACTERS = 4_000_000  # of a page's draft as JSON: pictures are in the texts that show them
_KEPT_PER_PAGE = 5
_KEPT_FOR = timedelta(days=30)
_EVERY_S = 1.0
_CLOSING_S = 5.0

_Key = tuple[int, str, str]


class DraftTrouble(StrEnum):
    """Why a draft is not kept; the page goes on all the same."""

    TOO_LARGE = "too_large"
    NOT_WRITTEN = "not_written"


@dataclass(frozen=True, slots=True)
class Draft:
    """The draft of one page in one tab, and when it was last typed into."""

    page: str
    tab: str
    content: Mapping[str, Any]
    saved: datetime


class DraftsSection:
    """Use cases of drafts. They are bookkeeping: no page waits for a draft to be written, or breaks where it cannot be.

    Nobody but their user sees them, administrators included.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._changed = Condition()
        self._waiting: dict[_Key, Draft | None] = {}
        self._written_at: dict[_Key, float] = {}
        self._troubles: dict[_Key, DraftTrouble] = {}
        self._hurried: set[int] = set()
        self._writer: Thread | None = None
        self._is_closed = False

    def keep(self, actor: Actor, page: str, tab: str, content: Mapping[str, Any]) -> None:
        """Take the draft of a page as it stands now; it is written within a second."""
        key = actor.user_id, page, tab
        too_large = len(json.dumps(content)) > _MAX_CHARACTERS
        with self._changed:
            if too_large:
                # What was kept before is older than what the person sees: better nothing than that.
                self._troubles[key] = DraftTrouble.TOO_LARGE
        self._put(key, None if too_large else Draft(page, tab, content, self._context.clock()))

    def drop(self, actor: Actor, page: str, tab: str) -> None:
        """Remove the draft of a page: it was saved, or given up."""
        with self._changed:
            self._troubles.pop((actor.user_id, page, tab), None)
        self._put((actor.user_id, page, tab), None)

    def list_drafts(self, actor: Actor, page: str) -> list[Draft]:
        """Return the actor's drafts of a page, the newest first; those that lie ahead after the others."""
        with self._changed:
            waiting = {key[2]: draft for key, draft in self._waiting.items() if key[:2] == (actor.user_id, page)}
        with self._context.read_as(actor) as (session, actor):
            rows = store.list_drafts(session, actor.user_id, page)
        now = self._context.clock()
        stored = [Draft(row.page, row.tab, row.content, row.saved) for row in rows if row.tab not in waiting]
        drafts = [*(draft for draft in waiting.values() if draft), *stored]
        kept = (draft for draft in drafts if draft.saved > now - _KEPT_FOR)
        return sorted(kept, key=lambda draft: (has_happened(draft.saved, now), draft.saved), reverse=True)

    def find(self, actor: Actor, page: str, tab: str) -> Draft | None:
        """Return the actor's draft of a page in one tab."""
        return next((draft for draft in self.list_drafts(actor, page) if draft.tab == tab), None)

    def has_tab(self, actor: Actor, tab: str) -> bool:
        """Return whether the actor has a draft of any page in a tab."""
        with self._changed:
            if any(key[0] == actor.user_id and key[2] == tab and draft for key, draft in self._waiting.items()):
                return True
        with self._context.read_as(actor) as (session, actor):
            return store.has_tab(session, actor.user_id, tab)

    def move_tab(self, actor: Actor, old: str, new: str) -> None:
        """Give what was typed in a tab to the one that goes on in its place."""
        self._context.require_present(actor)
        self.flush(actor)
        try:
            with self._context.database.session() as session:
                store.move_tab(session, actor.user_id, old, new)
        except Exception as error:
            _log.warning("drafts could not be taken over (%s)", type(error).__name__)

    def marks(self, actor: Actor) -> dict[str, datetime]:
        """Return the pages that have a draft of the actor, and when each was last typed into."""
        with self._changed:
            # Before what is stored is read: what is being written now is found in one of the two, or in both.
            own = {key: draft for key, draft in self._waiting.items() if key[0] == actor.user_id}
        marks = self._context.recall(actor, "drafts", lambda session, who: store.latest_by_page(session, who.user_id))
        waiting = {key: draft for key, draft in own.items() if draft}
        leaving = {key[1] for key, draft in own.items() if draft is None}
        oldest = self._context.clock() - _KEPT_FOR
        now = {page: saved for page, saved in marks.items() if saved > oldest and page not in leaving}
        return now | {key[1]: draft.saved for key, draft in waiting.items()}

    def find_trouble(self, actor: Actor, page: str, tab: str) -> DraftTrouble | None:
        """Return why the draft of a page in a tab is not kept, None where it is."""
        return self._troubles.get((actor.user_id, page, tab))

    def flush(self, actor: Actor) -> None:
        """Return when everything that waits of the actor has been written, or could not be."""
        with self._changed:
            self._hurried.add(actor.user_id)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy_with(actor.user_id), _CLOSING_S)
            self._hurried.discard(actor.user_id)

    def close(self) -> None:
        """Write what waits, and stop."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            writer = self._writer
        if writer is not None:
            writer.join(_CLOSING_S)

    def _busy_with(self, user_id: int) -> bool:
        return any(key[0] == user_id for key in self._waiting)

    def _put(self, key: _Key, draft: Draft | None) -> None:
        with self._changed:
            self._waiting[key] = draft
            if self._writer is None and not self._is_closed:
                self._writer = Thread(target=self._write_all, name="drafts", daemon=True)
                self._writer.start()
            self._changed.notify_all()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while (key := self._find_due()) is None:
                    if self._is_closed and not self._waiting:
                        return
                    self._changed.wait(_EVERY_S / 10 if self._waiting else None)
                draft = self._waiting[key]
            self._write(key, draft)
            with self._changed:
                # Until now it was found here: what is being written is in the database a little later.
                if self._waiting.get(key) is draft:
                    del self._waiting[key]
                self._changed.notify_all()

    def _find_due(self) -> _Key | None:
        now = time.monotonic()
        last = self._written_at
        for key, draft in self._waiting.items():
            hurried = draft is None or self._is_closed or key[0] in self._hurried
            if hurried or now - last.get(key, float("-inf")) >= _EVERY_S:
                return key
        return None

    def _write(self, key: _Key, draft: Draft | None) -> None:
        user_id, page, tab = key
        try:
            with self._context.database.session() as session:
                if draft is None:
                    store.delete_draft(session, user_id, page, tab)
                else:
                    store.put_draft(session, user_id, page, tab, draft.content, draft.saved, keep=_KEPT_PER_PAGE)
                    store.delete_before(session, user_id, draft.saved - _KEPT_FOR)
        except Exception as error:
            _log.warning("a draft could not be written (%s)", type(error).__name__)
            with self._changed:
                self._troubles[key] = DraftTrouble.NOT_WRITTEN
        else:
            with self._changed:
                if draft is not None:
                    self._troubles.pop(key, None)
        with self._changed:
            self._written_at[key] = time.monotonic()
            if draft is None:
                self._written_at.pop(key, None)
