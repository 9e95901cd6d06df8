"""«Bandeja de pruebas» as its callers see it: the account to fill in, the targets of probes, the messages."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from cgcore.errors import NotAllowed, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft, check_account
from cgcore.mail.steps import Leg
from cgcore.storage.database import open_database
from cgcore.workbench import Workbench
from tests.conftest import make_settings

ROOT = Path(__file__).parents[2]
MARTA = Actor(user_id=1, username="marta", mail="marta@tosma.example")
LUIS = Actor(user_id=2, username="luis", mail="luis@tosma.example")


def _send(workbench: Workbench, draft: MailAccountDraft, message: EmailMessage) -> None:
    target = workbench.sandbox.probe_targets()[0]
    with smtplib.SMTP(draft.smtp.host, int(draft.smtp.port), timeout=10) as client:
        client.starttls(context=ssl.create_default_context(cafile=target.ca_file))
        assert draft.password is not None
        client.login(draft.user, draft.password.reveal())
        client.send_message(message)


def _message(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "marta@tosma.example", "cliente@example.test", subject
    message.set_content("texto")
    message.add_alternative("<p>html</p>", subtype="html")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Factura 7.pdf")
    return message


@pytest.fixture
def switched_off(tmp_path: Path) -> Iterator[Workbench]:
    """A workbench in production, where the test mailbox is off by default."""
    settings = make_settings(tmp_path, production=True)
    workbench = Workbench(settings, open_database(settings.resolved_database_url()))
    yield workbench
    workbench.close()


def test_the_filled_in_account_has_no_problem_and_is_recognised(workbench: Workbench) -> None:
    """Every field is filled, passes the checks, and the account is known as the test mailbox's."""
    draft = workbench.sandbox.use_for(MARTA)
    elsewhere = MailAccountDraft(user="x", smtp=ServerDraft("smtp.example.com", 587, Security.STARTTLS))

    assert check_account(draft) == ()
    assert (draft.user, draft.sent_folder) == ("marta@tosma.example", "Enviados")
    assert (draft.smtp.security, draft.imap.security) == (Security.STARTTLS, Security.SSL)
    assert workbench.sandbox.is_in_use(draft) is True
    assert workbench.sandbox.is_in_use(elsewhere) is False
    assert workbench.sandbox.is_in_use(MailAccountDraft()) is False


def test_probes_may_reach_exactly_its_servers(workbench: Workbench) -> None:
    """Before anybody uses it there is no target and nothing runs; then the four ports, with their authority."""
    before = workbench.sandbox.probe_targets()
    draft = workbench.sandbox.use_for(MARTA)
    targets = workbench.sandbox.probe_targets()

    assert before == ()
    assert len({target.port for target in targets}) == 4
    assert {target.host for target in targets} == {draft.smtp.host}
    assert {draft.smtp.port_number(Leg.SMTP), draft.imap.port_number(Leg.IMAP)} <= {target.port for target in targets}
    assert all("BEGIN CERTIFICATE" in Path(target.ca_file).read_text() for target in targets)


def test_the_command_line_reaches_it_beside_the_product(workbench: Workbench, tmp_path: Path) -> None:
    """A probe in another process, without any private network allowed, is proven; its neighbour port is refused."""
    draft = workbench.sandbox.use_for(MARTA)
    assert draft.password is not None
    password = draft.password.reveal()
    own = {"CG_DATA_DIR": str(tmp_path / "data"), "CG_CONFIG_DIR": str(tmp_path / "config")}

    def probe(port: int) -> tuple[int, str]:
        command = [sys.executable, "-m", "cgcore", "probe", "smtp", "--host", draft.smtp.host, "--port", str(port)]
        command += ["--security", "starttls", "--user", draft.user, "--password-stdin", "--json"]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **own}, input=password, capture_output=True, text=True
        )
        return done.returncode, json.loads(done.stdout.splitlines()[-1])["verdict"]

    assert probe(int(draft.smtp.port)) == (0, "ok")
    assert probe(1) == (1, "forbidden_target")


def test_a_user_sees_only_their_own_messages(workbench: Workbench) -> None:
    """What one sent, the other neither lists, reads nor clears."""
    draft = workbench.sandbox.use_for(MARTA)
    _send(workbench, draft, _message("para Marta"))
    summary = workbench.sandbox.list_messages(MARTA)[0]

    assert (summary.sender, summary.subject) == ("marta@tosma.example", "para Marta")
    assert workbench.sandbox.list_messages(LUIS) == []
    with pytest.raises(NotFound):
        workbench.sandbox.get_message(LUIS, summary.id)
    assert workbench.sandbox.clear(LUIS) == 0
    assert len(workbench.sandbox.list_messages(MARTA)) == 1


def test_a_message_is_read_with_its_parts(workbench: Workbench) -> None:
    """Text, HTML, attachment, recipients of header and envelope, and the original bytes."""
    _send(workbench, workbench.sandbox.use_for(MARTA), _message("Factura"))
    message = workbench.sandbox.get_message(MARTA, workbench.sandbox.list_messages(MARTA)[0].id)

    assert (message.text.strip(), message.html.strip()) == ("texto", "<p>html</p>")
    assert [(a.name, a.data) for a in message.attachments] == [("Factura 7.pdf", b"%PDF-1.7")]
    assert (message.recipients, message.delivered_to) == ("cliente@example.test", ("cliente@example.test",))
    assert b"Subject: Factura\r\n" in message.raw


def test_clearing_leaves_nothing(workbench: Workbench) -> None:
    """Clearing says how many there were; then the list is empty and the message not found."""
    draft = workbench.sandbox.use_for(MARTA)
    _send(workbench, draft, _message("uno"))
    _send(workbench, draft, _message("dos"))
    last = workbench.sandbox.list_messages(MARTA)[0].id

    assert workbench.sandbox.clear(MARTA) == 2
    assert workbench.sandbox.list_messages(MARTA) == []
    with pytest.raises(NotFound):
        workbench.sandbox.get_message(MARTA, last)


def test_switched_off_it_does_nothing(switched_off: Workbench) -> None:
    """In production it is off: every use case refuses, no probe target opens, nothing listens."""
    section = switched_off.sandbox

    assert section.is_available() is False
    assert section.probe_targets() == ()
    assert section.is_in_use(MailAccountDraft()) is False
    for use in (section.use_for, section.list_messages, section.clear):
        with pytest.raises(NotAllowed):
            use(MARTA)
