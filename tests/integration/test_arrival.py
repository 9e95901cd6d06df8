"""The test mail to oneself is looked for where it comes in, and what the receiving server says of it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.arrival import arrival_status, arrival_text, read_results
from cgcore.mail.connection import Connection, Timeouts
from cgcore.mail.imap import inbox as inbox_module
from cgcore.mail.imap.inbox import look_for_mail
from cgcore.mail.imap.session import ImapSession
from cgcore.runs import Cell, Run, Status, Step
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS, Dovecot, Layout
from tests.servers.fixtures import DovecotFactory
from tests.servers.house import add_user
from tests.servers.pages import open_page, sign_in, words
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA, imap_request, loopback_environment
from tests.servers.scripted import SmtpScript, smtp_server

_JUNK = "Correo no deseado"
_MARK = "<prueba-1@example.com>"
_RECEIVED = "Received: from a.example by mx.example.com (Postfix) with ESMTPS; Mon, 30 Nov 2026 10:00:00 +0100\n"
_ALL_PASS = "spf=pass smtp.mailfrom=ana@example.com; dkim=pass header.d=example.com; dmarc=pass (p=none)"


@pytest.fixture
def mailbox(certificates: Certificates, dovecot_with: DovecotFactory) -> Dovecot:
    """An empty mailbox with a folder for unwanted mail."""
    server = dovecot_with(certificates.trusted, Layout(junk=_JUNK))
    server.empty(ANA, "INBOX", _JUNK)
    return server


def _mail(results: str = "") -> bytes:
    head = f"Authentication-Results: mx.example.com; {results}\n" if results else ""
    return f"{head}{_RECEIVED}From: ana@example.com\nMessage-ID: {_MARK}\nSubject: Prueba\n\nHola\n".encode()


def _look(mailbox: Dovecot, patience: Sequence[float] = ()) -> Step:
    request = imap_request(mailbox.port, Security.NONE, host="127.0.0.1")
    with Connection(request, loopback_environment(), Timeouts()) as connection:
        session = ImapSession(connection)
        list(session.connect())
        list(session.sign_in())
        step = look_for_mail(session, _MARK, patience=patience)
        list(session.close())
    return step


def _draft(smtp: int, imap: int, folder: str = "") -> MailAccountDraft:
    return MailAccountDraft(
        user=ANA,
        password=Secret(USERS[ANA]),
        smtp=ServerDraft("127.0.0.1", smtp, Security.NONE),
        imap=ServerDraft("127.0.0.1", imap, Security.NONE),
        sent_folder=folder,
    )


def _send(workbench: Workbench, actor: Actor, draft: MailAccountDraft, recipient: str = ANA) -> Run:
    run = workbench.mail_runs.start_test_mail(actor, draft, recipient)
    return [run, *workbench.runs.follow(actor, run)][-1]


def test_a_test_mail_through_real_servers_is_seen_to_arrive(
    workbench: Workbench, dovecot: Dovecot, postfix: Postfix
) -> None:
    """As a step of the run, behind the copy; a server that checks nothing says nothing, and that is told."""
    ana = replace(add_user(workbench, "ana"), mail=ANA)
    run = _send(workbench, ana, _draft(postfix.port, dovecot.port, "Sent"))
    assert run.result is not None
    arrival = run.result["arrival"]
    shown = arrival_text(arrival)

    assert [step.stage for step in run.steps if step.leg == "imap"][-3:] == ["append", "arrival", "logout"]
    assert (run.failed, run.result["copy"], arrival["code"], arrival["folder"]) == (False, "stored", "inbox", "INBOX")
    assert shown == (
        f"Ha llegado en {arrival['seconds']} s; el servidor que lo recibe no dice nada de SPF, DKIM y DMARC."
    )


def test_a_mail_to_somebody_else_is_not_looked_for(workbench: Workbench, mailbox: Dovecot) -> None:
    """Nobody signs in to the mailbox for it."""
    ana = replace(add_user(workbench, "ana"), mail=ANA)
    with smtp_server(SmtpScript()) as server:
        run = _send(workbench, ana, _draft(server.port, mailbox.port), "eva@cliente.example")

    assert run.result is not None
    assert "arrival" not in run.result
    assert (run.result["copy"], {step.leg for step in run.steps}) == ("none", {"smtp"})


def test_what_has_not_arrived_is_looked_for_again(
    workbench: Workbench, mailbox: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """«No ha llegado todavía», with a button; once it is there the cell says so, without another mail."""
    monkeypatch.setattr(inbox_module, "_PATIENCE", ())
    ana = sign_in(workbench, "ana")
    with smtp_server(SmtpScript()) as server:
        draft = _draft(server.port, mailbox.port)
        workbench.mail_account.save(ana, draft, version=0)
        run = _send(workbench, ana, draft)
        app = open_page(monkeypatch, workbench, ana, "mail_account.py")
        before = words(app)
        mailbox.put(ANA, server.messages[0])
        app.button(key="mail_account_test_run_look").click().run()
        after, mails = words(app), len(server.messages)

    assert run.result is not None
    assert (run.result["arrival"], run.failed) == ({"code": "missing"}, False)
    assert not app.exception
    assert "No ha llegado todavía" in before
    assert "Ha llegado; el servidor que lo recibe" not in before
    assert "Ha llegado; el servidor que lo recibe" in after
    assert mails == 1


def test_it_may_come_in_as_unwanted_mail(mailbox: Dovecot) -> None:
    """Which is a warning; the mail stays where it is, unread."""
    mailbox.put(ANA, _mail(_ALL_PASS), _JUNK)
    step = _look(mailbox)

    assert (step.status, step.key, step.details["code"], step.details["folder"]) == (Status.WARNING, "", "junk", _JUNK)
    assert arrival_text(step.details).startswith("Ha llegado a «Correo no deseado», donde va el correo no deseado; SPF")
    assert [flags - {"\\Recent"} for flags in mailbox.flags(ANA, _JUNK)] == [set()]


def test_what_the_receiving_server_says_is_read_with_the_mail(mailbox: Dovecot) -> None:
    """Its three results."""
    mailbox.put(ANA, _mail(_ALL_PASS))
    step = _look(mailbox)

    assert step.status is Status.OK
    assert {name: step.details[name] for name in _PASSED} == _PASSED


_OWN, _FOREIGN = "Authentication-Results: mx.example.com; ", "Authentication-Results: evil.example; "
_PASSED = dict.fromkeys(("spf", "dkim", "dmarc"), "pass")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"{_OWN}{_ALL_PASS}\n{_RECEIVED}", _PASSED),
        (f"Authentication-Results: mx.example.com 1; {_ALL_PASS}\n", _PASSED),
        (f"{_RECEIVED}{_OWN}\n\tspf=softfail (a (nested; dkim=pass) one)\n", {"spf": "softfail"}),
        (f"{_OWN}none\n", {}),
        (f"{_OWN}dkim=fail header.d=a.example; dkim=pass header.d=b.example\n", {"dkim": "pass"}),
        (f'{_OWN}spf=fail reason="dmarc=pass; dkim=pass"\n', {"spf": "fail"}),
        (f"{_OWN}spf=pass\n{_OWN}dkim=none\n", {"spf": "pass", "dkim": "none"}),
        (f"{_OWN}spf=fail\n{_FOREIGN}dkim=pass\n", {"spf": "fail"}),
        (f"{_FOREIGN}{_ALL_PASS}\n{_RECEIVED}", {}),
        (f"{_FOREIGN}{_ALL_PASS}\n{_OWN}{_ALL_PASS}\n", {}),
    ],
)
def test_only_the_word_of_the_receiving_server_counts(header: str, found: dict[str, str]) -> None:
    """The topmost lines, and those of its name; what a comment, a quotation or another server says is no result."""
    assert read_results(f"{header}From: ana@example.com\n\n".encode(), "imap.example.com", "example.com") == found


@pytest.mark.parametrize(
    ("details", "text", "status"),
    [
        ({"code": "inbox", "seconds": 4, **_PASSED}, "Ha llegado en 4 s; SPF, DKIM y DMARC correctos.", Status.OK),
        ({"code": "inbox", "spf": "pass"}, "Ha llegado; SPF correcto.", Status.OK),
        (
            {"code": "inbox", "spf": "softfail", "dkim": "none", "dmarc": "fail"},
            "Ha llegado; SPF y DMARC fallan y sin DKIM.",
            Status.WARNING,
        ),
        ({"code": "missing"}, "No ha llegado todavía.", Status.WARNING),
    ],
)
def test_it_is_told_in_one_sentence(details: dict[str, object], text: str, status: Status) -> None:
    """Where, after how long, and how good."""
    assert (arrival_text(details), arrival_status(details)) == (text, status)


def test_the_last_test_mails_are_told_with_what_changed(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the other cells: between one that passed and one that fails, the recipient is another."""
    ana = sign_in(workbench, "ana")
    refusing = SmtpScript(refused={"eva@cliente.example": b"550 5.1.1 No such user"})
    with smtp_server(refusing) as server:
        draft = replace(_draft(server.port, 0), imap=ServerDraft("", "", Security.SSL))
        workbench.mail_account.save(ana, draft, version=0)
        _send(workbench, ana, draft)
        failed = _send(workbench, ana, draft, "eva@cliente.example")
        app = open_page(monkeypatch, workbench, ana, "mail_account.py")
        app.session_state["mail_account_test_mail_history"] = True
        app.run()
    shown = words(app).replace("\\", "").replace("\u2060", "")

    assert failed.failed
    assert workbench.mail_runs.list_last(ana, Cell.TEST_MAIL, 5)[0].id == failed.id
    assert not app.exception
    assert f"Destinatario: {ANA} → eva@cliente.example" in shown
