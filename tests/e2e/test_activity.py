"""«Actividad» in a real browser: what is in sight, search, pages, the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.servers.browser import log_in, shoot, shoot_phone
from tests.servers.house import Furnished, furnish
from tests.servers.product import Product, product_environment, run_product

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, Furnished]]:
    """A product with a trail of more than one page, hostile texts in it."""
    folder = tmp_path_factory.mktemp("activity")
    furnished = furnish(folder)
    with furnished.workbench() as workbench:
        for number in range(60):
            workbench.context.activity.record(furnished.admin, "series_saved", f"S{number:02}", ip="192.0.2.7")
        workbench.context.activity.record(
            furnished.admin, "series_added", "=1+1", detail="![x](http://malo.example/x.png)"
        )
        workbench.context.activity.record(furnished.user, "probe_run", "smtp", result="auth_failed")
    with run_product(folder, environment=product_environment(folder)) as running:
        yield running, furnished


def test_an_administrator_searches_and_turns_pages(page: Page, house: tuple[Product, Furnished]) -> None:
    """Newest first, hostile text inert, search narrows, the next page goes on."""
    product, furnished = house
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if "malo.example" in request.url else None)
    log_in(page, product, "/actividad", user="ana", password=furnished.password)
    expect(page.get_by_text("malo.example/x.png)")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(51)
    shoot(page, "actividad")
    page.get_by_role("button", name="Siguientes").click()
    expect(page.get_by_text("Página 2")).to_be_visible()
    expect(page.get_by_text("S05", exact=True)).to_be_visible()
    search = page.get_by_label("Buscar", exact=True)
    search.fill("S07")
    search.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)

    expect(page.get_by_text("S07", exact=True)).to_be_visible()
    assert foreign == []


def test_a_user_sees_their_own_lines_only(page: Page, house: tuple[Product, Furnished]) -> None:
    """No line and no column of others; the file neither."""
    product, furnished = house
    log_in(page, product, "/actividad", user="luis", password=furnished.password)
    expect(page.get_by_text("Probó una conexión")).to_be_visible()
    expect(page.get_by_text("Cambió una serie")).to_have_count(0)
    with page.expect_download() as started:
        page.get_by_role("button", name="Descargar CSV").click()
    text = Path(started.value.path()).read_text(encoding="utf-8-sig")

    assert "Probó una conexión" in text
    assert "S05" not in text
    page.get_by_role("button", name="Filtros").click()
    expect(page.get_by_text("Desde", exact=True)).to_be_visible()
    expect(page.get_by_label("Usuario", exact=True)).to_have_count(0)


def test_the_file_computes_nothing(page: Page, house: tuple[Product, Furnished]) -> None:
    """A formula in an object is disarmed, lines are separated as a Spanish spreadsheet expects."""
    product, furnished = house
    log_in(page, product, "/actividad", user="ana", password=furnished.password)
    with page.expect_download() as started:
        page.get_by_role("button", name="Descargar CSV").click()
    text = Path(started.value.path()).read_text(encoding="utf-8-sig")

    assert '"\'=1+1"' in text
    assert text.splitlines()[0] == '"Fecha (UTC)";"Usuario";"Acción";"Objeto";"Resultado";"Detalle";"Dirección"'


def test_on_a_phone_the_page_does_not_scroll_sideways(page: Page, house: tuple[Product, Furnished]) -> None:
    """The table scrolls inside itself."""
    product, furnished = house
    log_in(page, product, "/actividad", user="ana", password=furnished.password)
    shoot_phone(page, "actividad")
