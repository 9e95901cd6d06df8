"""The numbers of the database for whoever watches the product.

Apart from :mod:`cgcore.workbench.overview`, which is for a person and their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgcore.metrics import Family
from cgcore.storage.totals import count_totals

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["list_totals"]


def list_totals(context: Context) -> list[Family]:
    """Return them as metrics. Raises :class:`StorageError`."""
    with context.database.read() as session:
        totals = count_totals(session, context.clock())
    single = {
        "cg_sessions": ("Log-ins that are open.", totals.log_ins),
        "cg_users": ("Users that may enter.", totals.users),
        "cg_outbox_oldest_seconds": ("How long ago the oldest queued message was made.", totals.oldest_s),
        "cg_outbox_overdue_seconds": ("How long the oldest queued message has waited past its time.", totals.overdue_s),
    }
    by_state = [("cg_outbox_messages", {"state": state.value}, float(n)) for state, n in totals.messages.items()]
    return [
        *(Family(name, "gauge", told, [(name, {}, float(value))]) for name, (told, value) in single.items()),
        Family("cg_outbox_messages", "gauge", "Messages of the outbox by state.", by_state),
    ]
