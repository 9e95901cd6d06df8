"""How a document's number will look in the subject of its mail."""

from __future__ import annotations

from cgcore.documents import info
from cgcore.identity.actor import Actor
from cgcore.series.overview import DefaultRow
from cgcore.workbench import Workbench
from pages.ui.series.target import Target, Whose

__all__ = ["preview_subject"]


def preview_subject(workbench: Workbench, actor: Actor, target: Target, row: DefaultRow) -> str:
    """Return the subject of the next document of this type, ``""`` where there is no template, number or person."""
    if not info(row.document_type).has_template or not row.next_number or target.whose is not Whose.ME:
        return ""
    series, _, number = row.next_number.rpartition(" ")
    return workbench.templates.preview_subject(actor, row.document_type, {"serie": series, "numero": number})
