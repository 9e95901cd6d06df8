"""The company of the installation: what templates and the page show of it, and what is wrong with a draft."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cgcore.errors import FieldProblem
from cgcore.text_rules import MAX_ADDRESS, MAX_NAME, find_text_problem
from cgcore.texts import text

__all__ = [
    "MAX_LOGO_BYTES",
    "Company",
    "CompanyDraft",
    "Logo",
    "TaxIdProblem",
    "check_company",
    "check_tax_id",
    "company_problem",
    "normalise_tax_id",
]

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


# ---- The Spanish tax number: persons (DNI, NIE, K, L, M) and organisations (formerly CIF)

_PERSON_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"  # remainder of the number by 23 (RD 1553/2005)
_ORGANISATION_LETTERS = "JABCDEFGHI"
_NIE_DIGITS = {"X": "0", "Y": "1", "Z": "2"}
_LETTER_ONLY, _DIGIT_ONLY = "PQRSNW", "ABEH"

_SEPARATORS = {"Pd", "Zs", "Zl", "Zp", "Cc", "Cf"}
_MARKS = "./\\·∙•−_"
_PERSON = re.compile(r"[0-9]{8}[A-Z]")
_FOREIGNER = re.compile(r"[XYZ][0-9]{7}[A-Z]")
_SPECIAL_PERSON = re.compile(r"[KLM][0-9]{7}[A-Z]")
_ORGANISATION = re.compile(r"[ABCDEFGHJNPQRSUVW][0-9]{7}[0-9A-J]")


class TaxIdProblem(StrEnum):
    """Why a text is not a Spanish tax number."""

    FORM = "tax_id_form"
    CONTROL = "tax_id_control"


def normalise_tax_id(text: str) -> str:
    """Return ``text`` in capitals without a leading ``ES`` (as in an EU VAT number), and without what only separates.

    That is blanks, dots, slashes and dashes of every kind, as a web page or a letter writes them, and what is not seen.
    """
    wide = unicodedata.normalize("NFKC", text)
    kept = (char for char in wide if unicodedata.category(char) not in _SEPARATORS and char not in _MARKS)
    compact = "".join(kept).upper()
    return compact[2:] if len(compact) == 11 and compact.startswith("ES") else compact


def check_tax_id(tax_id: str) -> TaxIdProblem | None:
    """Return what is wrong with a normalised tax number, None when its control character is right.

    Organisations: letter as control for P Q R S N W, digit for A B E H, either for the rest (Orden EHA/451/2008).
    """
    if _PERSON.fullmatch(tax_id):
        right = tax_id[-1] == _person_letter(tax_id[:8])
    elif _FOREIGNER.fullmatch(tax_id):
        right = tax_id[-1] == _person_letter(_NIE_DIGITS[tax_id[0]] + tax_id[1:8])
    elif _SPECIAL_PERSON.fullmatch(tax_id):
        right = tax_id[-1] == _person_letter(tax_id[1:8])
    elif _ORGANISATION.fullmatch(tax_id):
        right = tax_id[-1] in _organisation_controls(tax_id)
    else:
        return TaxIdProblem.FORM
    return None if right else TaxIdProblem.CONTROL


def _person_letter(digits: str) -> str:
    return _PERSON_LETTERS[int(digits) % 23]


def _organisation_controls(tax_id: str) -> str:
    digits = [int(char) for char in tax_id[1:8]]
    total = sum(digits[1::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[::2])
    control = -total % 10
    if tax_id[0] in _LETTER_ONLY:
        return _ORGANISATION_LETTERS[control]
    if tax_id[0] in _DIGIT_ONLY:
        return str(control)
    return f"{control}{_ORGANISATION_LETTERS[control]}"
