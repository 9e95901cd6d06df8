"""The three usual layouts of a Spanish business's series, ready to be created in one click."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from cgcore.documents import DocumentType
from cgcore.series.series import SeriesDraft, SeriesKind
from cgcore.texts import sentence

__all__ = ["STARTER_SETS", "StarterLayout", "StarterSet"]

_T = DocumentType
_SALES = (_T.QUOTE, _T.SALES_ORDER, _T.DELIVERY_NOTE, _T.SALES_INVOICE)
_PURCHASES = (_T.PURCHASE_ORDER, _T.PURCHASE_DELIVERY_NOTE, _T.PURCHASE_INVOICE)


class StarterLayout(StrEnum):
    """How a business cuts its numbering."""

    SINGLE = "single"
    PER_DOCUMENT = "per_document"
    PER_ACTIVITY = "per_activity"


@dataclass(frozen=True, slots=True)
class StarterSet:
    """The series of one layout, each with the code of its name, and the company's defaults that go with them."""

    layout: StarterLayout
    outlines: tuple[SeriesDraft, ...]
    defaults: Mapping[DocumentType, str]

    @property
    def series(self) -> tuple[SeriesDraft, ...]:
        """The series, named in the language of the person."""
        return tuple(
            replace(outline, name=sentence("cgcore.series", f"starters.{outline.name}")) for outline in self.outlines
        )


def _series(code: str, name: str, *types: DocumentType, kind: SeriesKind = SeriesKind.ORDINARY) -> SeriesDraft:
    return SeriesDraft(code, name, kind, next_numbers=dict.fromkeys(types, 1))


def _serving(code: str, *types: DocumentType) -> dict[DocumentType, str]:
    return dict.fromkeys(types, code)


# No proforma shares a series with invoices and no purchase with sales, so that each set passes every guard.
STARTER_SETS: tuple[StarterSet, ...] = (
    StarterSet(
        StarterLayout.SINGLE,
        (
            _series("A", "general", *_SALES, _T.WORK_REPORT),
            _series("PF", "proforma", _T.PROFORMA_INVOICE),
            _series("C", "purchases", *_PURCHASES),
            _series("R", "corrective", _T.SALES_INVOICE, kind=SeriesKind.CORRECTIVE),
        ),
        {**_serving("A", *_SALES, _T.WORK_REPORT), **_serving("PF", _T.PROFORMA_INVOICE), **_serving("C", *_PURCHASES)},
    ),
    StarterSet(
        StarterLayout.PER_DOCUMENT,
        (
            _series("P", "quotes", _T.QUOTE),
            _series("PV", "sales_orders", _T.SALES_ORDER),
            _series("AV", "delivery_notes", _T.DELIVERY_NOTE),
            _series("F", "invoices", _T.SALES_INVOICE),
            _series("PF", "proforma", _T.PROFORMA_INVOICE),
            _series("R", "corrective_and_refunds", _T.SALES_INVOICE, kind=SeriesKind.CORRECTIVE),
            _series("PC", "purchase_orders", _T.PURCHASE_ORDER),
            _series("AC", "purchase_delivery_notes", _T.PURCHASE_DELIVERY_NOTE),
            _series("FC", "purchase_invoices", _T.PURCHASE_INVOICE),
            _series("T", "work_reports", _T.WORK_REPORT),
        ),
        {
            **_serving("P", _T.QUOTE),
            **_serving("PV", _T.SALES_ORDER),
            **_serving("AV", _T.DELIVERY_NOTE),
            **_serving("F", _T.SALES_INVOICE),
            **_serving("PF", _T.PROFORMA_INVOICE),
            **_serving("PC", _T.PURCHASE_ORDER),
            **_serving("AC", _T.PURCHASE_DELIVERY_NOTE),
            **_serving("FC", _T.PURCHASE_INVOICE),
            **_serving("T", _T.WORK_REPORT),
        },
    ),
    StarterSet(
        StarterLayout.PER_ACTIVITY,
        (
            _series("OBRA", "building", *_SALES, _T.WORK_REPORT),
            _series("MANT", "maintenance", *_SALES, _T.WORK_REPORT),
            _series("TIENDA", "shop", *_SALES),
            _series("PF", "proforma", _T.PROFORMA_INVOICE),
            _series("C", "purchases", *_PURCHASES),
            _series("R", "corrective", _T.SALES_INVOICE, kind=SeriesKind.CORRECTIVE),
        ),
        {
            **_serving("OBRA", *_SALES, _T.WORK_REPORT),
            **_serving("PF", _T.PROFORMA_INVOICE),
            **_serving("C", *_PURCHASES),
        },
    ),
)
