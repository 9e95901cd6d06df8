"""Export and import on the pages: the whole installation in «Administración · Copia», one's own in «Mi usuario»."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Role
from cgcore.workbench import Workbench
from pages.ui.admin.users import OPEN
from pages.ui.texts import portable as texts
from tests.servers.house import add_series
from tests.servers.pages import open_page, panel, sign_in, words

T = DocumentType


@dataclass
class Desk:
    """A page that exports and imports.

    ``change`` edits its file in one place; ``disturb`` saves something else there, as another tab would.
    """

    page: AppTest
    name: str
    downloads: dict[str, Callable[[], bytes]]
    change: Callable[[dict[str, Any]], None]
    disturb: Callable[[], object]

    def download(self) -> bytes:
        """Return the file that the browser gets."""
        return self.downloads[f"{self.name}_export"]()

    def upload(self, data: bytes) -> None:
        """Choose a file."""
        self.page.file_uploader[-1].set_value(("configuracion.json", data, "application/json")).run()
        assert not self.page.exception

    def apply(self) -> None:
        """Press «Importar estos cambios»."""
        self.page.button(f"{self.name}_import_apply").click().run()
        assert not self.page.exception

    def changed(self) -> bytes:
        """Return the file with one value changed."""
        value = json.loads(self.download())
        self.change(value)
        return json.dumps(value).encode()

    @property
    def shown(self) -> list[tuple[str, str]]:
        """The values of the preview: now, and afterwards."""
        return [
            (str(row[texts.COLUMN_BEFORE]), str(row[texts.COLUMN_AFTER]))
            for table in self.page.table
            for _, row in table.value.iterrows()
        ]


def rename_company(file: dict[str, Any]) -> None:
    file["company"]["name"] = "Tosma e Hijas"


def change_subject(file: dict[str, Any]) -> None:
    file["users"][0]["templates"]["quote"]["subject"] = "Tosma e Hijas"


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """What each download button of a page hands out, by its key."""
    found: dict[str, Callable[[], bytes]] = {}
    original = st.download_button

    def record(label: str, data: Callable[[], bytes], **facts: Any) -> bool:
        found[facts["key"]] = data
        return original(label, data, **facts)

    monkeypatch.setattr(st, "download_button", record)
    return found


@pytest.fixture(params=["administration", "profile"])
def desk(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    workbench: Workbench,
    downloads: dict[str, Callable[[], bytes]],
) -> Desk:
    """Either page of a house where both have something to export."""
    admin, luis = sign_in(workbench, "ana", Role.ADMIN), sign_in(workbench, "luis")
    workbench.company.save(admin, CompanyDraft("Tosma", "B12345674", "Calle de la Luz, 12"), 0)
    add_series(workbench, admin, "P", T.QUOTE)
    workbench.series.defaults.save(luis, {T.QUOTE: "P"}, None)
    workbench.templates.save(luis, T.QUOTE, "Tosma", "<p>Va</p>", version=0)
    if request.param == "profile":
        page = open_page(monkeypatch, workbench, luis, "profile.py")

        def disturb() -> object:
            return workbench.templates.save(luis, T.QUOTE, "De otra pestaña", "<p>Va</p>", version=1)

        return Desk(page, "profile", downloads, change_subject, disturb)
    page = panel(open_page(monkeypatch, workbench, admin, "administration.py"), "copy")

    def disturb_house() -> object:
        return workbench.company.save(admin, CompanyDraft("De otra pestaña", "B12345674", "Calle de la Luz, 12"), 1)

    return Desk(page, "administration", downloads, rename_company, disturb_house)


def test_the_file_of_a_page_brought_back_there_changes_nothing(desk: Desk) -> None:
    """The page says so and offers nothing to import."""
    desk.upload(desk.download())

    assert texts.IMPORT_NOTHING in words(desk.page)
    assert not desk.shown
    assert texts.IMPORT_APPLY not in [button.label for button in desk.page.button]


def test_the_changes_are_shown_first_and_undone_by_the_first_file(desk: Desk) -> None:
    """Nothing is stored before the click; the first file brought again restores every byte: the round trip."""
    first, changed = desk.download(), desk.changed()
    desk.upload(changed)
    shown, meanwhile = desk.shown, desk.download()
    desk.apply()
    done, emptied = [element.value for element in desk.page.success], desk.page.file_uploader[-1].value
    after = json.loads(desk.download())
    desk.upload(first)
    back = desk.shown
    desk.apply()

    assert (shown, back) == ([("Tosma", "Tosma e Hijas")], [("Tosma e Hijas", "Tosma")])
    assert meanwhile == first
    assert texts.IMPORT_DONE in done
    assert not emptied
    assert after == json.loads(changed)
    assert desk.download() == first


def test_what_is_imported_is_what_was_shown(desk: Desk) -> None:
    """Somebody saves between the look and the click: nothing is imported, and the new changes are shown to judge."""
    desk.upload(desk.changed())
    desk.disturb()
    disturbed = desk.download()
    desk.apply()

    assert texts.IMPORT_CHANGED in words(desk.page)
    assert desk.download() == disturbed
    assert desk.shown == [("De otra pestaña", "Tosma e Hijas")]
    desk.apply()
    assert b"Tosma e Hijas" in desk.download()


FILES = {
    "broken": (lambda file: file[: len(file) // 2], "no es JSON válido"),
    "newer": (lambda file: file.replace(b'"version": 1', b'"version": 2', 1), "El archivo es de la versión 2"),
    "of somebody else's program": (lambda _file: b"[1, 2]", "no es una configuración de Cloud Gestion"),
    "with a secret": (lambda file: file.replace(b'"mail":', b'"password": "x", "mail":', 1), "parece un secreto"),
    "with markup in a name": (
        lambda file: file.replace(b'"full_name":', b'"![x](http://malo.example/x.png)": 1, "full_name":', 1),
        r"\!\[x\]\(http",
    ),
    "without an end": (lambda _file: b"[" * 200_000, "demasiados niveles"),
}


def test_a_file_that_is_refused_changes_nothing(desk: Desk) -> None:
    """The page says what is wrong with it in Spanish, shows it inert, and offers nothing to import."""
    before = desk.download()
    told: dict[str, tuple[bool, bool]] = {}
    for kind, (spoil, sentence) in FILES.items():
        desk.upload(spoil(before))
        offered = texts.IMPORT_APPLY in [button.label for button in desk.page.button]
        told[kind] = sentence in words(desk.page), offered or bool(desk.shown)

    assert told == dict.fromkeys(FILES, (True, False))
    assert desk.download() == before


def test_an_administrator_exports_one_user(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, downloads: dict[str, Callable[[], bytes]]
) -> None:
    """«Exportar su configuración»: that user, nobody else and nothing of the house; it changes nothing brought back."""
    admin, luis = sign_in(workbench, "ana", Role.ADMIN), sign_in(workbench, "luis")
    workbench.templates.save(luis, T.QUOTE, "Tosma", "<p>Va</p>", version=0)
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.session_state[OPEN] = ("edit", "luis")
    panel(page, "users")
    file = downloads["administration_user_export"]()
    value = json.loads(file)

    assert [user["name"] for user in value["users"]] == ["luis"]
    assert value["users"][0]["templates"]["quote"]["subject"] == "Tosma"
    assert not value.get("company")
    assert not value.get("series")
    assert workbench.portable.plan(admin, file, "luis").changes == ()
