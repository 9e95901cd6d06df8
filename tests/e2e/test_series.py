"""«Series por defecto» in a real browser: choose, save, reload; forbidden ones; for everybody; on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from cgcore.documents import DocumentType
from cgcore.series.series import SeriesDraft
from cgcore.series.starters import StarterLayout
from tests.servers.browser import log_in, settled, shoot, shoot_phone
from tests.servers.house import Furnished, furnish, open_beside
from tests.servers.product import Product, product_environment, run_product

pytestmark = pytest.mark.e2e

T = DocumentType


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, Furnished]]:
    """A product with a company, one series per document type, an administrator and a user."""
    folder = tmp_path_factory.mktemp("series")
    furnished = furnish(folder)
    with furnished.workbench() as workbench:
        workbench.series.create_starter_set(furnished.admin, StarterLayout.PER_DOCUMENT)
        workbench.series.add(furnished.admin, SeriesDraft("P2", "Obra", next_numbers={T.QUOTE: 21043}))
    with run_product(folder, environment=product_environment(folder)) as running:
        yield running, furnished


def choose(page: Page, group: str, label: str, option: str) -> None:
    """Choose a series for a type of a group."""
    box = page.locator(f".st-key-series_defaults_group_{group}").get_by_role("combobox", name=re.compile(label)).first
    box.click()
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def test_a_choice_is_marked_saved_and_outlives_a_reload(page: Page, house: tuple[Product, Furnished]) -> None:
    """From the company's to one's own: the mark, the next number, the subject, Guardar, the reload, the check."""
    product, furnished = house
    log_in(page, product, "/series-por-defecto", user="luis", password=furnished.password)
    for group in ("Ventas", "Compras", "Otros"):
        expect(page.get_by_role("heading", name=group, exact=True)).to_be_visible()
    choose(page, "sales", "Presupuestos", "P2 · Obra")
    expect(page.get_by_text("Hay cambios sin guardar")).to_be_visible()
    expect(page.get_by_text("P2 21043", exact=True)).to_be_visible()
    expect(page.get_by_text("Asunto: Adjunto Presupuesto P2 21043 de")).to_be_visible()
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    page.reload()
    settled(page)
    expect(page.get_by_text("elegida por ti")).to_be_visible()
    page.get_by_role("button", name="Comprobar").click()
    expect(page.get_by_text("Se pueden usar todas las series por defecto; avisos: 1.")).to_be_visible()
    shoot(page, "series-por-defecto")

    with furnished.workbench() as workbench:
        assert workbench.series.defaults.get(furnished.user).choices == {T.QUOTE: "P2"}
        assert workbench.series.get(furnished.user, "P2").counters[T.QUOTE].next_number == 21043


def test_a_rectificativa_is_never_offered(page: Page, house: tuple[Product, Furnished]) -> None:
    """Neither listed nor found by typing its code."""
    product, furnished = house
    log_in(page, product, "/series-por-defecto", user="luis", password=furnished.password)
    group = page.locator(".st-key-series_defaults_group_sales")
    group.get_by_role("combobox", name=re.compile(r"^Facturas|Facturas$")).first.click()
    options = page.get_by_role("option")
    expect(options.first).to_be_visible()

    assert not [text for text in options.all_inner_texts() if text.startswith("R")]


def test_two_tabs_lose_nothing(page: Page, house: tuple[Product, Furnished]) -> None:
    """Somebody saved in between: both versions in sight, and the choice is one's own."""
    product, furnished = house
    log_in(page, product, "/series-por-defecto", user=furnished.admin.username, password=furnished.password)
    choose(page, "sales", "Presupuestos", "P2 · Obra")
    with open_beside(product) as workbench:
        workbench.series.defaults.save(furnished.admin, {T.QUOTE: "P"}, None)
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("Se guardó otra versión mientras editabas")).to_be_visible()
    shoot(page, "series-dos-pestanas")
    page.get_by_role("button", name="Guardar lo mío").click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()

    with open_beside(product) as workbench:
        assert workbench.series.defaults.get(furnished.admin).choices == {T.QUOTE: "P2"}


def test_for_everybody_asks_first(page: Page, house: tuple[Product, Furnished]) -> None:
    """The dialog names whose choice goes; cancelling keeps it, confirming removes it."""
    product, furnished = house
    with open_beside(product) as workbench:
        workbench.series.defaults.save(furnished.user, {T.QUOTE: "P"}, None)
    log_in(page, product, "/series-por-defecto", user=furnished.admin.username, password=furnished.password)
    page.get_by_role("radio", name="para todos").click()
    expect(page.get_by_text("Las series por defecto de la empresa")).to_be_visible()
    choose(page, "sales", "Presupuestos", "P2 · Obra")
    page.get_by_role("button", name="Guardar", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("luis: Presupuestos usa P")).to_be_visible()
    shoot(page, "series-para-todos")
    dialog.get_by_role("button", name="Cancelar").click()
    expect(dialog).to_have_count(0)
    with open_beside(product) as workbench:
        kept = workbench.series.defaults.get(furnished.user).row(T.QUOTE).own
    page.get_by_role("button", name="Guardar", exact=True).click()
    dialog.get_by_role("button", name="Poner para todos").click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()

    assert kept == "P"
    with open_beside(product) as workbench:
        row = workbench.series.defaults.get(furnished.user).row(T.QUOTE)
        assert (row.own, row.effective) == (None, "P2")


def test_on_a_phone_nothing_is_cut(page: Page, house: tuple[Product, Furnished]) -> None:
    """390 pixels wide: no sideways scrolling, every select inside."""
    product, furnished = house
    log_in(page, product, "/series-por-defecto", user="luis", password=furnished.password)
    shoot_phone(page, "series")

    for box in page.get_by_role("combobox").all():
        place = box.bounding_box()
        assert place is not None
        assert place["x"] + place["width"] <= 390
