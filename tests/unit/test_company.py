"""The company and its tax number."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from PIL import Image

from cgcore.company.company import CompanyDraft, TaxIdProblem, check_tax_id, normalise_tax_id
from cgcore.errors import InvalidInput, NotAllowed, StaleVersion
from cgcore.identity.actor import Role
from cgcore.workbench import Workbench
from tests.servers.house import add_user


@pytest.mark.parametrize(
    "tax_id",
    ["12345678Z", "00000000T", "X1234567L", "Y1234567X", "Z1234567R", "A58818501", "B12345674", "Q2826000H",
     "P2807900B", "S2800568D", "G28029643", "J1234567D", "J12345674", "K1234567L", "W0184081H"],
)  # fmt: skip
def test_right_tax_numbers_pass(tax_id: str) -> None:
    """NIF of persons, NIE and organisations with their control character."""
    assert check_tax_id(tax_id) is None


@pytest.mark.parametrize(
    ("tax_id", "problem"),
    [
        ("12345678A", TaxIdProblem.CONTROL),
        ("X1234567A", TaxIdProblem.CONTROL),
        ("B12345675", TaxIdProblem.CONTROL),
        ("A5881850A", TaxIdProblem.CONTROL),  # the letter of the right digit, where only a digit may stand
        ("Q28260008", TaxIdProblem.CONTROL),  # the digit of the right letter, where only a letter may stand
        ("1234567Z", TaxIdProblem.FORM),
        ("I12345674", TaxIdProblem.FORM),
        ("B1234567", TaxIdProblem.FORM),
        ("", TaxIdProblem.FORM),
        ("١٢٣٤٥٦٧٨Z", TaxIdProblem.FORM),
        ("12345678Z\n", TaxIdProblem.FORM),
    ],
)
def test_wrong_tax_numbers_are_named(tax_id: str, problem: TaxIdProblem) -> None:
    """A wrong control character and a wrong form are two problems."""
    assert check_tax_id(tax_id) is problem


@pytest.mark.parametrize(
    "typed",
    [
        "b-12345674",
        "B 1234567 4",
        "ESB12345674",
        "es b.12.345.674",
        "B\u201112345674",  # as a web page writes it: a hyphen that does not break
        "B\u2013123456\u20147\u22124",
        "B/1234567/4",
        "B\u00a01234\u202f567\u20094",
        "\u200bB\u00ad12345674\ufeff",
        "\uff22\uff0d12345674",  # wide letters
    ],
)
def test_blanks_points_and_country_are_dropped(typed: str) -> None:
    """What people type around the number is not part of it."""
    assert normalise_tax_id(typed) == "B12345674"


def png(size: tuple[int, int] = (40, 20)) -> bytes:
    """A small image file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "#0b6bcb").save(buffer, "PNG")
    return buffer.getvalue()


DRAFT = CompanyDraft("Electricidad Tosma, S.L.", "es-B 12345674", " C/ Mayor, 1 \n\n 28001 Madrid ")


def test_the_company_is_stored_in_its_clean_form(workbench_on_each: Workbench) -> None:
    """Compact tax number, trimmed lines, a logo as mails carry it; kept, replaced and removed."""
    admin = add_user(workbench_on_each, "ana", Role.ADMIN)
    section = workbench_on_each.company
    first = section.save(admin, replace(DRAFT, logo=png()), 0)
    kept = section.save(admin, DRAFT, first.version)
    gone = section.save(admin, replace(DRAFT, logo=b""), kept.version)

    assert (first.tax_id, first.address) == ("B12345674", "C/ Mayor, 1\n28001 Madrid")
    assert first.logo == kept.logo
    assert (first.logo and first.logo.type, first.logo and first.logo.width) == ("image/png", 40)
    assert gone.logo is None
    assert section.get(admin) == gone


@pytest.mark.parametrize(
    ("draft", "field", "code"),
    [
        (replace(DRAFT, name="  "), "name", "name_empty"),
        (replace(DRAFT, name="x" * 121), "name", "name_too_long"),
        (replace(DRAFT, name="a\nb"), "name", "name_unprintable"),
        (replace(DRAFT, tax_id="B12345675"), "tax_id", "tax_id_control"),
        (replace(DRAFT, tax_id="<script>"), "tax_id", "tax_id_form"),
        (replace(DRAFT, address="x" * 301), "address", "address_too_long"),
        (replace(DRAFT, address="a\x00b"), "address", "address_unprintable"),
        (replace(DRAFT, logo=b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "logo", "logo_unreadable"),
        (replace(DRAFT, logo=png()[:50]), "logo", "logo_unreadable"),
        (replace(DRAFT, logo=b"\x89PNG" + b"0" * 1_000_001), "logo", "logo_too_heavy"),
    ],
)
def test_a_wrong_field_of_the_company_is_named(
    workbench: Workbench, draft: CompanyDraft, field: str, code: str
) -> None:
    """The sentence stands beside its field, and nothing is stored."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    with pytest.raises(InvalidInput) as caught:
        workbench.company.save(admin, draft, 0)

    assert [(problem.field, problem.code) for problem in caught.value.problems] == [(field, code)]
    assert workbench.company.get(admin).version == 0


def test_a_stale_company_is_refused_and_a_user_changes_none(workbench_on_each: Workbench) -> None:
    """The second of two administrators is shown the first one's; a user reads only."""
    admin, luis = add_user(workbench_on_each, "ana", Role.ADMIN), add_user(workbench_on_each, "luis")
    section = workbench_on_each.company
    section.save(admin, DRAFT, 0)
    with pytest.raises(StaleVersion) as caught:
        section.save(admin, replace(DRAFT, name="Otra"), 0)
    with pytest.raises(NotAllowed):
        section.save(luis, DRAFT, 1)

    assert caught.value.stored["name"] == DRAFT.name
    assert section.get(luis).name == DRAFT.name
