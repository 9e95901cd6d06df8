"""What is told of a failed test besides its cure: earlier ones, what changed, a message for the provider."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.changes import Difference, kept_settings, what_changed
from cgcore.mail.steps import Leg, Stage
from cgcore.mail.support import SUPPORT_LANGUAGES, support_message
from cgcore.runs import Cell, Run, Status, Step, Verdict
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.runs import Job
from tests.servers.pages import open_page, sign_in
from tests.servers.scripted import SMTP_CASES, smtp_server

PASSWORD = "s3creta-de-ana"
PASSES = replace(SMTP_CASES["friendly"], users={"ana@tosma.example": PASSWORD})
FAILS = replace(PASSES, replies={"rcpt_to": b"550 5.7.1 Rejected by policy <b>*42*</b>"})


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """A user without an account."""
    return sign_in(workbench, "ana")


def draft(port: int, **changes: object) -> MailAccountDraft:
    smtp = ServerDraft("127.0.0.1", port, Security.NONE)
    values: dict[str, object] = {"user": "ana@tosma.example", "password": Secret(PASSWORD), "smtp": smtp}
    return MailAccountDraft(**{**values, **changes})  # pyright: ignore[reportArgumentType]


def run_of(workbench: Workbench, ana: Actor, account: MailAccountDraft) -> Run:
    *_, ended = workbench.runs.follow(ana, workbench.mail_runs.start_probe(ana, Leg.SMTP, account))
    return ended


@pytest.fixture
def history(workbench: Workbench, ana: Actor) -> list[Run]:
    """Six that pass on one port, then one that fails on another."""
    with smtp_server(PASSES) as good, smtp_server(FAILS) as bad:
        runs = [run_of(workbench, ana, draft(good.port)) for _ in range(6)]
        runs.append(run_of(workbench, ana, draft(bad.port)))
        workbench.mail_account.save(ana, draft(bad.port), version=0)
    assert [run.failed for run in runs] == [False] * 6 + [True]
    return runs


def open_panel(app: AppTest, name: str) -> AppTest:
    app.session_state[f"mail_account_smtp_{name}"] = True
    app.run()
    assert not app.exception
    return app


def test_the_last_five_are_told_with_what_changed(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, history: list[Run]
) -> None:
    """Moment, verdict and time of each; between the last that passed and this one the port is another."""
    app = open_page(monkeypatch, workbench, ana, "mail_account.py")
    before = "\n".join(each.value for each in app.markdown)
    open_panel(app, "history")
    shown = [each.value.replace("\\", "") for each in app.markdown]

    (listed,) = [value for value in shown if value.count("Correcto") == 4 and "error" in value]
    assert len(listed.splitlines()) == 5
    ports = [run.result["settings"]["port"] for run in history[-2:] if run.result]
    assert any(f"Puerto: {ports[0]} → {ports[1]}" in value for value in shown)
    assert "Puerto:" not in before


def test_another_password_and_another_address_are_told_without_their_secret(history: list[Run]) -> None:
    """Equal settings under another fingerprint; what the steps tell besides."""
    passed, failed = history[0], history[-1]
    same = replace(passed, fingerprint="another")
    moved = replace(failed, result=passed.result, fingerprint=passed.fingerprint)
    tcp = next(step for step in moved.steps if step.stage == "tcp")
    moved = replace(moved, steps=(replace(tcp, details={**tcp.details, "address": "192.0.2.9"}),))
    old = replace(passed, result=None)

    assert what_changed(passed, same) == [Difference("password")]
    assert what_changed(passed, moved) == [Difference("address", "127.0.0.1", "192.0.2.9")]
    assert what_changed(passed, history[1]) == []
    assert all(each.code not in ("password", "port") for each in what_changed(old, failed))


def test_what_two_set_ups_have_not_found_alike_is_told(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The server that was found before and is not any more, with the moment and the verdict of both runs."""
    server = {"host": "mail.tosma.example", "port": 465, "security": "ssl", "source": "srv"}
    found = {"user": "ana@tosma.example", "smtp": server, "imap": None, "folder": "", "questions": []}
    for result, key in ((found, "ok"), ({**found, "smtp": None}, "nothing_proven")):
        status = Status.OK if key == "ok" else Status.ERROR
        job = Job(
            lambda status=status: iter((Step("smtp", "auth", status),)),
            lambda _steps, ms, key=key: Verdict(key, "auth", ms),
            lambda _steps, _verdict, _session, result=result: result,
        )
        list(workbench.runs.follow(ana, workbench.runs.start(ana, Cell.SETUP, "mark", job)))
    app = open_page(monkeypatch, workbench, ana, "mail_account.py")
    app.session_state["mail_account_setup_history"] = True
    app.run()

    assert not app.exception
    shown = [each.value.replace("\\", "") for each in app.markdown]
    assert [value for value in shown if "encontrado" in value] == [
        "- Servidor saliente encontrado: mail.tosma.example:465 → —"
    ]


@pytest.mark.parametrize("language", SUPPORT_LANGUAGES)
def test_the_message_for_the_provider_holds_all_but_the_secret(history: list[Run], language: str) -> None:
    """What was tried, when, the server's own words, the record; each language whole, no brace left."""
    failed = history[-1]
    assert failed.result is not None
    message = support_message(
        failed, ServerDraft("mail.hoster.example", 587, Security.STARTTLS), "ana@t.example", language
    )

    for told in (
        "mail.hoster.example",
        "587",
        "STARTTLS",
        "ana@t.example",
        "550 5.7.1 Rejected by policy",
        "UTC",
        "smtp ehlo",
    ):
        assert told in message
    assert failed.started.strftime("%Y-%m-%d %H:%M:%S") in message
    assert PASSWORD not in message
    assert "{" not in message.partition("smtp dns")[0]
    assert ("Hello" in message) is (language == "en")


def test_the_address_that_the_server_sees_is_told_where_it_says_so(history: list[Run]) -> None:
    """The answer to EHLO names it with many servers; with others the line is left out."""
    failed = history[-1]
    ehlo = next(step for step in failed.steps if step.stage == "ehlo")
    rest = tuple(step for step in failed.steps if step.stage != "ehlo")
    said = replace(failed, steps=(replace(ehlo, reply="250-mx.example Hello pc [203.0.113.7]\n250 SIZE"), *rest))
    silent = replace(failed, steps=(replace(ehlo, reply=""), *rest))

    assert "203.0.113.7" in support_message(said, ServerDraft("h", 587, Security.SSL), "a", "es")
    assert "Desde la dirección" not in support_message(silent, ServerDraft("h", 587, Security.SSL), "a", "es")


def test_the_panel_offers_the_message_in_two_languages(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, history: list[Run]
) -> None:
    """Under a failed test, to copy and to download; under one that passed there is none."""
    app = open_panel(open_page(monkeypatch, workbench, ana, "mail_account.py"), "support")
    spanish = [each.value for each in app.code if "Asunto:" in each.value]
    app.button_group(key="mail_account_smtp_support_language").set_value("en").run()
    english = [each.value for each in app.code if "Subject:" in each.value]

    assert not app.exception
    assert len(spanish) == len(english) == 1
    assert PASSWORD not in spanish[0] + english[0]
    assert workbench.mail_runs.list_last(ana, Cell.SMTP, 5)[0].id == history[-1].id


@pytest.mark.parametrize(
    ("was", "now", "host", "warned"),
    [
        (Security.STARTTLS, Security.NONE, "smtp.tosma.example", True),
        (Security.SSL_PINNED, Security.NONE, "smtp.tosma.example", True),
        (Security.SSL, Security.SSL_PINNED, "SMTP.tosma.example", True),
        (Security.SSL_PINNED, Security.SSL_PINNED, "smtp.tosma.example", False),
        (Security.SSL, Security.STARTTLS, "smtp.tosma.example", False),
        (Security.NONE, Security.NONE, "smtp.tosma.example", False),
        (Security.SSL, Security.NONE, "otro.tosma.example", False),
    ],
)
def test_a_server_that_once_proved_more_is_not_taken_for_less_silently(
    workbench: Workbench, ana: Actor, was: Security, now: Security, host: str, warned: bool
) -> None:
    """Encryption where none is asked for now, a valid certificate where one is taken by its fingerprint."""
    before = MailAccountDraft(imap=ServerDraft("smtp.tosma.example", 993, was))
    keep_run(workbench, ana, Cell.IMAP, before, encrypted=was is not Security.NONE)

    found = workbench.mail_runs.find_stronger(ana, Leg.IMAP, MailAccountDraft(imap=ServerDraft(host, 993, now)))

    assert (found is not None) is warned


def keep_run(workbench: Workbench, ana: Actor, cell: Cell, account: MailAccountDraft, *, encrypted: bool) -> None:
    leg = Leg(cell.value)
    steps = [Step(leg, Stage.TCP, Status.OK), *([Step(leg, Stage.TLS, Status.OK)] if encrypted else [])]
    job = Job(
        lambda: iter(steps),
        lambda _steps, ms: Verdict("ok", "", ms),
        lambda *_: {"settings": kept_settings(account, leg)},
    )
    list(workbench.runs.follow(ana, workbench.runs.start(ana, cell, "x", job)))


def test_the_page_says_that_the_server_has_encrypted_before(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Beside «Ninguna», with the host; another host is not accused."""
    smtp = ServerDraft("smtp.tosma.example", 587, Security.STARTTLS)
    keep_run(workbench, ana, Cell.SMTP, MailAccountDraft(smtp=smtp), encrypted=True)
    plain = replace(smtp, security=Security.NONE)
    workbench.mail_account.save(ana, MailAccountDraft("ana@tosma.example", smtp=plain), version=0)

    app = open_page(monkeypatch, workbench, ana, "mail_account.py")
    told = [each.value.replace("\\", "") for each in app.markdown if "gpp_maybe" in each.value]
    app.text_input(key="mail_account_smtp_host").set_value("otro.tosma.example").run()

    assert not app.exception
    assert len(told) == 1
    assert "smtp.tosma.example ya cifró contigo" in told[0]
    assert not any("gpp_maybe" in each.value for each in app.markdown)
