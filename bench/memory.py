"""What a file of 25 MB takes of the memory of a whole process, from the upload to the filed copy, by API and by page.

The product runs as its users start it, against servers of our own. Read is the peak of what the process has resident
(``VmHWM`` of Linux, reset before), less what it had before, after the same way was gone with a small file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import httpx
from playwright.sync_api import Page, expect, sync_playwright

from bench.figures import Figure
from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.settings import load_settings
from cgcore.vault.secret import Secret
from cgcore.workbench.core import open_workbench
from tests.servers.api_users import add_person, issue_key
from tests.servers.browser import BROWSER_FLAGS, find_browser, log_in, settled, watch
from tests.servers.daemon import make_folder, remove
from tests.servers.house import add_series
from tests.servers.product import Product, product_environment, run_product
from tests.servers.scripted import ScriptedServer, SmtpScript
from tests.servers.sent_folder import SentFolder

__all__ = ["run"]

_SIZE, _SMALL = 25_000_000, 20_000
_OFFERED = ("SIZE 60000000", "AUTH PLAIN LOGIN")
_PATIENCE_S = 120.0
_ROUNDS = 3
_MOST = 1.5


def run() -> Iterator[Figure]:
    """Yield the peak of each way as a multiple of the file; a process that has grown before has room for the next."""
    if not Path("/proc/self/clear_refs").exists():
        return
    with _house() as house:
        house.by_api("small", _SMALL)
        peaks = [house.measure(lambda n=n: house.by_api(f"api-{n}", _SIZE)) for n in range(_ROUNDS)]
        yield _figure("25 MB by the API, sent and filed: peak / file", peaks)
    with _house() as house, _open_page(house.product) as page:
        _by_page(house, page, "small", _SMALL)
        peaks = [house.measure(lambda n=n: _by_page(house, page, f"p-{n}", _SIZE)) for n in range(_ROUNDS)]
        yield _figure("25 MB by the page, sent and filed: peak / file", peaks)


def _figure(name: str, peaks: list[float]) -> Figure:
    return Figure(name, peaks[0], _MOST, note="then " + ", ".join(f"{peak:.2f}" for peak in peaks[1:]))


@dataclass(frozen=True, slots=True)
class _House:
    """The product, the key of its user, and the sent folder in which each copy ends."""

    product: Product
    key: str
    filed: SentFolder

    def by_api(self, number: str, size: int) -> None:
        """Hand in a document with a file as an app does, and wait until its copy is filed."""
        document = {"type": "sales_invoice", "series": "F", "number": number, "to": ["eva@example.com"]}
        before = self.filed.filed.total()
        with httpx.Client(base_url=f"{self.product.url}/api/v1", timeout=_PATIENCE_S) as client:
            answer = client.post(
                "/messages",
                headers={"Authorization": f"Bearer {self.key}", "Idempotency-Key": number},
                data={"message": json.dumps(document)},
                files={"file": ("plano.pdf", _file(size), "application/pdf")},
            )
        answer.raise_for_status()
        self.wait_for_copy(before)

    def wait_for_copy(self, before: int) -> None:
        """Wait until one copy more than ``before`` is filed."""
        end = time.monotonic() + _PATIENCE_S
        while self.filed.filed.total() == before:
            if time.monotonic() > end:
                raise TimeoutError(f"no copy was filed: {self.list_states()}")
            time.sleep(0.05)

    def list_states(self) -> list[str]:
        """Return where the messages and their copies stand, with their reasons."""
        with httpx.Client(base_url=f"{self.product.url}/api/v1") as client:
            found = client.get("/messages", headers={"Authorization": f"Bearer {self.key}"}).json()["items"]
        return [f"{each['state']} {each['reason']} {each['copy']}" for each in found]

    def measure(self, act: Callable[[], object]) -> float:
        """Return by how many files the process grows at its highest while ``act`` is done."""
        place = Path(f"/proc/{self.product.process.pid}")
        time.sleep(2)  # what is left of the last one is given back
        (place / "clear_refs").write_text("5")
        before = _read(place, "VmRSS")
        act()
        return (_read(place, "VmHWM") - before) / _SIZE


def _read(place: Path, name: str) -> int:
    line = next(line for line in (place / "status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _file(size: int) -> bytes:
    head = b"%PDF-1.7\n"
    return head + os.urandom(size - len(head))


@contextmanager
def _house() -> Iterator[_House]:
    folder, mailbox = make_folder("cg-memory-"), SentFolder()
    environment = product_environment(folder, CG_ADMIN_USER="", CG_ADMIN_PASSWORD="")
    try:
        with ScriptedServer(SmtpScript(extensions=_OFFERED)) as smtp, ScriptedServer(mailbox) as imap:
            key = _furnish(environment, smtp.port, imap.port)
            with run_product(folder, environment=environment) as product:
                yield _House(product, key, mailbox)
    finally:
        remove(folder)


def _furnish(environment: Mapping[str, str], smtp: int, imap: int) -> str:
    """Furnish a house in which ana may send; return her key."""
    with patch.dict(os.environ, environment, clear=True):
        workbench = open_workbench(load_settings())
        try:
            ana = add_person(workbench, "ana")
            add_series(workbench, ana.actor, "F", DocumentType.SALES_INVOICE)
            workbench.company.save(ana.actor, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Luz, 12"), 0)
            workbench.users.save_own(ana.actor, "Ana Tosma", "ana@example.com", 1)
            sending, filing = (ServerDraft("127.0.0.1", port, Security.NONE) for port in (smtp, imap))
            draft = MailAccountDraft(
                "ana@example.com", Secret("correcto-Caballo.9"), sending, filing, sent_folder="Sent"
            )
            workbench.mail_account.save(ana.actor, draft, version=0)
            return issue_key(workbench, ana).key.reveal()
        finally:
            workbench.close()


@contextmanager
def _open_page(product: Product) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=BROWSER_FLAGS)
        page = watch(browser.new_context(locale="es-ES")).new_page()
        page.set_default_timeout(_PATIENCE_S * 1000)
        log_in(page, product, "/enviar-documento", user="ana", password="una frase bastante larga")
        yield page
        browser.close()


def _by_page(house: _House, page: Page, number: str, size: int) -> None:
    """Hand in a document with a file as a person does, and wait until its copy is filed."""
    before, name = house.filed.filed.total(), house.product.folder / f"plano-{number}.pdf"
    name.write_bytes(_file(size))
    for label, value in {"Número": number, "Para": "eva@example.com"}.items():
        field = page.get_by_label(label, exact=True)
        field.fill(value)
        field.press("Tab")
        settled(page)
    page.get_by_label("Adjuntos", exact=True).locator("input[type=file]").set_input_files(name)
    expect(page.get_by_text("en el envío").or_(page.get_by_text("que admite tu servidor"))).to_be_visible()
    page.get_by_role("button", name="Vista previa").click()
    page.get_by_role("button", name="Enviar", exact=True).click()
    page.get_by_role("button", name="Enviar ya").click()
    house.wait_for_copy(before)
    with suppress(OSError):
        name.unlink()
    page.get_by_role("button", name="Otro documento").click()
    settled(page)
