"""The activity log: what is written, who reads it, and what a spreadsheet gets."""

from __future__ import annotations

import contextlib
import csv
import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cgcore.activity import Action, ActivityFilters, Change, neutral_cell, neutral_line
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor, Role
from cgcore.storage.tables import ActivityRow
from cgcore.workbench import Workbench
from cgcore.workbench.activity import detail_words
from cgcore.workbench.users import Particulars
from pages.ui.activity_table import words_of
from pages.ui.texts import activity as screen
from tests.servers.identity import set_clock
from tests.servers.pages import sign_in

ANA = Actor(1, "ana", role=Role.ADMIN, ip="192.0.2.1")
LUIS = Actor(2, "luis", ip="192.0.2.2")
HEADER = ("Fecha (UTC)", "Usuario", "Acción", "Objeto", "Resultado", "Detalle", "Dirección")


def actions(workbench: Workbench, actor: Actor, **filters: str) -> list[str]:
    """The actions that ``actor`` sees, the newest first."""
    wanted = replace(ActivityFilters(), **filters)
    return [entry.action for entry in workbench.activity.list(actor, filters=wanted)["items"]]


def test_a_user_reads_own_lines_and_an_administrator_all(workbench_on_each: Workbench) -> None:
    """Own lines for a user, all for an administrator; a line without actor is the administrator's alone."""
    log = workbench_on_each.context.activity
    log.record(ANA, Action.SERIES_ADDED, "F")
    log.record(LUIS, Action.PROBE_RUN, "smtp")
    log.record(None, Action.LOGIN_FAILED, "luis", result="wrong_password", ip="203.0.113.9")

    assert actions(workbench_on_each, LUIS) == ["probe_run"]
    assert actions(workbench_on_each, ANA) == ["login_failed", "probe_run", "series_added"]


def test_a_line_keeps_address_key_and_moment(workbench: Workbench) -> None:
    """Where it came from is the actor's address and key unless told otherwise."""
    workbench.context.activity.record(
        replace(LUIS, key_id="k7"), Action.TEST_MAIL_SENT, "cliente@ejemplo.es", detail="250 OK"
    )
    entry = workbench.activity.list(LUIS)["items"][0]

    assert (entry.ip, entry.key_id, entry.actor_name) == ("192.0.2.2", "k7", "luis")
    assert entry.at.tzinfo is UTC
    assert entry.as_json()["user"] == "luis"


def test_a_line_in_the_callers_transaction_goes_with_it(workbench_on_each: Workbench) -> None:
    """A change that is rolled back leaves no line."""
    with contextlib.suppress(RuntimeError), workbench_on_each.database.session() as session:
        workbench_on_each.context.activity.record(ANA, Action.COMPANY_SAVED, session=session)
        raise RuntimeError
    with workbench_on_each.database.session() as session:
        workbench_on_each.context.activity.record(ANA, Action.USER_ADDED, session=session)

    assert actions(workbench_on_each, ANA) == ["user_added"]


def test_pages_join_without_gap_or_repeat(workbench_on_each: Workbench) -> None:
    """Following ``next`` meets every line once, also while new lines arrive."""
    for number in range(7):
        workbench_on_each.context.activity.record(ANA, Action.SERIES_SAVED, f"S{number}")
    first = workbench_on_each.activity.list(ANA, limit=3)
    workbench_on_each.context.activity.record(ANA, Action.SERIES_SAVED, "late")
    second = workbench_on_each.activity.list(ANA, first["next"], limit=3)
    third = workbench_on_each.activity.list(ANA, second["next"], limit=3)

    seen = [entry.object for page in (first, second, third) for entry in page["items"]]
    assert seen == ["S6", "S5", "S4", "S3", "S2", "S1", "S0"]
    assert third["next"] is None


@pytest.mark.parametrize("cursor", ["abc", "-1", "1; DROP TABLE activity", "٣", "9" * 40])
def test_a_foreign_cursor_is_refused(workbench: Workbench, cursor: str) -> None:
    """A cursor that was not handed out is a wrong field, not a fault."""
    with pytest.raises(InvalidInput) as caught:
        workbench.activity.list(ANA, cursor)

    assert caught.value.problems[0].field == "cursor"


def test_filters_narrow_and_a_wildcard_is_plain_text(workbench_on_each: Workbench) -> None:
    """Action, user, result and text each narrow; ``%`` in the text finds only itself."""
    log = workbench_on_each.context.activity
    log.record(ANA, Action.SERIES_SAVED, "F", detail="100 %")
    log.record(LUIS, Action.PROBE_RUN, "smtp", result="auth_failed")
    log.record(LUIS, Action.PROBE_RUN, "imap")

    assert actions(workbench_on_each, ANA, text="%") == ["series_saved"]
    assert actions(workbench_on_each, ANA, text="SMTP") == ["probe_run"]
    assert actions(workbench_on_each, ANA, username="luis", result="ok") == ["probe_run"]
    assert actions(workbench_on_each, ANA, result="error") == ["probe_run"]
    assert actions(workbench_on_each, ANA, action="series_saved") == ["series_saved"]
    assert actions(workbench_on_each, LUIS, username="ana") == []


def test_the_time_filter_is_half_open(workbench_on_each: Workbench) -> None:
    """``since`` counts, ``until`` does not."""
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)
    set_clock(workbench_on_each, lambda: moment)
    workbench_on_each.context.activity.record(ANA, Action.LOGGED_IN)

    assert workbench_on_each.activity.list(ANA, filters=ActivityFilters(since=moment))["items"]
    assert not workbench_on_each.activity.list(ANA, filters=ActivityFilters(until=moment))["items"]


@pytest.mark.parametrize("statement", ["UPDATE activity SET detail = 'x'", "DELETE FROM activity"])
def test_the_database_refuses_to_change_a_line(workbench_on_each: Workbench, statement: str) -> None:
    """Append-only holds below the program too."""
    workbench_on_each.context.activity.record(ANA, Action.KEY_REVOKED, "k1")
    with pytest.raises(DBAPIError), workbench_on_each.database.session() as session:
        session.connection().execute(text(statement))

    assert actions(workbench_on_each, ANA) == ["key_revoked"]


def test_the_database_has_no_way_round_it(workbench_on_each: Workbench) -> None:
    """What needs neither UPDATE nor DELETE: replacing a row, and emptying the table."""
    workbench_on_each.context.activity.record(ANA, Action.KEY_REVOKED, "k1")
    replace = (
        "INSERT OR REPLACE INTO activity "
        "SELECT id, at, actor_id, actor_name, 'logged_in', object, result, ip, key_id, detail, changes FROM activity"
    )
    statement = replace if workbench_on_each.database.is_sqlite else "TRUNCATE activity"
    with pytest.raises(DBAPIError, match="append-only"), workbench_on_each.database.session() as session:
        session.connection().execute(text(statement))

    assert actions(workbench_on_each, ANA) == ["key_revoked"]


def test_a_forged_line_stays_one_line() -> None:
    """Line breaks, bidirectional marks and control characters become spaces; length is bounded."""
    forged = "F\r\n2026-11-24 ana key_revoked ok\u2028x\u202eyz\x1b[31m\x00"

    assert neutral_line(forged, 200) == "F 2026-11-24 ana key_revoked ok x yz [31m"
    assert neutral_line("a" * 300, 10) == "a" * 9 + "…"


@pytest.mark.parametrize("text_", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\uff1d1"])
def test_a_spreadsheet_computes_nothing(text_: str) -> None:
    """A leading formula sign is disarmed."""
    assert neutral_cell(text_) == f"'{text_}"


def test_the_csv_holds_what_the_reader_may_see(workbench_on_each: Workbench) -> None:
    """One header, one line an entry, labels in place of codes, nothing of another user."""
    workbench_on_each.context.activity.record(ANA, Action.SERIES_ADDED, "secreta")
    workbench_on_each.context.activity.record(LUIS, Action.PROBE_RUN, '=HYPERLINK("x")', detail='comillas " y ; punto')
    text_ = "".join(
        workbench_on_each.activity.export_csv(LUIS, header=HEADER, labels={"probe_run": "Prueba", "ok": "Correcto"})
    )
    rows = list(csv.reader(io.StringIO(text_.removeprefix("\ufeff")), delimiter=";"))

    assert rows[0] == list(HEADER)
    assert [row[2] for row in rows[1:]] == ["activity_exported", "Prueba"]
    assert rows[2][3:6] == ['\'=HYPERLINK("x")', "Correcto", 'comillas " y ; punto']
    assert "secreta" not in text_


def test_a_long_trail_exports_whole(workbench: Workbench) -> None:
    """The export reads in batches and loses none of them."""
    with workbench.database.session() as session:
        session.add_all(ActivityRow(actor_name="ana", action="logged_in", object=str(n)) for n in range(2500))
    lines = list(workbench.activity.export_csv(ANA, header=HEADER, labels={}))

    assert len(lines) == 1 + 1 + 2500


def test_every_action_has_a_label_on_screen() -> None:
    """No code is ever shown in place of a word, and no label stands for nothing."""
    assert set(screen["ACTIONS"]) == set(Action)


def test_what_was_changed_is_stored_as_codes_and_told_in_words(workbench_on_each: Workbench) -> None:
    """No word of a language is in the table; page, API and spreadsheet make them, and a value is found by a search."""
    changes = [Change("account.smtp"), Change("account.password")]
    moved = [
        Change("type.sales_invoice", "F", ""),
        Change("series.document_types", {"quote": 1}, {"quote": 2, "proforma_invoice": 1}),
    ]
    workbench_on_each.context.activity.record(ANA, Action.ACCOUNT_SAVED, changes=changes)
    workbench_on_each.context.activity.record(ANA, Action.DEFAULTS_SAVED, "luis", changes=moved)
    workbench_on_each.context.activity.record(ANA, Action.SESSIONS_ENDED, detail="servidor saliente")
    old, newer, first = workbench_on_each.activity.list(ANA)["items"]
    with workbench_on_each.database.read() as session:
        stored = session.connection().execute(text("SELECT detail, changes FROM activity ORDER BY id")).all()

    assert detail_words(first) == "servidor saliente y contraseña"
    assert (
        detail_words(newer)
        == "Facturas: F → –; próximos números: Presupuestos 1 → Presupuestos 2 y Facturas proforma 1"
    )
    assert (detail_words(old), old.changes) == ("servidor saliente", ())
    assert [(detail, "saliente" in codes) for detail, codes in stored] == [
        ("", False),
        ("", False),
        ("servidor saliente", False),
    ]
    assert actions(workbench_on_each, ANA, text="proforma_invoice") == ["series_defaults_saved"]
    lines = list(workbench_on_each.activity.export_csv(ANA, header=HEADER, labels={}, words=words_of))
    assert "servidor saliente y contraseña" in lines[4]


def test_a_change_of_a_user_is_stored_as_codes_and_told_in_words(workbench: Workbench) -> None:
    """Field and role have their words where they are shown; a line of an earlier version keeps its own."""
    ana = sign_in(workbench, "ana", Role.ADMIN)
    sign_in(workbench, "luis")
    before = workbench.users.get(ana, "luis")
    workbench.context.activity.record(ana, Action.USER_SAVED, "luis", detail="full_name: Luis → Luis Paz")
    workbench.users.save(ana, "luis", Particulars("Luis Paz", before.mail, Role.ADMIN), before.version)
    saved, old = workbench.activity.list(ana, filters=ActivityFilters(action=Action.USER_SAVED))["items"]

    assert [change.code for change in saved.changes] == ["user.full_name", "user.role"]
    assert (saved.detail, detail_words(saved)) == (
        "",
        f"nombre: {before.full_name or '–'} → Luis Paz; permisos: Usuario → Administra",
    )
    assert detail_words(old) == "full_name: Luis → Luis Paz"


def test_a_change_of_many_things_keeps_its_line_short(workbench: Workbench) -> None:
    """The last ones fall away whole; what is kept can be read."""
    changes = [Change("company.name", "a" * 500, "ñ" * 500) for _ in range(50)]
    workbench.context.activity.record(ANA, Action.COMPANY_SAVED, changes=changes)
    (line,) = workbench.activity.list(ANA)["items"]

    assert 1 <= len(line.changes) < 10
    assert set(line.changes) == {changes[0]}
