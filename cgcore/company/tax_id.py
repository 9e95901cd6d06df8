"""The Spanish tax number and its control character: persons (DNI, NIE, K, L, M) and organisations (formerly CIF)."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

__all__ = ["TaxIdProblem", "check_tax_id", "normalise_tax_id"]

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
