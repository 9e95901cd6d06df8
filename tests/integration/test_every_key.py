"""Every diagnosis key is what a server on a real socket leads to, not only what a text is taken for."""

from __future__ import annotations

import ast
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
# What no reply leads to: names, sockets, handshakes, tokens, rules of our own. The test named produces each.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "integration/test_real_servers.py: test_each_bad_certificate_has_its_own_verdict_and_card": (
        "cert_expired",
        "cert_self_signed",
        "cert_untrusted_chain",
        "cert_wrong_name",
    ),
    "integration/test_real_servers.py: test_another_certificate_than_the_pinned_one_stops": ("cert_pin_changed",),
    "integration/test_smtp_security.py: test_a_bad_certificate_stops_before_any_credential_and_is_shown": (
        "cert_not_yet_valid",
        "tls_intercepted",
    ),
    "integration/test_every_key.py: test_words_that_mean_nothing_to_anybody_are_shown_as_they_are": ("unclassified",),
    "integration/test_smtp_security.py: test_a_clock_that_cannot_be_right_is_blamed_before_the_certificate": (
        "clock_wrong",
    ),
    "integration/test_smtp_security.py: test_ssl_on_a_starttls_port_is_told_with_the_proven_cure": (
        "ssl_on_starttls_port",
    ),
    "integration/test_smtp_security.py: test_plain_talk_on_an_ssl_port_is_told_within_the_patience": (
        "starttls_on_ssl_port",
    ),
    "integration/test_smtp_input.py: test_a_name_that_does_not_resolve_says_why": ("dns_temporary", "host_not_found"),
    "integration/test_smtp_input.py: test_a_target_inside_is_refused_uniformly": ("forbidden_target",),
    "integration/test_smtp_input.py: test_bad_input_is_a_step_and_nothing_is_connected": ("invalid_input",),
    "integration/test_smtp_input.py: test_a_closed_port_is_told_from_a_silent_one": ("port_closed",),
    "integration/test_smtp_input.py: test_a_port_that_does_not_answer_at_all_leaves_time_for_the_counter_proof": (
        "port_filtered",
    ),
    "integration/test_imap_probe.py: test_where_the_provider_files_the_copy_itself_a_second_one_is_warned_of": (
        "duplicate_copy",
    ),
    "integration/test_oauth_flow.py: test_a_provider_that_fails_is_told_and_nothing_is_kept": (
        "oauth_client_wrong",
        "oauth_id_token",
        "oauth_interaction",
        "oauth_needs_admin",
        "oauth_redirect",
    ),
    "integration/test_oauth_flow.py: test_what_is_refused_at_the_provider_is_told_and_nothing_is_kept": (
        "oauth_denied",
        "oauth_scope_missing",
    ),
    "integration/test_oauth_flow.py: test_an_answer_that_was_changed_on_the_way_is_refused": ("oauth_expired",),
    "integration/test_oauth_sign_in.py: test_a_token_goes_only_where_the_account_was_connected": (
        "oauth_not_connected",
    ),
    "integration/test_oauth_sign_in.py: test_a_shared_mailbox_that_the_server_does_not_open_is_explained": (
        "oauth_other_account",
    ),
    "integration/test_oauth_manners.py: test_what_microsoft_answers_a_renewal_is_told_apart_by_its_number": (
        "oauth_account_missing",
    ),
    "integration/test_oauth_sign_in.py: test_what_passes_by_itself_ends_no_connection": ("oauth_unreachable",),
    "integration/test_oauth_sign_in.py: test_no_token_is_used_whose_refresh_token_could_not_be_kept": ("vault_away",),
    "integration/test_delivery.py: test_half_a_reply_after_the_dot_is_unknown": ("delivery_unknown",),
    "integration/test_smtp_rude.py: test_a_rude_server_is_named_within_the_deadline": ("server_silent",),
    "integration/test_sign_in.py: test_real_servers_refuse_a_token_and_say_so_themselves": ("token_rejected",),
}
PRODUCED = {key for keys in ELSEWHERE.values() for key in keys}
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
        with imap_server(script, certificates.trusted) as server:
            return list(probe(request(server.port), env))
    with smtp_server(SmtpScript(replies={stage: reply}), certificates.trusted) as server:
        if stage in ("data", "final"):
            return list(send_message(RAW, request(server.port), env))
        return list(probe(request(server.port), env))


@pytest.mark.parametrize("said", ["NO Xyzzy plugh", "NO Frobnicated"])
def test_words_that_mean_nothing_to_anybody_are_shown_as_they_are(said: str, certificates: Certificates) -> None:
    """The one key that collected replies do not deserve."""
    row = {"protocol": "imap", "stage": "list", "text": said, "provider": ""}
    verdict = build_verdict(_play(row, certificates), total_ms=0)

    assert verdict.key == "unclassified"


@pytest.mark.parametrize("key", sorted(set(diagnosis_keys()) - PRODUCED - BEFORE))
def test_a_server_that_says_so_is_told_apart(key: str, certificates: Certificates) -> None:
    """A collected reply of each key, played at its stage, decides the whole conversation."""
    found: dict[str, str] = {}
    for row in _replies(key)[:3]:
        verdict = build_verdict(_play(row, certificates), total_ms=0)
        if verdict.key == key:
            return
        found[row["text"]] = verdict.key
    pytest.fail(f"no reply leads to {key}: {found}")


@pytest.mark.parametrize("shown", sorted(ELSEWHERE))
def test_what_no_reply_leads_to_is_shown_where_it_happens(shown: str) -> None:
    """The test that is named is there, and expects each key: in itself, or in a table of cases that it takes."""
    path, _, name = shown.partition(": ")
    module = ast.parse((ROOT / path).read_text("utf-8"))
    tests = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == name]
    named = {node.id for test in tests for node in ast.walk(test) if isinstance(node, ast.Name)}
    tables = [
        node
        for node in module.body
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id in named for to in node.targets)
    ]
    expected = {node.value for part in (*tests, *tables) for node in ast.walk(part) if isinstance(node, ast.Constant)}

    assert tests
    assert set(ELSEWHERE[shown]) <= expected.difference(*map(_refused, tests))


def _refused(test: ast.FunctionDef) -> set[object]:
    """The constants that a test compares with only to say that they are not what was found."""
    return {
        node.value
        for compared in ast.walk(test)
        if isinstance(compared, ast.Compare) and isinstance(compared.ops[0], ast.NotEq | ast.NotIn)
        for node in ast.walk(compared)
        if isinstance(node, ast.Constant)
    }


def test_no_key_is_left_out_or_named_without_need() -> None:
    """Whatever is not produced by a collected reply is produced by a named test, or needs no server."""
    assert set(diagnosis_keys()) >= PRODUCED | BEFORE
    assert not PRODUCED & BEFORE
    assert len(PRODUCED) == sum(map(len, ELSEWHERE.values()))
