"""One click: the series of a usual layout and the company's defaults that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cgcore.activity import Action
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.series.drafts import series_problem
from cgcore.series.kinds import Series
from cgcore.series.starters import STARTER_SETS, StarterLayout
from cgcore.storage import series as store
from cgcore.storage import series_defaults as defaults_store
from cgcore.storage.locks import take_change_lock

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["create_starter_set"]


def create_starter_set(workbench: Workbench, actor: Actor, layout: StarterLayout) -> Sequence[Series]:
    """Create every series of ``layout`` and the company defaults that are not set yet, or nothing at all.

    Raises :class:`InvalidInput` when one of its codes is taken.
    """
    actor.require_admin()
    chosen = next(entry for entry in STARTER_SETS if entry.layout is layout)
    with workbench.database.session() as session:
        take_change_lock(session)
        for draft in chosen.series:
            if taken := store.find_series(session, draft.code):
                raise InvalidInput(series_problem("code", "starter_code_taken", serie=taken.code))
            store.add_series(session, draft)
            workbench.activity.record(actor, Action.SERIES_ADDED, draft.code, session=session)
        present = defaults_store.load_company_defaults(session)
        missing = {kind: code for kind, code in chosen.defaults.items() if kind not in present}
        defaults_store.save_company_defaults(session, missing)
        created = store.load_series(session, [draft.code for draft in chosen.series])
        return [created[draft.code] for draft in chosen.series]
