"""Document types of the suite: their group, their names, and which of them have a mail template."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["DOCUMENT_TYPES", "DocumentType", "DocumentTypeInfo", "SeriesGroup", "info", "types_with_template"]


class SeriesGroup(StrEnum):
    """The groups of «Series por defecto», in the order of the page; the value is the label on screen."""

    SALES = "Ventas"
    PURCHASES = "Compras"
    OTHER = "Otros"


class DocumentType(StrEnum):
    """Code of a document type, as stored and as spoken by the API."""

    QUOTE = "quote"
    SALES_ORDER = "sales_order"
    WORK_REPORT = "work_report"
    DELIVERY_NOTE = "delivery_note"
    SALES_INVOICE = "sales_invoice"
    PROFORMA_INVOICE = "proforma_invoice"
    PURCHASE_ORDER = "purchase_order"
    PURCHASE_DELIVERY_NOTE = "purchase_delivery_note"
    PURCHASE_INVOICE = "purchase_invoice"


@dataclass(frozen=True, slots=True)
class DocumentTypeInfo:
    """What the product knows of one document type.

    ``tab`` is its tab in «Valores por defecto» and is empty for a type without template; ``series_label`` its label
    inside its group on «Series por defecto»; ``noun`` and ``noun_with_article`` are the values of ``{documento}``
    and ``{el_documento}``.
    """

    code: DocumentType
    tab: str
    group: SeriesGroup
    series_label: str
    noun: str
    noun_with_article: str
    is_invoice: bool = False
    has_due_date: bool = False

    @property
    def has_template(self) -> bool:
        """Whether documents of this type are sent by mail."""
        return bool(self.tab)


_T, _G = DocumentType, SeriesGroup

# In the order of the tabs of «Valores por defecto para envío».
DOCUMENT_TYPES: tuple[DocumentTypeInfo, ...] = (
    DocumentTypeInfo(
        _T.QUOTE,
        tab="Presupuestos",
        group=_G.SALES,
        series_label="Presupuestos",
        noun="Presupuesto",
        noun_with_article="el presupuesto",
        has_due_date=True,
    ),
    DocumentTypeInfo(
        _T.SALES_ORDER,
        tab="Pedidos",
        group=_G.SALES,
        series_label="Pedidos",
        noun="Pedido",
        noun_with_article="el pedido",
    ),
    DocumentTypeInfo(
        _T.WORK_REPORT,
        tab="Partes de trabajo",
        group=_G.OTHER,
        series_label="Partes de trabajo",
        noun="Parte de trabajo",
        noun_with_article="el parte de trabajo",
    ),
    DocumentTypeInfo(
        _T.DELIVERY_NOTE,
        tab="Albaranes",
        group=_G.SALES,
        series_label="Albaranes",
        noun="Albarán",
        noun_with_article="el albarán",
    ),
    DocumentTypeInfo(
        _T.SALES_INVOICE,
        tab="Facturas ventas",
        group=_G.SALES,
        series_label="Facturas",
        noun="Factura",
        noun_with_article="la factura",
        is_invoice=True,
        has_due_date=True,
    ),
    DocumentTypeInfo(
        _T.PROFORMA_INVOICE,
        tab="Facturas proforma",
        group=_G.SALES,
        series_label="Facturas proforma",
        noun="Factura proforma",
        noun_with_article="la factura proforma",
        has_due_date=True,
    ),
    DocumentTypeInfo(
        _T.PURCHASE_ORDER,
        tab="Pedidos compras",
        group=_G.PURCHASES,
        series_label="Pedidos",
        noun="Pedido de compra",
        noun_with_article="el pedido de compra",
    ),
    DocumentTypeInfo(
        _T.PURCHASE_DELIVERY_NOTE,
        tab="",
        group=_G.PURCHASES,
        series_label="Albaranes",
        noun="Albarán de compra",
        noun_with_article="el albarán de compra",
    ),
    DocumentTypeInfo(
        _T.PURCHASE_INVOICE,
        tab="",
        group=_G.PURCHASES,
        series_label="Facturas",
        noun="Factura de compra",
        noun_with_article="la factura de compra",
        is_invoice=True,
    ),
)

_BY_CODE = {entry.code: entry for entry in DOCUMENT_TYPES}


def info(document_type: DocumentType) -> DocumentTypeInfo:
    """Return what is known of ``document_type``."""
    return _BY_CODE[document_type]


def types_with_template() -> tuple[DocumentTypeInfo, ...]:
    """Return the types that have a mail template, in the order of the tabs."""
    return tuple(entry for entry in DOCUMENT_TYPES if entry.has_template)
