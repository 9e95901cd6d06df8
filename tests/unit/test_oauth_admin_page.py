"""«Inicio de sesión con proveedores» without a browser: what to register, what is kept, what is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor, Role
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from pages.ui.panels import PROVIDER
from pages.ui.texts import oauth as texts
from tests.servers.pages import open_page, panel, save, sign_in, words

SECRET = "canario-del-secreto"
MICROSOFT = ClientDraft(
    OAuthProvider.MICROSOFT, "11112222-aaaa", Secret(SECRET), tenant="empresa.example", secret_ends=date(2027, 11, 30)
)


@pytest.fixture
def admin(workbench: Workbench) -> Actor:
    """The only administrator, logged in."""
    return sign_in(workbench, "ana", Role.ADMIN)


def open_provider(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, provider: str) -> AppTest:
    """Open the panel with one provider chosen."""
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.session_state[PROVIDER] = OAuthProvider(provider).value
    page = panel(page, "sign_in")
    assert not page.exception
    return page


def _serve_at(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, public_url: str) -> None:
    settings = workbench.settings.model_copy(update={"public_url": public_url})
    monkeypatch.setattr(type(workbench), "settings", settings)


def codes(page: AppTest) -> list[str]:
    """Everything that has a button to copy it."""
    return [each.value for each in page.code]


@pytest.mark.parametrize("provider", OAuthProvider)
def test_each_provider_shows_what_to_register(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, provider: OAuthProvider
) -> None:
    """Redirect address and permissions to copy, and the way through the console."""
    _serve_at(monkeypatch, workbench, "https://facturas.empresa.es")
    page = open_provider(monkeypatch, workbench, admin, provider)

    assert codes(page)[0] == f"https://facturas.empresa.es/oauth/vuelta/{provider}"
    assert {"google": "https://mail.google.com/", "microsoft": "SMTP.Send", "custom": "offline_access"}[
        provider
    ] in codes(page)[1]
    assert str(texts["STEPS"][provider]) in words(page)
    assert not page.warning


@pytest.mark.parametrize(
    ("provider", "public_url", "problem"),
    [
        ("google", "https://facturas.lan", "no_public_name"),
        ("google", "https://10.0.0.5", "raw_address"),
        ("microsoft", "http://facturas.empresa.es", "not_https"),
        ("microsoft", "https://facturas.lan", ""),
    ],
)
def test_an_address_that_will_be_refused_is_said_beforehand(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, provider: str, public_url: str, problem: str
) -> None:
    """In the place where it would be copied from, and only for whom it holds."""
    _serve_at(monkeypatch, workbench, public_url)
    page = open_provider(monkeypatch, workbench, admin, provider)
    name = {"google": "Google", "microsoft": "Microsoft"}[provider]

    said = [str(texts["REDIRECT_PROBLEMS"][problem].format(provider=name))] if problem else []
    assert [each.value for each in page.warning] == said


def test_a_client_is_saved_and_its_secret_never_comes_back(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """All fields are kept; the page knows of the secret only that it is there."""
    page = open_provider(monkeypatch, workbench, admin, "microsoft")
    for name, value in {
        "client_id": " 11112222-aaaa ", "secret": SECRET, "tenant": "empresa.example", "secret_ends": "30/11/2027",
        "domains": "empresa.example, otra.example",
    }.items():  # fmt: skip
        page.text_input(f"administration_oauth_microsoft_{name}").set_value(value)
    page = save(page)
    stored = workbench.oauth.clients.find(admin, OAuthProvider.MICROSOFT)

    assert not page.exception
    assert not page.error
    assert stored is not None
    assert (stored.client_id, stored.tenant, stored.secret_ends) == (
        "11112222-aaaa", "empresa.example", date(2027, 11, 30),
    )  # fmt: skip
    assert stored.domains == ("empresa.example", "otra.example")
    assert workbench.oauth.clients.find_secret(stored) == Secret(SECRET)
    field = page.text_input("administration_oauth_microsoft_secret")
    assert (field.value, field.placeholder) == ("", str(texts.SECRET_STORED))
    assert SECRET not in words(page) + "".join(codes(page))


def test_what_is_wrong_is_told_at_its_field_and_nothing_is_saved(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """No secret, an issuer without https, a day that does not exist."""
    page = open_provider(monkeypatch, workbench, admin, "custom")
    page.text_input("administration_oauth_custom_client_id").set_value("panel")
    page.text_input("administration_oauth_custom_issuer").set_value("http://identidad.empresa.es")
    page.text_input("administration_oauth_custom_secret").set_value(SECRET)
    told = words(save(page))
    page.text_input("administration_oauth_custom_secret_ends").set_value("31/02/2027")
    page = save(page)

    assert "El emisor es una dirección https" in told
    assert "Escribe la fecha como" in words(page)
    page.text_input("administration_oauth_custom_secret_ends").set_value("")
    page.text_input("administration_oauth_custom_secret").set_value("")
    page.text_input("administration_oauth_custom_issuer").set_value("https://identidad.empresa.es")
    assert "Falta este dato" in words(save(page))
    assert workbench.oauth.clients.list(admin) == ()


def test_the_link_for_a_microsoft_administrator_is_there_to_copy(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Once it can be made, and it holds no secret."""
    page = open_provider(monkeypatch, workbench, admin, "microsoft")
    before = str(texts.CONSENT_WAITING) in words(page)
    workbench.oauth.clients.save(admin, MICROSOFT, version=0)
    page = open_provider(monkeypatch, workbench, admin, "microsoft")
    (link,) = [each for each in codes(page) if "adminconsent" in each]

    assert before
    assert link.startswith(
        "https://login.microsoftonline.com/empresa.example/v2.0/adminconsent?client_id=11112222-aaaa"
    )
    assert SECRET not in link


def test_two_administrators_meet_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Who comes second sees both versions and chooses."""
    workbench.oauth.clients.save(admin, MICROSOFT, version=0)
    page = open_provider(monkeypatch, workbench, admin, "microsoft")
    workbench.oauth.clients.save(admin, replace(MICROSOFT, domains=("otra.example",)), version=1)
    page.text_input("administration_oauth_microsoft_domains").set_value("mia.example")
    page = save(page)

    assert "otra.example" in "\n".join(each.value for each in page.text)
    page.button("administration_stale_mine").click().run()
    stored = workbench.oauth.clients.find(admin, OAuthProvider.MICROSOFT)
    assert stored is not None
    assert stored.domains == ("mia.example",)


@pytest.mark.parametrize(("days", "said"), [(31, ""), (30, "caduca el"), (0, "caduca el"), (-1, "caducó el")])
def test_resumen_tells_of_a_secret_that_ends(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, days: int, said: str
) -> None:
    """Thirty days before, and when it is too late; only to whom it concerns."""
    ends = workbench.context.clock().date() + timedelta(days=days)
    workbench.oauth.clients.save(admin, replace(MICROSOFT, secret_ends=ends), version=0)
    page = open_page(monkeypatch, workbench, admin, "overview.py")
    other = open_page(monkeypatch, workbench, sign_in(workbench, "luis"), "overview.py")

    told = [each.value for each in (*page.warning, *page.error) if "secreto" in each.value]
    assert [said in each for each in told] == ([True] if said else [])
    assert "secreto" not in words(other)


def test_the_way_there_opens_the_panel_of_the_provider_once(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """From Resumen; what is chosen afterwards holds, and what no panel is called opens the first."""
    ends = workbench.context.clock().date()
    workbench.oauth.clients.save(admin, replace(MICROSOFT, secret_ends=ends), version=0)
    overview = open_page(monkeypatch, workbench, admin, "overview.py")
    (way,) = [each.proto for each in overview.get("page_link") if each.proto.label == str(texts.GO_TO_ADMINISTRATION)]
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    for name, value in parse_qsl(way.query_string):
        page.query_params[name] = value
    opened = codes(page.run())
    left = dict(page.query_params)
    chosen = panel(page, "users").run()
    other = open_page(monkeypatch, workbench, admin, "administration.py")
    other.query_params["panel"] = "no-hay"
    other.run()

    assert opened[0].endswith("/oauth/vuelta/microsoft")
    assert left == {}
    assert chosen.session_state["administration_panel"] == "users"
    assert not other.exception
    assert other.session_state["administration_panel"] == "company"


def test_a_provider_is_removed_after_a_question(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """It says how many people sign in by it; the secret goes too."""
    saved = workbench.oauth.clients.save(admin, MICROSOFT, version=0)
    page = open_provider(monkeypatch, workbench, admin, "microsoft")
    page.button("administration_oauth_remove").click().run()
    assert str(texts.REMOVE_NOBODY) in words(page)
    page.button("administration_oauth_remove").click()
    page.button("administration_oauth_remove_yes").click().run()

    assert not page.exception
    assert workbench.oauth.clients.list(admin) == ()
    assert workbench.oauth.clients.find_secret(saved) is None
