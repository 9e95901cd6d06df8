"""What Streamlit says by itself: in Spanish, and a line of ours while the server is away."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.servers.browser import log_in, settled
from tests.servers.daemon import free_ports
from tests.servers.product import run_product

pytestmark = pytest.mark.e2e


def test_streamlits_own_words_are_spanish_and_a_server_that_is_away_is_told(page: Page, tmp_path: Path) -> None:
    """The line comes when the connection goes, what was drawn stays, and it leaves when the server is back."""
    (port,) = free_ports(1)
    line = page.locator("#server-away")
    with run_product(tmp_path, port=port) as product:
        log_in(page, product)
        page.goto(f"{product.url}/administracion")
        settled(page)
        assert page.locator("html").get_attribute("lang") == "es"
        expect(page.get_by_role("button", name="Main menu")).to_have_count(0)
        expect(page.get_by_text("Upload", exact=True)).to_have_count(0)
        expect(line).to_be_hidden()
    expect(line).to_be_visible()
    expect(line).to_contain_text("No hay conexión con el servidor")
    expect(page.get_by_text("Connection error")).to_have_count(0)
    expect(page.get_by_role("heading", name="Administración")).to_be_visible()
    with run_product(tmp_path, port=port):
        expect(line).to_be_hidden()
