"""The outbox under cuts and kills: what the server has stored is counted, and compared with what we say of it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.smtp.client import SmtpClient
from cgcore.outbox.message import MessageFilters
from cgcore.outbox.states import State
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.house import add_series, add_user
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.scripted import ScriptedServer, SmtpScript
from tests.servers.wire import Wire

ROOT = Path(__file__).parents[2]
_MASTER_KEY = "Y2xhdmUgZGUgcHJ1ZWJhcyBkZSB0cmVpbnRhIHkgZG8="
_DOCUMENT = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", ("comillas@example.com",), subject="Va {numero}", body="<p>Hola</p>",
    signature="",
)  # fmt: skip


def _furnish(
    workbench: Workbench, smtp: ServerDraft, user: str, password: str, imap: ServerDraft | None = None
) -> Actor:
    admin = add_user(workbench, "admin", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    ana = replace(add_user(workbench, "ana"), mail="ana@example.com")
    draft = MailAccountDraft(user, Secret(password), smtp, imap or ServerDraft("", ""), False, "Sent" if imap else "")
    workbench.mail_account.save(ana, draft, version=0)
    return ana


def _make_due(workbench: Workbench) -> None:
    with workbench.database.session() as session:
        session.exec(update(OutboundMessageRow).values(due=OutboundMessageRow.created))


def test_a_real_postfix_stores_each_message_once_whatever_was_cut(
    workbench_on_each: Workbench, dovecot: Dovecot, postfix: Postfix,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Cut before, inside and behind the dot: all are there exactly once, the unsure ones among them."""
    cuts, send_dot = itertools.cycle([b"", b".", b".\r", b".\r\n", None]), SmtpClient.send_dot

    def cut(client: Any) -> None:
        sent = next(cuts)
        if sent is None:
            send_dot(client)
            return
        client._channel.sendall(sent)
        client._channel._socket.shutdown(socket.SHUT_RDWR)
        if sent != b".\r\n":
            raise ConnectionResetError

    workbench = workbench_on_each
    smtp = ServerDraft("localhost", postfix.port, Security.NONE)
    ana = _furnish(workbench, smtp, ANA, USERS[ANA])
    ids = [workbench.outbox.send(ana, replace(_DOCUMENT, number=str(n)), str(n))[0].message_id for n in range(10)]
    monkeypatch.setattr(SmtpClient, "send_dot", cut)
    for _ in range(12):
        workbench.outbox.worker.work_once()
        _make_due(workbench)
    listed = {each.message_id: each.state for each in workbench.outbox.list(ana, MessageFilters()).messages}
    for mark in ids:
        dovecot.wait_for_message("comillas@example.com", mark.encode())
    arrived = Counter(message_from_bytes(raw)["Message-ID"] for raw in dovecot.raw_messages("comillas@example.com"))

    assert set(listed) == set(ids)
    assert set(listed.values()) == {State.SENT, State.UNKNOWN}
    assert [arrived[mark] for mark in ids] == [1] * 10


def test_a_real_dovecot_keeps_one_copy_of_the_very_bytes(
    workbench: Workbench, dovecot: Dovecot, postfix: Postfix
) -> None:
    """Filed by our own hand, found again by its Message-ID: a second try files nothing."""
    smtp = ServerDraft("localhost", postfix.port, Security.NONE)
    imap = ServerDraft("127.0.0.1", dovecot.port, Security.NONE)
    ana = _furnish(workbench, smtp, ANA, USERS[ANA], imap)
    message, _ = workbench.outbox.send(ana, _DOCUMENT, "copia")
    workbench.outbox.worker.work_once()
    with workbench.database.session() as session:
        session.exec(update(OutboundMessageRow).values(copy_state="pending", copy_due=OutboundMessageRow.created))
    workbench.outbox.worker.work_once()
    told = workbench.outbox.get(ana, message.id)
    stored = b"".join(workbench.outbox.read(ana, message.id))

    assert (told.state, told.copy_state) == (State.SENT, "stored")
    copies = [raw for raw in dovecot.raw_messages(ANA, "Sent") if message.message_id.encode() in raw]
    assert [raw.replace(b"\r\n", b"\n") for raw in copies] == [stored.replace(b"\r\n", b"\n")]


class _Stopping:
    """A server that says where it is, and waits there: at DATA, or behind the dot."""

    def __init__(self, at: bytes) -> None:
        self.at, self.reached, self.played = at, threading.Event(), SmtpScript()

    def __call__(self, wire: Wire) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if not self.reached.is_set() and self.at in data:
                self.reached.set()
                wire.hold()
            say(data)

        wire.send = send
        self.played(wire)


@contextmanager
def _worker(settings: Settings, database: Database) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CG_")}
    environment |= {
        "CG_DATA_DIR": str(settings.data_dir),
        "CG_CONFIG_DIR": str(settings.config_dir),
        "CG_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "CG_MAIL_ALLOW_PRIVATE": "127.0.0.0/8",
        "CG_SANDBOX": "off",
        "CG_MASTER_KEY": _MASTER_KEY,
        "CG_LOG": "json",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    command = [sys.executable, "-m", "cgcore", "worker"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("at", "first", "last", "accepted"),
    [(b"354 ", State.QUEUED, State.SENT, 1), (b"250 2.0.0 Ok: queued", State.UNKNOWN, State.UNKNOWN, 1)],
)
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(
    tmp_path: Path, database: Database, at: bytes, first: State, last: State, accepted: int
) -> None:
    """Killed before the dot the message goes with the next worker; behind it nobody sends it again by himself."""
    from tests.conftest import make_settings

    settings = make_settings(tmp_path, sandbox="off", master_key=_MASTER_KEY)
    workbench = Workbench(settings, database)
    script = _Stopping(at)
    with ScriptedServer(script) as server:
        smtp = ServerDraft("127.0.0.1", server.port, Security.NONE)
        ana = _furnish(workbench, smtp, "ana@example.com", "correcto-Caballo.9")
        message, _ = workbench.outbox.send(ana, replace(_DOCUMENT, to=("eva@example.com",)), "k")
        with _worker(settings, database) as process:
            assert script.reached.wait(60)
            assert process.stdout is not None
            working = workbench.outbox.get(ana, message.id).state
            process.send_signal(signal.SIGKILL)
            process.wait(20)
            # As the server's: every line is an event, its own first words too.
            events = [json.loads(line) for line in process.stdout]
        workbench.outbox.worker._queue.expire(has_ended=lambda _owner: True)
        between = workbench.outbox.get(ana, message.id).state
        workbench.outbox.worker.work_once()
        ended = workbench.outbox.get(ana, message.id)
        workbench.close()

    assert events
    assert all({"time", "level", "logger", "message"} <= event.keys() for event in events)
    assert working is (State.CLAIMED if first is State.QUEUED else State.IN_FLIGHT)
    assert (between, ended.state) == (first, last)
    assert len(server.messages) == accepted
