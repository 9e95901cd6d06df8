"""Many documents at once, through the facade, against a scripted server: counted is what the server accepted."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes

import pytest
from sqlmodel import col, select, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.message import Attachment
from cgcore.outbox.batch import Batch, BatchChoice, BatchPlan, BatchState, Behind, select_rows
from cgcore.outbox.message import MessageFilters
from cgcore.outbox.sheet import read_sheet
from cgcore.outbox.states import State
from cgcore.storage.bounce_tables import BounceNoticeRow
from cgcore.storage.outbox_tables import OutboundBatchRow, OutboundMessageRow
from cgcore.storage.tables import ActivityRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.house import add_series, add_user
from tests.servers.narrow import NarrowServer
from tests.servers.scripted import ScriptedServer, SmtpScript, smtp_server
from tests.servers.wire import Wire

T = DocumentType
HEADER = "Serie;Número;Cliente;Para\r\n"


@dataclass
class _Desk:
    """Ana and her batches; the worker works when it is asked to."""

    workbench: Workbench
    ana: Actor

    def plan(self, rows: str, *names: str) -> BatchPlan:
        return self.workbench.batches.plan(
            self.ana, T.SALES_INVOICE, read_sheet((HEADER + rows).encode("cp1252")), names
        )

    def start(self, plan: BatchPlan, choice: BatchChoice | None = None, *, key: str = "uno") -> Batch:
        files = [Attachment(name, "application/pdf", f"%PDF-1.7 {name}".encode()) for name in plan.file_names]
        selection = select_rows(plan, choice or BatchChoice())
        batch = self.workbench.batches.start(self.ana, plan, selection, files, key=key, name="enero.csv")
        self.workbench.batches.wait()
        return self.workbench.batches.get(self.ana, batch.id).batch

    def work(self) -> None:
        self.workbench.outbox.worker.work_once()

    def states(self, batch: Batch) -> list[str]:
        entries = self.workbench.batches.entries(self.ana, batch)
        return [entry.message.state.value if entry.message else entry.line.behind for entry in entries]


@pytest.fixture
def desk(workbench_on_each: Workbench) -> _Desk:
    """The house is furnished."""
    workbench = workbench_on_each
    admin = add_user(workbench, "admin", Role.ADMIN)
    ana = replace(add_user(workbench, "ana"), mail="ana@example.com")
    add_series(workbench, admin, "F", T.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    return _Desk(workbench, ana)


@contextmanager
def _serving(desk: _Desk, script: SmtpScript | None = None) -> Iterator[ScriptedServer]:
    with smtp_server(script or SmtpScript()) as server:
        _use(desk, server)
        yield server


def _use(desk: _Desk, server: ScriptedServer) -> None:
    section = desk.workbench.mail_account
    smtp = ServerDraft("127.0.0.1", server.port, Security.NONE)
    draft = MailAccountDraft("ana@example.com", Secret("correcto-Caballo.9"), smtp)
    section.save(desk.ana, draft, version=section.get(desk.ana).version)


def _rows(*numbers: int) -> str:
    return "".join(f"F;{number};Cliente {number};c{number}@example.com\r\n" for number in numbers)


def test_two_hundred_documents_are_listed_stopped_gone_on_with_and_each_leaves_once(desk: _Desk) -> None:
    """Three without file, two files too many, one sent already, two whose address is not known. Nothing leaves before
    the yes; stopped in the middle it stays so until it goes on; what is tried again is what was refused. Each document
    goes to its customer alone, in the order of the sheet; the same key again is the same batch.
    """
    batches, refused = desk.workbench.batches, {f"c{n}@example.com": b"550 5.1.1 No such user" for n in (50, 150)}
    server = _Watched(SmtpScript(refused=refused), 90, lambda: batches.stop(desk.ana, "uno"))
    with ScriptedServer(server) as smtp:
        _use(desk, smtp)
        desk.start(desk.plan(_rows(1), "F-1.pdf"), key="antes")
        desk.work()
        names = [f"f_{number:05d}.PDF" for number in range(1, 198)]
        plan = desk.plan(_rows(*range(1, 201)), *names, "F-900.pdf", "otro.pdf")
        before = list(smtp.messages)
        batch = desk.start(plan)
        again = desk.start(plan)
        stored = len(desk.workbench.outbox.list(desk.ana, MessageFilters(batch="uno"), limit=200).messages)
        desk.work()
        desk.workbench.outbox.resume(desk.ana)
        desk.work()
        stopped, at_rest = desk.states(batch), len(smtp.messages)
        resumed = batches.go_on(desk.ana, "uno")
        desk.work()
        first = desk.states(batch)
        refused.clear()
        retried = batches.retry_failed(desk.ana, "uno")
        desk.work()
        raws = list(smtp.messages)

    assert (sorted(plan.matching.files), plan.matching.rows_alone) == (list(range(197)), [197, 198, 199])
    assert [plan.file_names[file] for file in plan.matching.files_alone] == ["F-900.pdf", "otro.pdf"]
    assert (list(plan.before), len(before), stored, again.id) == ([0], 1, 196, batch.id)
    assert 90 <= at_rest < 110, "what was claimed when it was stopped has ended"
    assert (set(stopped), resumed) == ({"already", "sent", "failed", "held", "no_file"}, stopped.count("held"))
    assert (first[49], first[149], first.count("sent"), retried) == ("failed", "failed", 194, 2)
    assert desk.states(batch) == ["already", *["sent"] * 196, *["no_file"] * 3]
    to = [message_from_bytes(raw)["To"] for raw in raws]
    assert to == [f"c{n}@example.com" for n in (*(n for n in range(1, 198) if n not in (50, 150)), 50, 150)]
    for raw, address in zip(raws, to, strict=True):
        number = int(address.partition("@")[0][1:])
        assert f"f_{number:05d}.PDF".encode() in raw or number == 1
        # A Message-ID may end in such letters.
        assert not re.search(rb"(?<![0-9a-f])c%d@" % (number + 1), raw)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode("cp1252"),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: codecs.BOM_UTF16_LE + text.replace(";", "\t").encode("utf-16-le"),
        lambda text: b"sep=;\r\n" + text.encode("cp1252"),
        lambda text: _in_one_column(text).encode("cp1252"),
    ],
    ids=["excel", "utf-8", "utf-16", "sep", "one column of documents"],
)
def test_two_hundred_rows_are_the_same_documents_whatever_wrote_them(
    desk: _Desk, written: Callable[[str], bytes]
) -> None:
    """Customers with their accents, three rows without a file, two files too many; nothing is stored by looking."""
    text = HEADER + "".join(f"F;{n};Peña {n} & Hijos, S.L.;c{n}@example.com\r\n" for n in range(1, 201))
    names = [*(f"F-{n}.pdf" for n in range(1, 198)), "F-900.pdf", "otro.pdf"]
    plan = desk.workbench.batches.plan(desk.ana, T.SALES_INVOICE, read_sheet(written(text)), names)
    selection = select_rows(plan, BatchChoice())

    assert [row.customer for row in plan.rows] == [f"Peña {n} & Hijos, S.L." for n in range(1, 201)]
    assert [(row.series, row.number, row.to) for row in plan.rows] == [
        ("F", str(n), (f"c{n}@example.com",)) for n in range(1, 201)
    ]
    assert not any(row.problems for row in plan.rows)
    assert (len(selection.going), selection.behind) == (197, dict.fromkeys((197, 198, 199), Behind.NO_FILE))
    assert [plan.file_names[file] for file in plan.matching.files_alone] == ["F-900.pdf", "otro.pdf"]
    assert desk.workbench.outbox.list(desk.ana, MessageFilters()).messages == []


def _in_one_column(text: str) -> str:
    """Return a sheet whose series and number stand in one column."""
    return text.replace("Serie;Número;", "Factura;").replace("F;", "F-")


class _Watched:
    """A server that does something with its ``at``-th message, before it answers to it."""

    def __init__(self, script: SmtpScript, at: int, act: Callable[[], object]) -> None:
        self._script, self._left, self._act = script, at, act

    def __call__(self, wire: Wire) -> None:
        """Play to one client."""
        kept = wire.keep

        def keep(message: bytes) -> None:
            kept(message)
            self._left -= 1
            if not self._left:
                self._act()

        wire.keep = keep
        self._script(wire)


def test_what_was_sent_already_goes_again_only_when_it_is_ticked(desk: _Desk) -> None:
    """The same document to the same address, however its number is written; to another address it is another matter."""
    with _serving(desk) as server:
        desk.start(desk.plan(_rows(7)))
        desk.work()
        plan = desk.plan("f;0007;Cliente;C7@example.com\r\nF;8;Ocho;c8@example.com\r\n")
        other = desk.plan("F;7;Cliente;nueva@example.com\r\n")
        selections = [select_rows(plan, BatchChoice()), select_rows(plan, BatchChoice(again={0}))]
        desk.start(plan, BatchChoice(again={0}), key="otra vez")
        desk.work()

    assert (plan.before[0].state, plan.before[0].addresses, other.before) == (State.SENT, ("c7@example.com",), {})
    assert selections[0].behind == {0: Behind.ALREADY}
    assert list(selections[1].going) == [0, 1]
    assert len(server.messages) == 3


def test_rows_with_a_problem_stay_behind_with_the_reason(desk: _Desk) -> None:
    """Without address, with one that is none, of a series that is not there, twice."""
    plan = desk.plan("F;1;Uno;\r\nF;2;Dos;dos\r\nX;3;Tres;tres@example.com\r\nF;4;C;c@e.es\r\nF;4;D;d@e.es\r\n;;;\r\n")

    assert [[problem.code for problem in row.problems] for row in plan.rows] == [
        ["empty"],
        ["address_syntax"],
        ["unknown_series"],
        [],
        ["repeated_row"],
    ]
    assert list(select_rows(plan, BatchChoice()).going) == [3]


def test_a_file_that_a_person_chooses_goes_with_one_row_only(desk: _Desk) -> None:
    """What was asked stays behind without an answer; a row goes without file only where that is said."""
    plan = desk.plan(_rows(1, 2, 3), "F-1 (1).pdf", "F-2.pdf", "f 2.pdf")
    nothing = select_rows(plan, BatchChoice())
    chosen = select_rows(plan, BatchChoice(files={0: 0, 1: 0}, without_file=True))

    assert nothing.behind == {0: Behind.ASKED, 1: Behind.ASKED, 2: Behind.NO_FILE}
    assert (chosen.going, chosen.behind) == ({0: 0, 2: None}, {1: Behind.ASKED})


def test_where_one_cannot_be_stored_none_leaves(desk: _Desk) -> None:
    """The text of a template is wrong for a customer in the middle: the row is told, and nothing is in the queue."""
    with _serving(desk) as server:
        body = '<p><a href="{referencia}">Pagar</a></p>'
        desk.workbench.templates.save(desk.ana, T.SALES_INVOICE, "Factura {numero}", body, version=0)
        header, row = "Serie;Número;Para;Referencia\r\n", "F;{0};c{0}@example.com;{1}\r\n"
        text = header + row.format(1, "https://example.com") + row.format(2, "javascript:alert(1)")
        plan = desk.workbench.batches.plan(desk.ana, T.SALES_INVOICE, read_sheet(text.encode()), [])
        batch = desk.start(plan)
        desk.work()

    assert (batch.state, server.messages, desk.states(batch)) == (BatchState.FAILED, [], ["", ""])
    assert batch.reason is not None
    assert (batch.reason["key"], batch.reason["line"]) == ("row", 3)


def test_a_batch_is_stopped_gone_on_with_and_taken_back(desk: _Desk) -> None:
    """Stopped, nothing more leaves, also when the account is let go; on it goes in its order."""
    batches, outbox = desk.workbench.batches, desk.workbench.outbox
    with _serving(desk) as server:
        batch = desk.start(desk.plan(_rows(1, 2, 3)))
        stopped = batches.stop(desk.ana, batch.id)
        outbox.resume(desk.ana)
        desk.work()
        nothing, held = len(server.messages), desk.states(batch)
        resumed = batches.go_on(desk.ana, batch.id)
        desk.work()
        second = desk.start(desk.plan(_rows(4, 5)), key="dos")
        batches.stop(desk.ana, second.id)
        cancelled = batches.cancel_rest(desk.ana, second.id)
        desk.work()

    assert (stopped, nothing, held, resumed, cancelled) == (3, 0, ["held"] * 3, 3, 2)
    assert (desk.states(batch), desk.states(second)) == (["sent"] * 3, ["cancelled"] * 2)
    assert [message_from_bytes(raw)["To"] for raw in server.messages] == [
        f"c{number}@example.com" for number in (1, 2, 3)
    ]
    with desk.workbench.database.read() as session:
        trail = session.exec(select(ActivityRow.action, ActivityRow.object).order_by(col(ActivityRow.id))).all()
    done = [action for action, told in trail if told == "enero.csv"]
    assert done[:2] == ["documents_handed_in", "documents_stopped"]
    assert done[-1] == "documents_cancelled"


def test_only_what_was_refused_is_tried_again(desk: _Desk) -> None:
    """The sent one and the one of unknown fate stay as they are."""
    refused = {"c2@example.com": b"550 5.1.1 No such user"}
    with _serving(desk, SmtpScript(refused=refused)):
        batch = desk.start(desk.plan(_rows(1, 2, 3)))
        desk.work()
        first = desk.states(batch)
    with desk.workbench.database.session() as session:
        unknown = update(OutboundMessageRow).where(col(OutboundMessageRow.number) == "3")
        session.exec(unknown.values(state="unknown"))
    with _serving(desk) as server:
        again = desk.workbench.batches.retry_failed(desk.ana, batch.id)
        desk.work()

    assert (first, again, len(server.messages)) == (["sent", "failed", "sent"], 1, 1)
    assert desk.states(batch) == ["sent", "sent", "unknown"]
    assert "documents_resent" in {entry.action for entry in desk.workbench.activity.list(desk.ana)["items"]}


def test_a_batch_whose_process_died_while_storing_has_sent_nothing(desk: _Desk) -> None:
    """It is told so, and its rows can be handed in again."""
    with desk.workbench.database.session() as session:
        session.add(OutboundBatchRow(id="roto", user_id=desk.ana.user_id, state="storing", owner="", lines=[]))
    progress = desk.workbench.batches.get(desk.ana, "roto")

    assert (progress.batch.state, progress.batch.reason) == (BatchState.FAILED, {"key": "interrupted"})


def test_each_person_sees_and_changes_their_own(desk: _Desk) -> None:
    """Somebody else's is not there."""
    other = add_user(desk.workbench, "luis")
    with _serving(desk):
        batch = desk.start(desk.plan(_rows(1)))
    for call in (desk.workbench.batches.stop, desk.workbench.batches.cancel_rest, desk.workbench.batches.get):
        with pytest.raises(LookupError):
            call(other, batch.id)

    assert (desk.states(batch), desk.workbench.batches.list(other)) == (["queued"], [])


def test_documents_of_a_batch_are_due_after_the_time_to_undo(desk: _Desk) -> None:
    """Until then all of them can be taken back."""
    with _serving(desk) as server:
        plan = desk.plan(_rows(1, 2))
        desk.workbench.batches.start(desk.ana, plan, select_rows(plan, BatchChoice()), [], key="uno", delay_s=60)
        desk.workbench.batches.wait()
        desk.work()
        taken = desk.workbench.batches.cancel_rest(desk.ana, "uno")

    assert (server.messages, taken) == ([], 2)


def test_a_batch_whose_recipients_are_refused_stops_and_asks_once(desk: _Desk) -> None:
    """More than one in twenty for good: the rest is held with the figures, until its person goes on with it."""
    refused = {f"c{number}@example.com": b"550 5.1.1 No such user" for number in (3, 9, 14, 33)}
    with _serving(desk, SmtpScript(refused=refused)) as server:
        batch = desk.start(desk.plan(_rows(*range(1, 41))))
        desk.work()
        first, stopped = desk.states(batch), len(server.messages)
        told = desk.workbench.batches.get(desk.ana, batch.id).batch.reason
        desk.work()
        still = len(server.messages)
        desk.workbench.batches.go_on(desk.ana, batch.id)
        desk.work()

    assert told == {"key": "many_refused", "stage": "", "ms": 0, "values": {"refused": 3, "told": 20}}
    assert (first.count("failed"), first.count("sent"), still) == (3, stopped, stopped)
    assert set(first) == {"sent", "failed", "held"}
    assert desk.states(batch).count("failed") == 4
    assert desk.states(batch).count("sent") == 36 == len(server.messages)
    assert desk.workbench.batches.get(desk.ana, batch.id).batch.reason is None


def test_the_rest_of_a_batch_that_is_taken_back_ends_what_some_of_its_people_have(desk: _Desk) -> None:
    """A row whose first two addresses have it: it is sent, and the third one does not get it."""
    row = "F;1;Uno;a@example.com, x@example.com, b@example.com\r\nF;2;Dos;c@example.com\r\n"
    server = NarrowServer(1, refused={"b@example.com": b"450 4.2.1 Not now"})
    batches = desk.workbench.batches
    with ScriptedServer(server) as smtp:
        _use(desk, smtp)
        batch = desk.start(desk.plan(row))
        desk.work()
        batches.stop(desk.ana, batch.id)
        before = desk.states(batch)
        taken = batches.cancel_rest(desk.ana, batch.id)
    (first, _) = batches.entries(desk.ana, batch)

    assert (before, taken, desk.states(batch)) == (["held", "sent"], 1, ["sent", "sent"])
    assert first.message is not None
    assert [each.state.value for each in first.message.recipients] == ["accepted", "accepted", "skipped"]


def test_a_batch_tells_each_row_once_by_how_its_copy_stands(desk: _Desk) -> None:
    """Sent, sent while its copy is to be filed or could not be, came back; followed until each copy was tried once."""
    with _serving(desk):
        batch = desk.start(desk.plan(_rows(*range(1, 7))))
        desk.work()
    with desk.workbench.database.session() as session:
        for number, values in {
            "2": {"copy_state": "pending"},
            "3": {"copy_state": "pending", "copy_key": "connection_dropped"},
            "4": {"copy_state": "failed", "copy_key": "mailbox_full"},
            "5": {"copy_state": "failed", "copy_key": "mailbox_full"},
            "6": {"copy_state": "stored"},
        }.items():
            session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.number) == number).values(**values))
        name = session.exec(select(OutboundMessageRow.id).where(OutboundMessageRow.number == "5")).one()
        told = {"message_id": name, "report": "r", "place": 0, "address": "c5@example.com"}
        session.add(BounceNoticeRow(user_id=desk.ana.user_id, at=datetime.now(UTC), kind="failed", **told))
    progress = desk.workbench.batches.get(desk.ana, batch.id)
    tried = update(OutboundMessageRow).where(col(OutboundMessageRow.number) == "2").values(copy_key="server_silent")
    with desk.workbench.database.session() as session:
        session.exec(tried)

    assert {state.value: count for state, count in progress.copies.items() if count} == {
        "none": 1, "pending": 2, "failed": 1, "stored": 1,
    }  # fmt: skip
    assert (progress.returned, progress.filing, progress.is_moving) == (1, 1, True)
    assert not desk.workbench.batches.get(desk.ana, batch.id).is_moving


def test_a_few_refused_ones_stop_nothing(desk: _Desk) -> None:
    """One in twenty, and those that are told to come again later."""
    refused = {"c3@example.com": b"550 5.1.1 No such user", "c4@example.com": b"450 4.2.1 Try later"}
    with _serving(desk, SmtpScript(refused={**refused, "c5@example.com": b"451 4.3.0 Try later"})):
        batch = desk.start(desk.plan(_rows(*range(1, 31))))
        desk.work()

    assert sorted(set(desk.states(batch))) == ["failed", "queued", "sent"]
    assert desk.states(batch).count("sent") == 27
