"""``python -m tests.shots``: every page of the demonstration, wide and narrow, light and dark: ``build/shots/demo-*``.

The pictures of the README, in ``docs/images``, are refreshed from the same run. A page is left out with
``python -m tests.shots NAME …``, which takes only the pages named; the README's pictures then stay as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.servers.browser import BROWSER_FLAGS, SHOTS, find_browser, log_in, settled, shoot, watch
from tests.servers.daemon import make_folder, remove
from tests.servers.outbox_states import STATES, furnish_outbox
from tests.servers.product import ROOT, Product, product_environment, run_product

__all__ = ["ADDRESSES", "PANELS", "demonstration", "main"]

ADDRESSES = {
    "resumen": "/",
    "cuenta-mail": "/cuenta-mail",
    "valores-por-defecto": "/valores-por-defecto",
    "series-por-defecto": "/series-por-defecto",
    "api-key": "/api-key",
    "enviar-documento": "/enviar-documento",
    "bandeja-de-pruebas": "/bandeja-de-pruebas",
    "actividad": "/actividad",
    "administracion": "/administracion",
    "mi-usuario": "/mi-usuario",
}
# Panels of a page that a choice at its top shows: the page, then the names of the choices.
PANELS = {"administracion": ("Series", "Usuarios", "Copia")}
SIZES = {1280: 900, 390: 844}
Scheme = Literal["light", "dark"]
SCHEMES: dict[str, Scheme] = {"": "light", "-oscuro": "dark"}
README_PICTURES = {
    "cuenta-mail": "mail-account",
    "resumen-oscuro": "overview-dark",
    "cuenta-mail-390": "mail-account-390",
}
_README_HEIGHT = 1020
_COLOURS = 256


def main(names: Sequence[str]) -> int:
    """Take the pictures of the pages named, of all without names."""
    os.environ["PICTURES"] = "1"
    chosen = {name: path for name, path in ADDRESSES.items() if not names or name in names}
    with demonstration(furnish_outbox) as (product, user, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=BROWSER_FLAGS)
        session = _furnish(browser, product, user, password)
        if not names:
            _shoot_entrance(browser, product)
        for width in SIZES:
            for suffix, scheme in SCHEMES.items():
                context = _context(browser, width, scheme, storage_state=session)
                _shoot_pages(context.new_page(), product, chosen, _suffix(width, suffix))
                context.close()
        browser.close()
    if not names:
        _refresh_readme()
    return 0


@contextmanager
def demonstration(
    prepare: Callable[[Mapping[str, str]], None] | None = None,
) -> Iterator[tuple[Product, str, str]]:
    """Seed and start the product as ``make demo`` does; yield it with the user and password of this run.

    ``prepare`` is given its environment before it starts.
    """
    folder = make_folder("cg-shots-")
    # What was furnished stays as it is while the pictures are taken: nothing of it is sent, nor runs out.
    environment = product_environment(
        folder,
        CG_ADMIN_USER="",
        CG_ADMIN_PASSWORD="",
        CG_MAIL_ALLOW_PRIVATE="",
        CG_SANDBOX="on",
        CG_OUTBOX="on" if prepare is None else "off",
    )
    seed = [sys.executable, "-m", "cgcore", "demo", "--prepare-only"]
    told = subprocess.run(seed, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    facts = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    if prepare is not None:
        prepare(environment)
    try:
        with run_product(folder, environment=environment) as product:
            yield product, facts["Usuario"], facts["Contraseña"]
    finally:
        remove(folder)


def _context(browser: Browser, width: int, scheme: Scheme, **more: Any) -> BrowserContext:
    fresh = browser.new_context(
        locale="es-ES",
        timezone_id="Europe/Madrid",
        viewport={"width": width, "height": SIZES[width]},
        color_scheme=scheme,
        **more,
    )
    return watch(fresh)


def _furnish(browser: Browser, product: Product, user: str, password: str) -> Any:
    """Log in and give every page something to show; return the log-in for the other windows."""
    context = _context(browser, 1280, "light")
    page = context.new_page()
    log_in(page, product, user=user, password=password)
    steps: list[Callable[[Page, Product, str], None]] = [_prove_account, _issue_key]
    for step in steps:
        try:
            step(page, product, password)
        except AssertionError as failed:
            # A picture of what stands in the way is worth more than none.
            sys.stderr.write(f"{step.__name__}: {str(failed).splitlines()[0]}\n")
            _shoot(page, f"fallo{step.__name__}")
    session = context.storage_state()
    context.close()
    return session


def _prove_account(page: Page, product: Product, _password: str) -> None:
    _open(page, product, "/cuenta-mail")
    for leg, cell in (("SMTP", "smtp"), ("IMAP", "imap")):
        page.get_by_role("button", name=f"Probar conexión {leg}", exact=True).click()
        expect(page.locator(f".st-key-cell_{cell}").get_by_text(re.compile("Correcto$"))).to_be_visible()
    page.get_by_role("button", name="Enviar correo de prueba", exact=True).click()
    expect(page.get_by_role("dialog").get_by_text(re.compile("aceptado"))).to_be_visible()
    _shoot(page, "cuenta-mail-enviado")


def _issue_key(page: Page, product: Product, password: str) -> None:
    _open(page, product, "/api-key")
    page.get_by_role("button", name="Generar nueva API Key").click()
    page.get_by_label("Contraseña del usuario actual").fill(password)
    page.get_by_role("dialog").get_by_role("button", name="Generar", exact=True).click()
    expect(page.get_by_text("Tu nueva clave")).to_be_visible()
    _shoot(page, "api-key-mostrada")
    page.get_by_role("button", name="Ya la he copiado").click()
    settled(page)


def _shoot_entrance(browser: Browser, product: Product) -> None:
    for width in SIZES:
        for suffix, scheme in SCHEMES.items():
            context = _context(browser, width, scheme)
            page = context.new_page()
            page.goto(product.url + "/entrar")
            _shoot(page, "entrar" + _suffix(width, suffix))
            context.close()


def _shoot_pages(page: Page, product: Product, addresses: dict[str, str], suffix: str) -> None:
    for name, path in addresses.items():
        _open(page, product, path)
        _shoot(page, name + suffix)
        if name == "enviar-documento":
            _shoot_outbox(page, suffix)
        for panel in PANELS.get(name, ()):
            choice = page.get_by_test_id("stMain").get_by_role("radio", name=re.compile(f"^{panel}"))
            if not choice.count():
                sys.stderr.write(f"{name}: no choice «{panel}»\n")
                continue
            choice.first.click()
            # The page still counts as settled until the click has reached the server.
            page.wait_for_timeout(500)
            settled(page)
            _shoot(page, f"{name}-{panel.lower()}{suffix}")


def _shoot_outbox(page: Page, suffix: str) -> None:
    """Picture every state that a message can be in, and what was put aside."""
    page.get_by_role("tab", name="Borradores").click()
    settled(page)
    _shoot(page, "borradores" + suffix)
    page.get_by_role("tab", name="Enviados").click()
    settled(page)
    for name in reversed(list(STATES)):
        if not page.get_by_test_id("stRadio").get_by_text(f"({name})").count():
            page.get_by_role("button", name="Siguiente").click()
            settled(page)
        page.get_by_test_id("stRadio").get_by_text(f"({name})").click()
        page.wait_for_timeout(300)
        settled(page)
        _shoot(page, f"enviados-{name}{suffix}")


def _open(page: Page, product: Product, path: str) -> None:
    page.goto(product.url + path)
    settled(page)
    # Fonts and frames arrive after the script has ended.
    page.evaluate("document.fonts.ready.then(() => true)")
    for frame in page.frames:
        frame.wait_for_load_state("load")


def _shoot(page: Page, name: str) -> None:
    # The browser tests write pictures of their own into the same folder.
    shoot(page, f"demo-{name}")


def _suffix(width: int, scheme: str) -> str:
    return f"{'' if width == 1280 else f'-{width}'}{scheme}"


def _refresh_readme() -> None:
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for shot, name in README_PICTURES.items():
        _shrink(SHOTS / f"demo-{shot}.png", folder / f"{name}.png")


def _shrink(source: Path, target: Path) -> None:
    """Keep the top of a picture, in few colours: it shows as much in a fifth of the bytes."""
    with Image.open(source) as picture:
        top = picture.convert("RGB").crop((0, 0, picture.width, min(picture.height, _README_HEIGHT)))
        top.quantize(_COLOURS).save(target, optimize=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
