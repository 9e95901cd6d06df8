"""The company of the installation: what templates and the page show of it, and what is wrong with a draft."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cgcore.company.tax_id import check_tax_id, normalise_tax_id
from cgcore.errors import FieldProblem
from cgcore.text_rules import MAX_ADDRESS, MAX_NAME, find_text_problem
from cgcore.texts import text

__all__ = ["MAX_LOGO_BYTES", "Company", "CompanyDraft", "Logo", "check_company", "company_problem"]

MAX_LOGO_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Logo:
    """An image as mails carry it: media type, size in pixels, bytes."""

    type: str
    width: int
    height: int
    data: bytes

    def as_data_uri(self) -> str:
        """Return ``data:image/png;base64,…`` (RFC 2397)."""
        return f"data:{self.type};base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class CompanyDraft:
    """What was typed. ``logo``: None keeps the stored one, empty removes it, anything else is the file's bytes."""

    name: str = ""
    tax_id: str = ""
    address: str = ""
    logo: bytes | None = None

    def normalised(self) -> CompanyDraft:
        """Return the draft as it is stored: outer blanks dropped, the tax number in its compact form."""
        return CompanyDraft(
            self.name.strip(), normalise_tax_id(self.tax_id), "\n".join(_lines(self.address)), self.logo
        )


@dataclass(frozen=True, slots=True)
class Company:
    """The stored company; an empty one with version 0 before the first save."""

    name: str = ""
    tax_id: str = ""
    address: str = ""
    logo: Logo | None = None
    version: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the API's object."""
        logo = self.logo.as_data_uri() if self.logo else None
        return {
            "name": self.name,
            "tax_id": self.tax_id,
            "address": self.address,
            "logo": logo,
            "version": self.version,
        }


def company_problem(field: str, code: str, **values: object) -> FieldProblem:
    """Return the problem ``code`` of one field and the values of its sentence."""
    return FieldProblem(field, code, text("cgcore.company", code, **values))


def check_company(draft: CompanyDraft) -> tuple[FieldProblem, ...]:
    """Return every problem of a normalised draft, its logo apart. The tax number may be left out, not be wrong."""
    return tuple(_problems(draft))


def _problems(draft: CompanyDraft) -> Iterator[FieldProblem]:
    if not draft.name:
        yield company_problem("name", "name_empty")
    elif len(draft.name) > MAX_NAME:
        yield company_problem("name", "name_too_long", maximo=MAX_NAME)
    elif find_text_problem(draft.name, MAX_NAME):
        yield company_problem("name", "name_unprintable")
    if draft.tax_id and (found := check_tax_id(draft.tax_id)):
        yield company_problem("tax_id", found.value)
    if len(draft.address) > MAX_ADDRESS:
        yield company_problem("address", "address_too_long", maximo=MAX_ADDRESS)
    elif find_text_problem(draft.address, MAX_ADDRESS, lines=True):
        yield company_problem("address", "address_unprintable")


def _lines(address: str) -> list[str]:
    return [line.strip() for line in address.strip().splitlines() if line.strip()]
