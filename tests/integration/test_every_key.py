"""Every diagnosis key is what a server on a real socket leads to, not only what a text is taken for."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cgcore.mail.account import Security
from cgcore.mail.diagnosis.catalogue import diagnosis_keys
from cgcore.mail.diagnosis.texts import build_verdict
from cgcore.mail.probe import probe, send_message
from cgcore.mail.request import ProbeRequest
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg
from cgcore.runs import Step
from cgcore.vault.secret import Secret
from tests.servers.asking import PASSWORD, USER, loopback
from tests.servers.certificates import Certificates
from tests.servers.scripted import ImapScript, SmtpScript, imap_server, smtp_server

ROOT = Path(__file__).parents[1]
FILES = ("server_replies.toml", "replies_more.toml", "replies_by_class.toml", "replies_unseen.toml")
RAW = b"From: ana@example.com\r\nSubject: x\r\n\r\nHola\r\n"
# The command that each stage of the IMAP leg is about, and the stages of the SMTP leg that a script can answer at.
IMAP = {"auth": "AUTHENTICATE", "list": "LIST", "select": "SELECT", "append": "APPEND", "greeting": "greeting"}
SMTP = ("greeting", "ehlo", "auth", "mail_from", "rcpt_to", "data", "final")
# What no reply leads to: names, sockets, handshakes, tokens, rules of our own. The test named produces it.
ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        ("cert_expired", "cert_pin_changed", "cert_self_signed", "cert_untrusted_chain", "cert_wrong_name"),
        "integration/test_real_servers.py",
    ),
    **dict.fromkeys(
        ("cert_not_yet_valid", "clock_wrong", "encryption_required", "ssl_on_starttls_port", "starttls_on_ssl_port"),
        "integration/test_smtp_security.py",
    ),
    **dict.fromkeys(
        ("dns_temporary", "forbidden_target", "host_not_found", "invalid_input", "port_closed", "port_filtered"),
        "integration/test_smtp_input.py",
    ),
    **dict.fromkeys(("duplicate_copy", "unclassified"), "integration/test_imap_probe.py"),
    **dict.fromkeys(("oauth_client_wrong", "oauth_denied", "oauth_expired"), "integration/test_oauth_flow.py"),
    **dict.fromkeys(("oauth_id_token", "oauth_interaction", "oauth_redirect"), "integration/test_oauth_flow.py"),
    **dict.fromkeys(("oauth_needs_admin", "oauth_scope_missing"), "integration/test_oauth_flow.py"),
    **dict.fromkeys(
        ("oauth_not_connected", "oauth_other_account", "oauth_unreachable", "vault_away"),
        "integration/test_oauth_sign_in.py",
    ),
    "delivery_unknown": "integration/test_delivery.py",
    "server_silent": "integration/test_smtp_rude.py",
    "tls_intercepted": "unit/test_tls.py",
    "token_rejected": "integration/test_sign_in.py",
}
# Told by the provider table before anything is connected: no server has a part in it.
BEFORE = {"provider_incompatible", "microsoft_password_deadline"}


@cache
def _replies(key: str) -> list[dict[str, Any]]:
    """The collected replies that deserve a key, those that no provider's name is needed for first."""
    rows = [row for name in FILES for row in tomllib.loads((ROOT / "data" / name).read_text("utf-8"))["reply"]]
    fitting = [
        row
        for row in rows
        if row["key"] == key
        and not row.get("also")
        and row["stage"] in (IMAP if row["protocol"] == "imap" else SMTP)
        and row["protocol"] != "library"
    ]
    return sorted(fitting, key=lambda row: bool(row["provider"]))


def _play(row: dict[str, Any], certificates: Certificates) -> list[Step]:
    """Return the steps of a probe, or of a sending, against a server that answers with a row's text at its stage."""
    leg, stage = Leg(row["protocol"]), row["stage"]
    reply = "\r\n".join(row["text"].splitlines()).encode()
    env = loopback(certificates, neighbours={})

    def request(port: int) -> ProbeRequest:
        return ProbeRequest(
            leg,
            "127.0.0.1",
            port,
            Security.NONE,
            user=USER,
            credential=Password(Secret(PASSWORD)),
            folder="Sent" if leg is Leg.IMAP else "",
            provider=row["provider"],
        )

    if leg is Leg.IMAP:
        script = ImapScript(greeting=reply) if stage == "greeting" else ImapScript(replies={IMAP[stage]: reply})
        with imap_server(script) as server:
            return list(probe(request(server.port), env))
    with smtp_server(SmtpScript(replies={stage: reply})) as server:
        if stage in ("data", "final"):
            return list(send_message(RAW, request(server.port), env))
        return list(probe(request(server.port), env))


@pytest.mark.parametrize("key", sorted(set(diagnosis_keys()) - set(ELSEWHERE) - BEFORE))
def test_a_server_that_says_so_is_told_apart(key: str, certificates: Certificates) -> None:
    """A collected reply of each key, played at its stage, decides the whole conversation."""
    found: dict[str, str] = {}
    for row in _replies(key)[:3]:
        verdict = build_verdict(_play(row, certificates), total_ms=0)
        if verdict.key == key:
            return
        found[row["text"]] = verdict.key
    pytest.fail(f"no reply leads to {key}: {found}")


def test_what_no_reply_leads_to_is_shown_where_it_happens() -> None:
    """Each of these keys stands in the test that is named for it."""
    missing = {key: place for key, place in ELSEWHERE.items() if f'"{key}"' not in (ROOT / place).read_text("utf-8")}

    assert missing == {}
    assert set(ELSEWHERE) | BEFORE <= set(diagnosis_keys())
