"""What is remembered of the database: nothing of before a commit, whoever made it, and nothing for whom it is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import Session

from cgcore.api_keys.record import ISSUE_ACTION
from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import LoginEnded, NotAllowed
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.runs import Cell, Verdict
from cgcore.settings import Settings
from cgcore.storage.company import load_company
from cgcore.storage.database import Database
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.runs import Job
from cgcore.workbench.users import Particulars
from tests.servers.costs import counting
from tests.servers.house import add_series
from tests.servers.identity import ADMIN, PASSWORD, HandClock, set_clock

Read = Callable[[Workbench, Actor], object]
Write = Callable[[Workbench, Actor], object]

RENAMES_COMPANY = """
import sys
from sqlalchemy import create_engine, text
with create_engine(sys.argv[1]).begin() as connection:
    connection.execute(text("UPDATE company SET name = 'Otro proceso'"))
"""


def _save_account(bench: Workbench, ana: Actor) -> None:
    bench.mail_account.save(ana, MailAccountDraft(user="ana@tosma.es", smtp=ServerDraft("mail.tosma.es")), version=0)


def _run_check(bench: Workbench, ana: Actor) -> None:
    run = bench.runs.start(ana, Cell.SERIES_CHECK, "x", Job(lambda: iter(()), lambda _steps, ms: Verdict("ok", "", ms)))
    list(bench.runs.follow(ana, run))


def _type_draft(bench: Workbench, ana: Actor) -> None:
    bench.drafts.keep(ana, "profile", "tab", {"forms": {}})
    bench.drafts.flush(ana)


# What a page reads, and a change of it by whoever it may be.
CHANGES: dict[str, tuple[Read, Write]] = {
    "company": (lambda w, a: w.company.get(a).name, lambda w, a: w.company.save(a, CompanyDraft("Nueva"), 0)),
    "account": (lambda w, a: w.mail_account.get(a).draft.user, _save_account),
    "template": (
        lambda w, a: w.templates.get_all(a)[DocumentType.QUOTE].subject,
        lambda w, a: w.templates.save(a, DocumentType.QUOTE, "Va {numero}", "<p>Hola</p>", version=0),
    ),
    "source": (
        lambda w, a: w.templates.source(a, DocumentType.QUOTE).subject,
        lambda w, a: w.templates.save(a, DocumentType.QUOTE, "Va {numero}", "<p>Hola</p>", version=0),
    ),
    "signature": (
        lambda w, a: w.templates.get_signature(a).html,
        lambda w, a: w.templates.save_signature(a, "<p>Ana</p>", version=0),
    ),
    "series": (lambda w, a: w.series.count(a), lambda w, a: add_series(w, a, "N", DocumentType.QUOTE)),
    "defaults": (
        lambda w, a: w.series.defaults.get(a).choices,
        lambda w, a: w.series.defaults.save(a, {DocumentType.QUOTE: "F"}, None),
    ),
    "company's defaults": (
        lambda w, a: w.series.defaults.get_company(a).choices,
        lambda w, a: w.series.defaults.save_company(a, {DocumentType.QUOTE: "F"}, None),
    ),
    "own choices": (
        lambda w, a: len(w.series.defaults.list_overridden(a, [DocumentType.QUOTE])),
        lambda w, a: w.series.defaults.save(a, {DocumentType.QUOTE: "F"}, None),
    ),
    "particulars": (
        lambda w, a: w.users.get(a, "ana").full_name,
        lambda w, a: w.users.save_own(a, "Ana Paz", "", 1),
    ),
    "run": (lambda w, a: w.runs.find_last(a, Cell.SERIES_CHECK) is not None, _run_check),
    "draft": (lambda w, a: sorted(w.drafts.marks(a)), _type_draft),
}


@pytest.fixture
def ana(workbench_on_each: Workbench) -> Actor:
    """An administrator who is logged in; there is one series."""
    workbench_on_each.identity.accounts.add_user(ADMIN, NewUser("ana", PASSWORD, role=Role.ADMIN))
    actor = workbench_on_each.identity.sessions.log_in("ana", PASSWORD).actor
    add_series(workbench_on_each, actor, "F", DocumentType.QUOTE)
    return actor


@pytest.fixture
def other(workbench_on_each: Workbench, settings: Settings) -> Iterator[Workbench]:
    """A second workbench over the same data with connections of its own, as another process has."""
    database = Database(workbench_on_each.database.url.render_as_string(hide_password=False))
    other = Workbench(settings, database)
    yield other
    other.close()


@pytest.mark.parametrize("subject", CHANGES)
def test_what_was_saved_is_read_at_once_wherever_it_was_saved(
    subject: str, workbench_on_each: Workbench, other: Workbench, ana: Actor
) -> None:
    """Each reads twice, the second time without the database; after a change both read the new."""
    read, change = CHANGES[subject]
    benches = (workbench_on_each, other)
    before = [read(bench, ana) for bench in benches]
    asked: list[int] = []
    repeated: list[object] = []
    for _ in range(3):
        # The server's own housekeeping may make one of them read in vain, not all.
        with counting(workbench_on_each.database) as again:
            repeated.append(read(workbench_on_each, ana))
        asked.append(again.transactions)
    change(other, ana)
    after = [read(bench, ana) for bench in benches]

    assert (repeated, min(asked)) == ([before[0]] * 3, 0)
    assert before[0] == before[1]
    assert after[0] == after[1] != before[0]


def test_what_another_process_writes_is_read_at_once(workbench_on_each: Workbench, ana: Actor) -> None:
    """One that knows nothing of this program's ways."""
    workbench_on_each.company.save(ana, CompanyDraft("Tosma"), 0)
    before = workbench_on_each.company.get(ana).name
    url = workbench_on_each.database.url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", RENAMES_COMPANY, url], check=True)

    assert (before, workbench_on_each.company.get(ana).name) == ("Tosma", "Otro proceso")


def test_a_change_that_is_committed_after_a_read_is_read_next_time(
    workbench_on_each: Workbench, other: Workbench, ana: Actor
) -> None:
    """Begun before the read and written, but not yet committed: the stamp of that moment does not stand for it."""
    workbench_on_each.company.save(ana, CompanyDraft("Antes"), 0)
    with other.database.session() as session:
        session.connection().execute(text("UPDATE company SET name = 'Luego'"))
        meanwhile = workbench_on_each.company.get(ana).name

    assert (meanwhile, workbench_on_each.company.get(ana).name) == ("Antes", "Luego")


def test_a_change_in_the_middle_of_a_read_is_not_covered_by_it(
    workbench_on_each: Workbench, other: Workbench, ana: Actor
) -> None:
    """What was read before the commit is handed out once, and not remembered as if it were of after it."""
    context, version = workbench_on_each.context, 0

    def look(session: Session, _actor: Actor) -> str:
        found = load_company(session).name
        other.company.save(ana, CompanyDraft(f"Cambio {version}"), version)
        return found

    first = context.recall(ana, "probe", look)
    version = 1

    assert first == ""
    assert context.recall(ana, "probe", look) == "Cambio 0"


def test_nothing_remembered_is_shown_to_whom_it_is_not_for(
    workbench_on_each: Workbench, other: Workbench, ana: Actor
) -> None:
    """Another role, a log-out, a closed account: by another process, and at the very next read."""
    accounts, users = other.identity.accounts, other.users
    accounts.add_user(ADMIN, NewUser("zaida", PASSWORD, role=Role.ADMIN))
    zaida = other.identity.sessions.log_in("zaida", PASSWORD).actor
    read = workbench_on_each.series.defaults.get_company
    read(ana)
    users.save(zaida, "ana", Particulars("Ana", "", Role.USER), 1)
    with pytest.raises((NotAllowed, LoginEnded)):
        read(ana)
    again = workbench_on_each.identity.sessions.log_in("ana", PASSWORD).actor
    workbench_on_each.company.get(again)
    accounts.disable_user(zaida, "ana")
    with pytest.raises(LoginEnded):
        workbench_on_each.company.get(again)
    workbench_on_each.company.get(zaida)
    other.identity.sessions.log_out(zaida.session_hash)
    with pytest.raises(LoginEnded):
        workbench_on_each.company.get(zaida)


def test_a_log_in_that_is_idle_for_too_long_reads_nothing_remembered(workbench_on_each: Workbench) -> None:
    """Nothing has changed in the database, only the hour; what one may read another one does not."""
    bench, clock = workbench_on_each, HandClock()
    set_clock(bench, clock)
    bench.identity.accounts.add_user(ADMIN, NewUser("ana", PASSWORD))
    ana = bench.identity.sessions.log_in("ana", PASSWORD).actor
    before = bench.company.get(ana)
    clock.move(minutes=31)

    assert before.version == 0
    with counting(bench.database) as cost, pytest.raises(LoginEnded):
        bench.company.get(ana)
    assert cost.transactions == 0 or not bench.database.is_sqlite


def test_a_key_that_has_expired_reads_nothing_remembered(workbench_on_each: Workbench) -> None:
    """Its row says until when; the hour is asked each time."""
    bench, clock = workbench_on_each, HandClock()
    set_clock(bench, clock)
    bench.identity.accounts.add_user(ADMIN, NewUser("ana", PASSWORD))
    ana = bench.identity.sessions.log_in("ana", PASSWORD).actor
    grant = bench.identity.codes.issue_grant(ana, ISSUE_ACTION, PASSWORD)
    key = bench.keys.issue(ana, grant, "App", frozenset(Scope), bench.clock() + timedelta(days=2))
    caller = Actor(ana.user_id, "ana", key_id=key.id)
    before = bench.company.get(caller)
    clock.move(days=3)

    assert before.version == 0
    with counting(bench.database) as cost, pytest.raises(LoginEnded):
        bench.company.get(caller)
    assert cost.transactions == 0 or not bench.database.is_sqlite


def test_a_year_that_ends_changes_what_is_said_of_the_series(workbench_on_each: Workbench, ana: Actor) -> None:
    """What depends on the day is not remembered beyond it."""
    clock = HandClock()
    set_clock(workbench_on_each, clock)
    operator = Actor(ana.user_id, "ana", role=Role.ADMIN)
    before = workbench_on_each.series.defaults.get(operator)
    clock.move(days=366)
    with counting(workbench_on_each.database) as cost:
        after = workbench_on_each.series.defaults.get(operator)

    assert after.choices == before.choices
    assert cost.transactions == 1


def test_without_an_answer_each_stamp_is_another_one(database: Database) -> None:
    """So nothing is remembered, and who reads is told what is wrong; two in a row are equal otherwise."""
    stamps = [database.stamps.take() for _ in range(9)]
    database.stamps.close()
    closed = [database.stamps.take() for _ in range(9)]

    assert len(set(stamps)) < 4
    assert len(set(closed)) == 9
    assert not set(stamps) & set(closed)
