"""What sending costs the database: commits for each message, and bytes for each change of a state."""

from __future__ import annotations

import os
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.message import Attachment
from cgcore.outbox.states import State
from cgcore.storage.activity import ActivityLog
from cgcore.storage.database import Database
from cgcore.storage.outbox_queue import OutboxQueue
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.house import add_series, add_user
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.scripted import SmtpScript, smtp_server

_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", ("eva@example.com",), subject="Va {numero}", body="<p>Hola</p>", signature=""
)


def _furnish(workbench: Workbench, port: int) -> Actor:
    admin = add_user(workbench, "admin", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    ana = replace(add_user(workbench, "ana"), mail="ana@example.com")
    draft = MailAccountDraft(
        "ana@example.com", Secret("correcto-Caballo.9"), ServerDraft("127.0.0.1", port, Security.NONE)
    )
    workbench.mail_account.save(ana, draft, version=0)
    return ana


@contextmanager
def _commits(database: Database) -> Iterator[list[Connection]]:
    """Count the transactions that were allowed to write."""
    found: list[Connection] = []

    def note(connection: Connection) -> None:
        if "cg_writes" in connection.get_execution_options():
            found.append(connection)

    event.listen(database.engine, "commit", note)
    yield found
    event.remove(database.engine, "commit", note)


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        found.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield found
    event.remove(database.engine, "before_cursor_execute", note)


def test_a_message_costs_one_commit(workbench_on_each: Workbench) -> None:
    """The result of one, the mark of the next and what is taken besides are one transaction; nothing is left out.

    Its bytes are read by one question.
    """
    workbench, count = workbench_on_each, 100
    with smtp_server(SmtpScript()) as server:
        ana = _furnish(workbench, server.port)
        for number in range(count):
            workbench.outbox.send(ana, replace(_REQUEST, number=str(number)), str(number))
        with _commits(workbench.database) as commits, _statements(workbench.database) as statements:
            workbench.outbox.worker.work_once()
    overview = workbench.outbox.overview_of(ana)

    assert dict(overview.counts) == {State.SENT: count}
    assert len(server.messages) == len(set(server.messages)) == count
    assert count <= len(commits) <= 1.1 * count
    assert len(statements) <= 15 * count
    read = sum("FROM outbound_chunk" in statement for statement in statements)
    assert count <= read <= count + count // 50, "what was read ahead of a new connection is read once more"
    told = workbench.activity.list(ana, limit=200)["items"]
    assert sum(entry.action == "document_sent" for entry in told) == count


def test_a_line_that_cannot_be_written_keeps_no_result_from_being_stored(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written beside it is gone too: a savepoint holds both."""
    workbench, write = workbench_on_each, ActivityLog.write

    def fail(log: ActivityLog, *given: Any) -> None:
        write(log, *given)
        given[0].connection().execute(text("SELECT * FROM nothing_of_that_name"))

    with smtp_server(SmtpScript()) as server:
        ana = _furnish(workbench, server.port)
        for number in range(2):
            workbench.outbox.send(ana, replace(_REQUEST, number=str(number)), str(number))
        monkeypatch.setattr(ActivityLog, "write", fail)
        workbench.outbox.worker.work_once()

    assert dict(workbench.outbox.overview_of(ana).counts) == {State.SENT: 2}
    assert "document_sent" not in {entry.action for entry in workbench.activity.list(ana)["items"]}


def test_a_database_that_fails_beside_a_result_loses_no_result(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends, or the disk, while the line is written: what was accepted is stored as a whole later."""
    workbench, write, failed = workbench_on_each, ActivityLog.write, list[str]()

    def fail_once(log: ActivityLog, *given: Any) -> None:
        if not failed:
            failed.append("once")
            if workbench.database.is_sqlite:
                cause = sqlite3.OperationalError("disk I/O error")
                cause.sqlite_errorname = "SQLITE_IOERR"
                raise OperationalError("", {}, cause)
            given[0].connection().execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        write(log, *given)

    with smtp_server(SmtpScript()) as server:
        ana = _furnish(workbench, server.port)
        for number in range(2):
            workbench.outbox.send(ana, replace(_REQUEST, number=str(number)), str(number))
        monkeypatch.setattr(ActivityLog, "write", fail_once)
        for _ in range(2):
            workbench.outbox.worker.work_once()

    assert failed
    # The other one rests for a moment: nothing was said of it yet.
    assert dict(workbench.outbox.overview_of(ana).counts) == {State.SENT: 1, State.QUEUED: 1}
    assert len(server.messages) == 1


def _written(database: Database) -> int:
    """Return how many bytes the journal of the database holds."""
    with database.engine.connect() as connection:
        if database.is_sqlite:
            assert database.path is not None
            return database.path.with_name(f"{database.path.name}-wal").stat().st_size
        return int(connection.execute(text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")).scalar_one())


@contextmanager
def _from_nothing(database: Database) -> Iterator[None]:
    """Empty the journal of SQLite; have PostgreSQL not write a whole page for its first change after a checkpoint."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if database.is_sqlite:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            yield
            return
        for statement in ("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"):
            connection.execute(text(statement))
        yield
        for statement in ("ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()"):
            connection.execute(text(statement))


def test_a_change_of_state_writes_little_however_large_the_message_is(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked and finished, each with all that belongs to it, beside a message of 8 MB."""
    workbench, written = workbench_on_each, list[int]()
    large = Attachment("plano.pdf", "application/pdf", b"%PDF-1.7\n" + bytes(range(256)) * 24_000)

    def measured(name: str) -> None:
        change = getattr(OutboxQueue, name)

        def run(*given: object, **more: object) -> object:
            before = _written(workbench.database)
            result = change(*given, **more)
            written.append(_written(workbench.database) - before)
            return result

        monkeypatch.setattr(OutboxQueue, name, run)

    with smtp_server(SmtpScript()) as server:
        ana = _furnish(workbench, server.port)
        for number in range(3):
            workbench.outbox.send(ana, replace(_REQUEST, number=str(number), attachments=(large,)), str(number))
        with _from_nothing(workbench.database):
            for name in ("claim_messages", "mark_in_flight", "turn"):
                measured(name)
            workbench.outbox.worker.work_once()

    assert len(server.messages) == 3
    assert len(written) >= 7
    assert 0 < max(written) < 64 * 1024, written


def test_a_large_file_is_in_memory_once_from_the_request_to_the_copy(
    workbench_on_each: Workbench, dovecot: Dovecot
) -> None:
    """25 MB: handing in, sending and filing need less than half of it besides; a real Postfix and Dovecot get all."""
    workbench, peaks = workbench_on_each, dict[str, float]()
    large = Attachment("plano.pdf", "application/pdf", b"%PDF-1.7\n" + os.urandom(25_000_000))

    @contextmanager
    def measured(name: str) -> Iterator[None]:
        tracemalloc.start()
        yield
        peaks[name] = tracemalloc.get_traced_memory()[1] / len(large.data)
        tracemalloc.stop()

    with Postfix(dovecot, size_limit=64_000_000) as postfix:
        ana = _furnish(workbench, postfix.port)
        smtp, imap = (ServerDraft("127.0.0.1", port, Security.NONE) for port in (postfix.port, dovecot.port))
        draft = MailAccountDraft(ANA, Secret(USERS[ANA]), smtp, imap, sent_folder="Sent")
        workbench.mail_account.save(ana, draft, version=workbench.mail_account.get(ana).version)
        with measured("handing in"):
            request = replace(_REQUEST, to=("comillas@example.com",), attachments=(large,))
            message, _ = workbench.outbox.send(ana, request, "k")
        with measured("sending and filing"):
            workbench.outbox.worker.work_once()
        told = workbench.outbox.get(ana, message.id)

    assert (told.state, told.copy_state) == (State.SENT, "stored")
    assert told.size > 34_000_000
    assert max(peaks.values()) < 0.5, peaks
