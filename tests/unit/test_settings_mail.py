"""What somebody pastes into the field of a server: an address with a port, a whole mail of a provider."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.mail.account import Security
from cgcore.mail.settings_mail import PastedServer, read_settings
from cgcore.mail.steps import Leg
from cgcore.workbench import Workbench
from tests.servers.pages import open_page, sign_in

SMTP, IMAP = Leg.SMTP, Leg.IMAP


def server(host: str, port: int, security: str) -> PastedServer:
    """Return a server by the words of a form."""
    return PastedServer(host, port, Security(security))


@pytest.mark.parametrize(
    ("text", "leg", "found"),
    [
        ("smtp.example.com:465", SMTP, {SMTP: server("smtp.example.com", 465, "ssl")}),
        ("ssl://mail.example.com", SMTP, {SMTP: server("mail.example.com", 465, "ssl")}),
        ("ssl://mail.example.com:993", IMAP, {IMAP: server("mail.example.com", 993, "ssl")}),
        ("imaps://ana@mail.example.com/INBOX", SMTP, {IMAP: server("mail.example.com", 993, "ssl")}),
        ("mail.example.com 587", SMTP, {SMTP: server("mail.example.com", 587, "starttls")}),
        ("imap.example.com", IMAP, {}),
        ("no hay servidor", SMTP, {}),
        ("ana@example.com", SMTP, {}),
        ("https://www.example.com/correo", SMTP, {}),
        ("", SMTP, {}),
    ],
)
def test_an_address_is_taken_apart(text: str, leg: Leg, found: dict[Leg, PastedServer]) -> None:
    """Host, port and security; a bare name, a mailbox or a web address are left to the checks of the field."""
    assert read_settings(text, leg) == found


BOTH = {SMTP: server("smtp.ionos.es", 587, "starttls"), IMAP: server("imap.ionos.es", 993, "ssl")}


@pytest.mark.parametrize(
    "text",
    [
        "Servidor entrante (IMAP): imap.ionos.es Puerto: 993 (SSL/TLS) "
        "Servidor saliente (SMTP): smtp.ionos.es Puerto: 587 (STARTTLS) Usuario: facturas@tosma.es",
        "Hola:\n\nTus datos:\nCorreo entrante: imap.ionos.es, puerto 993, SSL\n"
        "Correo saliente: smtp.ionos.es, puerto 587, TLS\n\nMás en https://www.ionos.es/ayuda",
        "Incoming mail server: imap.ionos.es\nPort: 993\nEncryption: SSL\n"
        "Outgoing mail server: smtp.ionos.es\nPort: 587\n",
        "Posteingangsserver imap.ionos.es, Port 993 (SSL) · Postausgangsserver smtp.ionos.es, Port 587 (STARTTLS)",
        "Serveur entrant : imap.ionos.es port 993 SSL / Serveur sortant : smtp.ionos.es port 587 STARTTLS",
        "imap.ionos.es 993 SSL smtp.ionos.es 587 TLS",
    ],
)
def test_a_whole_mail_of_a_provider_fills_both_servers(text: str) -> None:
    """In the languages of the providers, with line breaks or without."""
    assert read_settings(text, SMTP) == BOTH
    assert read_settings(text, IMAP) == BOTH


def test_one_name_for_both_is_told_apart_by_words_and_ports() -> None:
    """As control panels write it; POP3 is passed over where its own port says so."""
    text = (
        "Servidor de correo entrante: mail.tosma.es IMAP Port: 993 "
        "Servidor de correo saliente: mail.tosma.es SMTP Port: 465"
    )

    assert read_settings(text, SMTP) == {
        IMAP: server("mail.tosma.es", 993, "ssl"),
        SMTP: server("mail.tosma.es", 465, "ssl"),
    }


@given(st.text(max_size=300), st.sampled_from(Leg))
def test_no_text_breaks_it_and_plain_text_is_never_proposed(text: str, leg: Leg) -> None:
    """Whatever was in the clipboard."""
    found = read_settings(text, leg)

    assert all(one.security.encrypted and 0 < one.port < 65536 for one in found.values())


@pytest.mark.parametrize(
    ("leg", "typed", "label"),
    [
        (SMTP, "ssl://smtp.ionos.es:465", "Usar smtp.ionos.es:465 SSL"),
        (IMAP, "imap.ionos.es 993 SSL smtp.ionos.es 587 TLS", "Usar imap.ionos.es:993 SSL y smtp.ionos.es:587 TLS"),
        (IMAP, "imap..ionos.es", "Usar imap.ionos.es"),
        (SMTP, "smtp.ionos.es", ""),
    ],
)
def test_what_was_pasted_is_offered_as_one_button(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, leg: Leg, typed: str, label: str
) -> None:
    """One click fills host, port and security, of both servers where both are named."""
    page = open_page(monkeypatch, workbench, sign_in(workbench, "ana"), "mail_account.py")
    page.text_input(f"mail_account_{leg}_host").set_value(typed).run()
    assert not page.exception
    offered = [button for button in page.button if button.key == f"mail_account_{leg}_meant"]
    assert [button.label.replace("\\", "") for button in offered] == ([label] if label else [])
    for button in offered:
        button.click().run()
    found = read_settings(typed, leg)

    assert not page.exception
    for of, named in found.items():
        assert page.text_input(f"mail_account_{of}_host").value == named.host
        assert page.text_input(f"mail_account_{of}_port").value == str(named.port)
        assert page.session_state[f"mail_account_{of}_security"] is named.security
    assert not any(button.key == f"mail_account_{leg}_meant" for button in page.button)
