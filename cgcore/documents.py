"""Document types of the suite: their group, their names, and which of them have a mail template."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cgcore.texts import Text, sentence, text

__all__ = [
    "DOCUMENT_TYPES",
    "DocumentType",
    "DocumentTypeInfo",
    "SeriesGroup",
    "info",
    "type_label",
    "type_text",
    "types_with_template",
]


class SeriesGroup(StrEnum):
    """The groups of «Series por defecto», in the order of the page."""

    SALES = "sales"
    PURCHASES = "purchases"
    OTHER = "other"

    @property
    def label(self) -> str:
        """What it is called on the screen."""
        return sentence("cgcore", f"groups.{self.value}")


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
    """What the product knows of one document type. Its names are in the language of the person."""

    code: DocumentType
    group: SeriesGroup
    has_template: bool = True
    """Whether documents of this type are sent by mail."""
    is_invoice: bool = False
    has_due_date: bool = False

    @property
    def tab(self) -> str:
        """Its tab in «Valores por defecto»; empty for a type without template."""
        return self._name("tab") if self.has_template else ""

    @property
    def series_label(self) -> str:
        """Its label inside its group on «Series por defecto»."""
        return self._name("series")

    @property
    def noun(self) -> str:
        """The value of ``{documento}``."""
        return self._name("noun")

    @property
    def noun_with_article(self) -> str:
        """The value of ``{el_documento}``."""
        return self._name("article")

    @property
    def noun_of(self) -> str:
        """The value of ``{del_documento}``."""
        return self._name("of")

    def _name(self, which: str) -> str:
        return sentence("cgcore", f"documents.{self.code}.{which}")


_T, _G = DocumentType, SeriesGroup

# In the order of the tabs of «Valores por defecto para envío».
DOCUMENT_TYPES: tuple[DocumentTypeInfo, ...] = (
    DocumentTypeInfo(_T.QUOTE, _G.SALES, has_due_date=True),
    DocumentTypeInfo(_T.SALES_ORDER, _G.SALES),
    DocumentTypeInfo(_T.WORK_REPORT, _G.OTHER),
    DocumentTypeInfo(_T.DELIVERY_NOTE, _G.SALES),
    DocumentTypeInfo(_T.SALES_INVOICE, _G.SALES, is_invoice=True, has_due_date=True),
    DocumentTypeInfo(_T.PROFORMA_INVOICE, _G.SALES, has_due_date=True),
    DocumentTypeInfo(_T.PURCHASE_ORDER, _G.PURCHASES),
    DocumentTypeInfo(_T.PURCHASE_DELIVERY_NOTE, _G.PURCHASES, has_template=False),
    DocumentTypeInfo(_T.PURCHASE_INVOICE, _G.PURCHASES, has_template=False, is_invoice=True),
)

_BY_CODE = {entry.code: entry for entry in DOCUMENT_TYPES}


def info(document_type: DocumentType) -> DocumentTypeInfo:
    """Return what is known of ``document_type``."""
    return _BY_CODE[document_type]


def types_with_template() -> tuple[DocumentTypeInfo, ...]:
    """Return the types that have a mail template, in the order of the tabs."""
    return tuple(entry for entry in DOCUMENT_TYPES if entry.has_template)


def type_text(document_type: DocumentType) -> Text:
    """Return the type's label where its group is not in sight, as a value that travels."""
    return text("cgcore", f"documents.{document_type}.label")


def type_label(document_type: DocumentType) -> str:
    """Return the type's label where its group is not in sight: «Facturas», «Facturas de compra»."""
    return str(type_text(document_type))
