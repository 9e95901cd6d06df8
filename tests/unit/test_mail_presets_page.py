"""The company's mail servers on the pages: kept and removed in «Administración», known in «Cuenta mail»."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor, Role
from cgcore.runs import Cell
from cgcore.storage.mail_presets import put_preset
from cgcore.workbench import Workbench
from tests.integration.test_mail_presets import ACCOUNT, PRESET, prove
from tests.servers.pages import open_page, sign_in, words

KEEP, PART = "administration_mail_servers_keep", "administration_mail_servers"


def _administration(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, actor: Actor) -> AppTest:
    page = open_page(monkeypatch, workbench, actor, "administration.py")
    page.session_state[PART] = True
    return page.run()


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """An administrator with a stored account."""
    actor = sign_in(workbench, "ana", Role.ADMIN)
    workbench.mail_account.save(actor, ACCOUNT, version=0)
    return actor


def _plain(page: AppTest) -> str:
    return words(page).replace("\\", "")


def _keep_preset(workbench: Workbench) -> None:
    with workbench.database.session() as session:
        put_preset(session, PRESET, workbench.clock())


def test_an_administrator_keeps_and_removes_the_servers_of_a_domain(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """One click each; before the tests the button says why not."""
    page = _administration(monkeypatch, workbench, ana)
    assert page.button(KEEP).disabled
    assert "Prueba primero tu cuenta" in words(page)

    prove(workbench, ana, Cell.SMTP, Cell.IMAP)
    page = page.run()
    page = page.button(KEEP).click().run()
    assert not page.exception
    assert "**tosma.com.es** · envía por mail.hoster.test:465 · entra en mail.hoster.test:993" in _plain(page)
    page = page.button("administration_mail_servers_remove_tosma.com.es").click().run()
    assert "Todavía no hay ninguno" in words(page)
    assert workbench.mail_presets.list(ana) == []


def test_whoever_has_an_address_of_the_domain_is_told_that_the_password_is_enough(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Their own address stands in the field; with another domain nothing is said."""
    _keep_preset(workbench)
    luis = sign_in(workbench, "luis")
    workbench.users.save_own(luis, "Luis", "luis@ventas.tosma.com.es", 1)
    page = open_page(monkeypatch, workbench, replace(luis, mail="luis@ventas.tosma.com.es"), "mail_account.py")

    assert page.text_input("mail_account_user").value == "luis@ventas.tosma.com.es"
    assert "Los servidores de tosma.com.es ya están guardados: escribe solo tu contraseña." in _plain(page)
    page = page.text_input("mail_account_user").set_value("luis@otra.com.es").run()
    assert "ya están guardados" not in words(page)

    own = open_page(monkeypatch, workbench, ana, "mail_account.py")
    assert "ya están guardados" not in words(own)
