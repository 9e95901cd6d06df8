"""The lines of Resumen: what each section says of itself."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.changes import kept_settings
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.sandbox import HOST
from cgcore.series.starters import StarterLayout
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.keys import ISSUE_ACTION, ROLL_ACTION
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState
from cgcore.workbench.runs import Job
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.overview_rows import missing_steps
from pages.ui.texts import overview as overview_texts
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.asking import PASSWORD, USER
from tests.servers.house import add_series
from tests.servers.identity import carry_log_in, set_clock
from tests.servers.pages import open_page, sign_in, words
from tests.servers.scripted import IMAP_CASES, SMTP_CASES
from tests.servers.wire import Closed, Script, ScriptedServer, Wire

_ALWAYS = [name for name in SectionName if name is not SectionName.OUTBOX]
_MOMENT = r"(ahora mismo|hace \d+\u00a0(s|min))"


class Row(NamedTuple):
    """What one row of the page shows: where its link goes and what it is called, its badge and its sentence."""

    target: str
    label: str
    badge: str
    fact: str


def _line(workbench: Workbench, actor: Actor, section: SectionName) -> OverviewLine:
    lines = {line.section: line for line in workbench.overview.lines(actor)}
    assert list(lines) == _ALWAYS
    assert {line.code for line in lines.values()} <= set(overview_texts["FACTS"])
    return lines[section]


def _issue(workbench: Workbench, person: Person, days: int) -> None:
    expires = workbench.clock() + timedelta(days=days)
    workbench.keys.issue(person.actor, person.grant(workbench, ISSUE_ACTION), "App", frozenset(Scope), expires)


def test_the_expiry_of_a_key_is_announced_two_weeks_before(workbench: Workbench) -> None:
    """No key, a key that lasts, one that ends soon, one that has ended: each is told apart."""
    person = add_person(workbench, "ana")
    now = workbench.clock()
    set_clock(workbench, lambda: now)

    none = _line(workbench, person.actor, SectionName.API_KEY)
    _issue(workbench, person, 20)
    lasting = _line(workbench, person.actor, SectionName.API_KEY)
    set_clock(workbench, lambda: now + timedelta(days=10))
    carry_log_in(workbench, person.actor)
    ending = _line(workbench, person.actor, SectionName.API_KEY)
    set_clock(workbench, lambda: now + timedelta(days=21))
    carry_log_in(workbench, person.actor)
    ended = _line(workbench, person.actor, SectionName.API_KEY)

    assert (none.state, none.code) == (SectionState.IDLE, "key_none")
    assert (lasting.state, lasting.code, lasting.at) == (SectionState.OK, "key_unused", now)
    assert (ending.state, ending.code) == (SectionState.WARNING, "key_expires")
    assert ending.values["days"] in (9, 10)
    assert (ended.state, ended.code) == (SectionState.WARNING, "key_expired")


def test_a_renewed_key_is_announced_no_more(workbench: Workbench) -> None:
    """Its successor lasts as long again, so nothing is left to do, though nobody has used it yet."""
    person, now = add_person(workbench, "ana"), workbench.clock()
    _issue(workbench, person, 20)
    old = workbench.keys.list_keys(person.actor)[0]
    set_clock(workbench, lambda: now + timedelta(days=10))
    carry_log_in(workbench, person.actor)
    before = _line(workbench, person.actor, SectionName.API_KEY).code
    workbench.keys.roll(person.actor, person.grant(workbench, ROLL_ACTION), old.id)
    after = _line(workbench, person.actor, SectionName.API_KEY)

    assert before == "key_expires"
    assert (after.state, after.code, after.values) == (SectionState.OK, "key_unused", {"count": 2})


def test_a_key_without_an_end_is_counted_and_nothing_is_announced(workbench: Workbench) -> None:
    """Another user's key is not counted."""
    ana, luis = add_person(workbench, "ana"), add_person(workbench, "luis")
    issue_key(workbench, ana)
    issue_key(workbench, luis)

    line = _line(workbench, ana.actor, SectionName.API_KEY)

    assert (line.state, line.values["count"]) == (SectionState.OK, 1)


def test_the_mail_account_says_what_is_missing_next(workbench: Workbench) -> None:
    """Empty, without password, unproven, proven, changed since, broken, mended but not tried."""
    actor = add_person(workbench, "ana").actor
    section = workbench.mail_account
    draft = workbench.sandbox.use_for(actor)
    seen = [_line(workbench, actor, SectionName.MAIL_ACCOUNT)]

    section.save(actor, replace(draft, password=Secret("")), version=0)
    seen.append(_line(workbench, actor, SectionName.MAIL_ACCOUNT))
    section.save(actor, draft, version=1)
    seen.append(_line(workbench, actor, SectionName.MAIL_ACCOUNT))
    list(workbench.runs.follow(actor, *workbench.mail_runs.start_all(actor)))
    seen.append(_line(workbench, actor, SectionName.MAIL_ACCOUNT))
    moved = replace(draft, smtp=ServerDraft(draft.smtp.host, 1, draft.smtp.security))
    section.save(actor, moved, version=2)
    seen.append(_line(workbench, actor, SectionName.MAIL_ACCOUNT))
    list(workbench.runs.follow(actor, workbench.mail_runs.start_probe(actor, Leg.SMTP, moved)))
    seen.append(_line(workbench, actor, SectionName.MAIL_ACCOUNT))
    section.save(actor, draft, version=3)
    seen.append(_line(workbench, actor, SectionName.MAIL_ACCOUNT))

    assert [line.code for line in seen] == [
        "mail_empty",
        "mail_no_password",
        "mail_unproven",
        "mail_proven",
        "mail_changed",
        "mail_smtp_failed",
        "mail_changed",
    ]
    assert seen[5].about == workbench.runs.find_last(actor, Cell.SMTP)
    assert [line.at is not None for line in seen] == [False, False, False, True, True, True, True]
    assert seen[4].at == seen[3].at
    assert seen[3].values["folder"] == draft.sent_folder


@pytest.mark.parametrize(("days", "told"), [(29, True), (31, False)])
def test_the_end_of_a_certificate_is_told_a_month_before(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, days: int, told: bool
) -> None:
    """With the host and the day; it keeps nothing from leaving, so no step is called missing by it."""
    actor = sign_in(workbench, "ana")
    draft = MailAccountDraft(USER, Secret(PASSWORD), smtp=ServerDraft("smtp.tosma.example", 465, Security.SSL))
    workbench.mail_account.save(actor, draft, version=0)
    ends = (workbench.clock() + timedelta(days=days)).date()
    step = Step(
        Leg.SMTP, "tls", Status.OK, details={"certificate": {"not_after": f"{ends.isoformat()}T10:00:00+00:00"}}
    )
    job = Job(
        lambda: iter([step]),
        lambda _steps, ms: Verdict("ok", "", ms),
        lambda *_: {"settings": kept_settings(draft, Leg.SMTP)},
    )
    stored = workbench.mail_account.get(actor).draft
    mark = workbench.mail_runs.fingerprint(actor, Cell.SMTP, stored)
    list(workbench.runs.follow(actor, workbench.runs.start(actor, Cell.SMTP, mark, job)))

    line = _line(workbench, actor, SectionName.MAIL_ACCOUNT)
    app = open_page(monkeypatch, workbench, actor, "overview.py")
    said = words(app)

    assert (line.code == "mail_certificate_ends") is told
    assert (f"smtp.tosma.example caduca el {ends:%d/%m/%Y}" in said.replace("\\", "")) is told
    assert SectionName.MAIL_ACCOUNT not in missing_steps(
        actor, workbench.company.get(actor), workbench.overview.lines(actor)
    )


def test_a_copy_is_promised_only_where_it_was_proven(workbench: Workbench) -> None:
    """Without a folder nothing is kept; a test of the incoming server that was cut short proves nothing."""
    actor = add_person(workbench, "ana").actor
    draft = replace(workbench.sandbox.use_for(actor), sent_folder="")
    workbench.mail_account.save(actor, draft, version=0)
    list(workbench.runs.follow(actor, *workbench.mail_runs.start_all(actor)))
    without = _line(workbench, actor, SectionName.MAIL_ACCOUNT).code
    broken = Job(steps=_break, judge=lambda _steps, ms: Verdict("ok", "dns", ms))
    fingerprint = workbench.mail_runs.fingerprint(actor, Cell.IMAP, draft)
    list(workbench.runs.follow(actor, workbench.runs.start(actor, Cell.IMAP, fingerprint, broken)))
    cut = _line(workbench, actor, SectionName.MAIL_ACCOUNT).code

    assert (without, cut) == ("mail_without_copy", "mail_smtp_proven")


def test_one_button_tests_both_servers_at_once(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """Neither server lets anybody in before somebody has asked at the other: one after the other would not pass."""
    actor, both = sign_in(workbench, "ana"), threading.Barrier(2)
    outgoing = _waiting(SMTP_CASES["friendly"], b"235 ", both)
    incoming = _waiting(IMAP_CASES["friendly"], b" OK Logged in", both)
    with ScriptedServer(outgoing) as smtp, ScriptedServer(incoming) as imap:
        draft = MailAccountDraft(
            user=USER,
            password=Secret(PASSWORD),
            smtp=ServerDraft("127.0.0.1", smtp.port, Security.NONE),
            imap=ServerDraft("127.0.0.1", imap.port, Security.NONE),
            sent_folder="Sent",
        )
        workbench.mail_account.save(actor, draft, version=0)
        app = open_page(monkeypatch, workbench, actor, "overview.py")
        app.button(key="overview_run_all").click().run()
    runs = [workbench.runs.find_last(actor, cell) for cell in (Cell.SMTP, Cell.IMAP)]

    assert not app.exception
    assert [run and run.verdict and run.verdict.key for run in runs] == ["ok", "ok"]
    assert [smtp.connections, imap.connections] == [1, 1]
    assert _line(workbench, actor, SectionName.MAIL_ACCOUNT).code == "mail_proven"


def _waiting(script: Script, welcome: bytes, both: threading.Barrier) -> Script:
    """Return ``script`` with its ``welcome`` held back until all are at the barrier."""

    def play(wire: Wire) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if welcome in data:
                try:
                    both.wait(10)
                except threading.BrokenBarrierError:
                    raise Closed from None
            say(data)

        wire.send = send
        script(wire)

    return play


def test_the_series_say_when_they_were_checked_as_they_are_now(workbench: Workbench) -> None:
    """No moment before the first check, nor once something has changed since."""
    ana = sign_in(workbench, "ana", Role.ADMIN)
    add_series(workbench, ana, "A", DocumentType.QUOTE)
    before = _line(workbench, ana, SectionName.SERIES)
    *_, checked = workbench.runs.follow(ana, workbench.series.checks.start(ana))
    assert not checked.is_running
    after = _line(workbench, ana, SectionName.SERIES)
    add_series(workbench, ana, "B", DocumentType.SALES_ORDER)
    changed = _line(workbench, ana, SectionName.SERIES)

    assert (before.at, after.at, changed.at) == (None, checked.started, None)
    assert before == replace(after, at=None)


def _rows(app: AppTest) -> dict[SectionName, Row]:
    rows: dict[SectionName, Row] = {}
    for section in _ALWAYS:
        nodes = [node for node in app.get_by_key(f"overview_{section}") if not isinstance(node, Block)]
        (link,) = [node.proto for node in nodes if node.type == "page_link"]
        (badge,) = [str(node.value) for node in nodes if node.type == "markdown"]
        (fact,) = [str(node.value) for node in nodes if node.type == "caption"]
        rows[section] = Row(link.page, link.label, badge, re.sub(r"\\(.)", r"\1", fact))
    return rows


def test_each_section_has_a_row_with_badge_fact_moment_and_link(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Untouched, untested, proven, broken: badge in colour, icon and word, what was found and when, the way there."""
    ana = sign_in(workbench, "ana", Role.ADMIN)
    add_series(workbench, ana, "A", DocumentType.QUOTE)
    app = open_page(monkeypatch, workbench, ana, "overview.py")
    untouched = _rows(app)
    draft = workbench.sandbox.use_for(ana)
    workbench.mail_account.save(ana, draft, version=0)
    unproven = _rows(app.run())[SectionName.MAIL_ACCOUNT]
    app.button(key="overview_run_all").click().run()
    assert not app.exception
    proven = _rows(app)
    broken = replace(draft, smtp=ServerDraft(draft.smtp.host, 1, draft.smtp.security))
    workbench.mail_account.save(ana, broken, version=1)
    app.button(key="overview_run_all").click().run()
    assert not app.exception
    failed = _rows(app)[SectionName.MAIL_ACCOUNT]
    run = workbench.runs.find_last(ana, Cell.SMTP)
    assert run is not None
    assert run.verdict is not None

    mail = SectionName.MAIL_ACCOUNT
    idle, passed = ":gray-badge[:material/radio_button_unchecked: %s]", ":green-badge[:material/check_circle: %s]"
    assert [(row.target, row.label.strip("*"), row.badge) for row in untouched.values()] == [
        ("cuenta-mail", "Cuenta mail", idle % "Sin configurar"),
        ("valores-por-defecto", "Valores por defecto para envío", passed % "Correcto"),
        ("series-por-defecto", "Series por defecto", ":orange-badge[:material/warning: Revisar]"),
        ("api-key", "API Key", idle % "Sin configurar"),
    ]
    assert untouched[mail].fact == "Aún sin configurar. Empieza por tu dirección de correo."
    assert unproven.badge == idle % "Sin ejecutar"
    assert unproven.fact == f"Configurada con {HOST}, pero sin probar."
    assert proven[mail].badge == passed % "Correcto"
    assert re.fullmatch(rf"Envía por {re.escape(HOST)} y guarda copia · {_MOMENT}", proven[mail].fact)
    assert failed.badge == ":red-badge[:material/error: Error]"
    assert re.fullmatch(
        rf"El envío no sale: {re.escape(verdict_texts(run.cell, run.verdict)[0])} · {_MOMENT}", failed.fact
    )


@pytest.mark.parametrize("role", list(Role))
def test_the_first_day_has_one_next_step(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, role: Role) -> None:
    """Company, mail, series: one primary button leads to the next one; what only others may do is not asked for."""
    ana = sign_in(workbench, "ana", role)
    admin = Actor(0, "", role=Role.ADMIN)
    app = open_page(monkeypatch, workbench, ana, "overview.py")
    seen: list[tuple[str, ...]] = []

    def look() -> None:
        app.run()
        assert not app.exception
        seen.append(tuple(button.label for button in app.main.button if button.proto.type == "primary"))

    first = words(app)
    look()
    workbench.company.save(admin, CompanyDraft("Tosma, SL", "B12345674"), 0)
    look()
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)
    list(workbench.runs.follow(ana, *workbench.mail_runs.start_all(ana)))
    look()
    workbench.series.create_starter_set(admin, StarterLayout.SINGLE)
    look()
    last = words(app)

    company, mail, series = "Poner los datos de la empresa", "Configurar y probar el correo", "Elegir las series"
    ours = [(company,), (mail,), (series,)] if role is Role.ADMIN else [(mail,), (mail,), ("Probar todo",)]
    assert seen == [*ours, ("Probar todo",)]
    assert ("Faltan 3 de 4 pasos" in first) is (role is Role.ADMIN)
    assert ("Pídeselo a quien administra" in first) is (role is Role.USER)
    assert ("Las crea una persona que administra" in first) is (role is Role.USER)
    assert "Tosma, SL" in last
    assert "pasos para enviar" not in last


def test_what_is_missing_for_the_tests_is_named_with_its_field(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Of both servers at once, and no test of the other one is started alone."""
    ana = sign_in(workbench, "ana")
    server = ServerDraft("smtp.tosma.example", 587, Security.STARTTLS)
    workbench.mail_account.save(ana, MailAccountDraft("ana@tosma.example", Secret("x"), smtp=server), version=0)
    app = open_page(monkeypatch, workbench, ana, "overview.py")
    app.button(key="overview_run_all").click().run()
    (told,) = app.warning

    assert "**Servidor Entrante (IMAP)**: " in told.value
    assert "Servidor Saliente" not in told.value
    assert workbench.runs.find_last(ana, Cell.SMTP) is None


def _break() -> Iterator[Step]:
    raise RuntimeError("ours")
    yield
