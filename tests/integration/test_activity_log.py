"""The activity log of one day: what each use case writes, and that no secret of the day stands in any line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from cgcore.activity import Action, ActivityEntry
from cgcore.api_keys.form import find_parts
from cgcore.api_keys.record import IssuedKey
from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import InvalidInput, NotAllowed
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.steps import Leg
from cgcore.runs import Run
from cgcore.series.series import SeriesDraft
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.identity import LoginResult, NewUser
from cgcore.workbench.keys import ISSUE_ACTION, PAIR_ACTION, ROLL_ACTION
from cgcore.workbench.users import Particulars
from tests.conftest import make_settings
from tests.servers.identity import HandClock
from tests.servers.scripted import SmtpScript, smtp_server

A = Action
T = DocumentType

ANA, LUIS, NOBODY = "ana", "luis", ""
# Where each acts from; whoever is not signed in stands at the door.
ADDRESSES = {ANA: "192.0.2.7", LUIS: "198.51.100.4", NOBODY: "203.0.113.9"}
# What takes mail servers or a provider to write is shown where they are.
ELSEWHERE = {
    "test_outbox_sending.py": {
        *(A.DOCUMENT_SENT, A.DOCUMENT_CANCELLED, A.DOCUMENT_RESENT, A.DOCUMENT_RESOLVED, A.SENDING_RESUMED),
    },
    "test_outbox_parts.py": {A.DOCUMENT_REST_SKIPPED},
    "test_bounces.py": {A.DOCUMENT_BOUNCED, A.BOUNCE_SEARCH_BEGUN, A.BOUNCE_SEARCH_ENDED},
    "test_outbox_batches.py": {
        *(A.DOCUMENTS_HANDED_IN, A.DOCUMENTS_STOPPED, A.DOCUMENTS_CANCELLED, A.DOCUMENTS_RESENT),
    },
    "test_oauth_clients.py": {A.OAUTH_CLIENT_SAVED, A.OAUTH_CLIENT_REMOVED},
    "test_oauth_flow.py": {A.OAUTH_CONNECTED},
    "test_mail_presets.py": {A.MAIL_PRESET_SAVED, A.MAIL_PRESET_REMOVED},
    "test_mail_watch.py": {A.MAIL_WATCH_TOLD},
    "test_oauth_sign_in.py": {A.OAUTH_LOST, A.OAUTH_DISCONNECTED},
}


class Line(NamedTuple):
    """What a line says."""

    action: str
    who: str
    object: str
    result: str
    ip: str


def line(action: Action, who: str, object: str = "", result: str = "ok") -> Line:
    """Return the line of somebody who acts from where they are."""
    return Line(action, who, object, result, ADDRESSES[who])


@dataclass(repr=False)
class Day:
    """A house, who acts in it, and every secret that passes through it.

    ``known`` names what has no fixed name, such as the id of a key, in the lines that are ``written``.
    """

    workbench: Workbench
    secrets: list[str] = field(default_factory=list[str])
    known: dict[str, str] = field(default_factory=dict[str, str])
    codes: dict[str, Secret] = field(default_factory=dict[str, Secret])
    people: dict[str, Actor] = field(default_factory=dict[str, Actor])
    written: dict[str, list[Line]] = field(default_factory=dict[str, list[Line]])
    # For each use case, when it was played and what moments its lines tell.
    moments: dict[str, tuple[datetime, set[datetime]]] = field(
        default_factory=dict[str, tuple[datetime, set[datetime]]]
    )

    @property
    def ana(self) -> Actor:
        """The administrator."""
        return self.people[ANA]

    @property
    def luis(self) -> Actor:
        """The user."""
        return self.people[LUIS]

    def note(self, secret: Secret) -> Secret:
        """Remember a secret, to look for it in the activity log."""
        self.secrets.append(secret.reveal())
        return secret

    def word(self, which: str) -> Secret:
        """Return the password called ``which``; each is another one, and remembered."""
        return self.note(Secret(f"canario de {which} 7K2M"))

    def enter(self, who: str, result: LoginResult) -> None:
        """Let somebody act from now on; the cookie is a secret too."""
        self.note(result.token)
        self.people[who] = result.actor

    def grant(self, action: str) -> str:
        """Confirm luis's password for ``action`` and return the grant."""
        return self.note(
            Secret(self.workbench.identity.codes.issue_grant(self.luis, action, self.word("luis")))
        ).reveal()

    def hold(self, name: str, issued: IssuedKey) -> None:
        """Remember a key: the whole of it and its secret part; only its id may be written."""
        parts = find_parts(self.note(issued.key).reveal())
        assert parts is not None
        self.note(parts.secret)
        self.known[issued.id] = name

    def key_id(self, name: str) -> str:
        """Return the id of the key called ``name``."""
        return next(key_id for key_id, known in self.known.items() if known == name)

    def end(self, actor: Actor, run: Run) -> None:
        """Wait for the end of a run."""
        assert not [*self.workbench.runs.follow(actor, run)][-1].is_running

    def play(self, name: str, given: Do, do: Do) -> None:
        """Play one use case and keep the lines that it writes; ``given`` is what has to stand there before."""
        given(self)
        before = self._entries()
        do(self)
        new = self._entries()[len(before) :]
        self.moments[name] = (self.workbench.clock(), {entry.at for entry in new})
        self.written[name] = [
            Line(entry.action, entry.actor_name, self.known.get(entry.object, entry.object), entry.result, entry.ip)
            for entry in new
        ]

    def _entries(self) -> list[ActivityEntry]:
        reader = Actor(0, "", role=Role.ADMIN)
        return self.workbench.activity.list(reader, limit=200)["items"][::-1]


Do = Callable[[Day], object]


class Step:
    """A use case with exactly the lines that it shall write, the first first."""

    def __init__(self, do: Do, *lines: Line, given: Do = lambda _day: None) -> None:
        self.do, self.lines, self.given = do, list(lines), given


def first_use(day: Day) -> None:
    code = day.note(day.workbench.identity.accounts.issue_first_use_code())
    day.enter(ANA, day.workbench.identity.accounts.first_use(code, ANA, day.word("ana"), ip=ADDRESSES[ANA]))


def log_in(day: Day, who: str = LUIS) -> None:
    day.enter(who, day.workbench.identity.sessions.log_in(who, day.word(who), ip=ADDRESSES[who]))


def fail(refused: type[Exception], do: Do) -> Do:
    """Return ``do`` as something that is refused."""

    def failing(day: Day) -> None:
        with pytest.raises(refused):
            do(day)

    return failing


def reset_password(day: Day) -> None:
    code = Secret(day.codes["link"].reveal().rsplit("/", 1)[1])
    day.workbench.identity.accounts.reset_password(day.note(code), day.word("luis"), ip=ADDRESSES[NOBODY])


def issue_reset_link(day: Day) -> None:
    day.codes["link"] = day.note(day.workbench.users.issue_reset_link(day.ana, LUIS))


def pair_start(day: Day) -> None:
    started = day.workbench.keys.pair_start(day.luis, day.codes["grant"].reveal(), "https://facturas.ejemplo.es")
    day.codes["pairing"] = day.note(started.code)


def ask_for(action: str) -> Do:
    """Return the wish to be asked for the password for ``action``."""

    def ask(day: Day) -> None:
        day.codes["grant"] = Secret(day.grant(action))

    return ask


def hold_key(day: Day, name: str, word: str = "luis") -> None:
    """Give luis a key that a later step ends; ``word`` is his password at that hour."""
    grant = day.workbench.identity.codes.issue_grant(day.luis, ISSUE_ACTION, day.word(word))
    day.hold(name, day.workbench.keys.issue(day.luis, day.note(Secret(grant)).reveal(), "App", frozenset(Scope)))


def log_in_and_hold_key(day: Day, name: str) -> None:
    log_in(day)
    hold_key(day, name)


def save_account(day: Day, draft: MailAccountDraft) -> None:
    day.workbench.mail_account.save(day.luis, draft, version=day.workbench.mail_account.get(day.luis).version)


def account(day: Day) -> MailAccountDraft:
    """An account elsewhere, with a password of its own."""
    imap = ServerDraft("imap.tosma.es", 993, Security.SSL)
    return MailAccountDraft("luis@tosma.es", day.word("correo"), ServerDraft("smtp.tosma.es"), imap)


def mailbox(day: Day) -> MailAccountDraft:
    """The account of the test mailbox."""
    draft = day.workbench.sandbox.use_for(day.luis)
    assert draft.password is not None
    day.note(draft.password)
    return draft


def probe_somebody_talkative(day: Day) -> None:
    """A server that repeats the password that it refuses."""
    password = day.word("prueba")
    refusal = f"535 5.7.8 wrong password {password.reveal()}".encode()
    with smtp_server(SmtpScript(replies={"auth": refusal})) as server:
        draft = replace(account(day), password=password, smtp=ServerDraft(server.host, server.port, Security.NONE))
        day.end(day.luis, day.workbench.mail_runs.start_probe(day.luis, Leg.SMTP, draft))
        assert server.connections == 1


def send_template(day: Day) -> None:
    templates = day.workbench.templates
    day.end(day.luis, day.workbench.template_mail.send_test(day.luis, T.QUOTE, templates.source(day.luis, T.QUOTE), {}))


def bring(day: Day, *, username: str = "", **content: Any) -> None:
    data = json.dumps({"format": "cloud-gestion", "version": 1, **content}).encode()
    day.workbench.portable.apply(day.luis if username else day.ana, data, username)


def draft(active: bool = True, *types: DocumentType) -> SeriesDraft:
    return SeriesDraft("F", "", active=active, next_numbers=dict.fromkeys(types or (T.SALES_INVOICE, T.QUOTE), 1))


# The day in its order: what one step leaves behind, the next ones use.
STEPS: Mapping[str, Step] = {
    "identity.accounts.first_use": Step(first_use, line(A.LOGGED_IN, ANA), line(A.USER_ADDED, ANA, ANA)),
    "users.add with a password": Step(
        lambda d: d.workbench.users.add(d.ana, NewUser(LUIS, d.word("luis"), "Luis", "luis@tosma.es")),
        line(A.USER_ADDED, ANA, LUIS),
    ),
    "users.add without one": Step(
        lambda d: d.note(d.workbench.users.add(d.ana, NewUser("eva")) or Secret("")),
        line(A.USER_ADDED, ANA, "eva"),
        line(A.RESET_LINK_ISSUED, ANA, "eva"),
    ),
    "users.save": Step(
        lambda d: d.workbench.users.save(d.ana, "eva", Particulars("Eva Gil"), 1), line(A.USER_SAVED, ANA, "eva")
    ),
    "identity.sessions.log_in": Step(log_in, line(A.LOGGED_IN, LUIS)),
    "identity.sessions.log_in, a wrong password": Step(
        fail(NotAllowed, lambda d: d.workbench.identity.sessions.log_in(LUIS, d.word("error"), ip=ADDRESSES[NOBODY])),
        line(A.LOGIN_FAILED, NOBODY, LUIS, "wrong_credentials"),
    ),
    "identity.sessions.log_in, a password in the place of the name": Step(
        fail(
            NotAllowed,
            lambda d: d.workbench.identity.sessions.log_in(d.word("luis").reveal(), Secret(""), ip=ADDRESSES[NOBODY]),
        ),
        line(A.LOGIN_FAILED, NOBODY, "", "wrong_credentials"),
    ),
    "identity.sessions.end_session": Step(
        lambda d: d.workbench.identity.sessions.end_session(
            d.luis, d.workbench.identity.sessions.list_sessions(d.luis)[-1].id
        ),
        line(A.SESSIONS_ENDED, LUIS),
        given=log_in,
    ),
    "identity.sessions.end_other_sessions": Step(
        lambda d: d.workbench.identity.sessions.end_other_sessions(d.luis), line(A.SESSIONS_ENDED, LUIS), given=log_in
    ),
    "users.save_own": Step(
        lambda d: d.workbench.users.save_own(d.luis, "Luis Paz", "luis@tosma.es", 1), line(A.PROFILE_SAVED, LUIS, LUIS)
    ),
    "identity.codes.issue_grant": Step(
        ask_for("a wish of the app"), line(A.REAUTHENTICATED, LUIS, "a wish of the app")
    ),
    "identity.codes.issue_grant, a wrong password": Step(
        fail(InvalidInput, lambda d: d.workbench.identity.codes.issue_grant(d.luis, ISSUE_ACTION, d.word("error"))),
        line(A.REAUTHENTICATED, LUIS, ISSUE_ACTION, "password_wrong"),
    ),
    "keys.issue": Step(
        lambda d: d.hold("k1", d.workbench.keys.issue(d.luis, d.codes["grant"].reveal(), "App", frozenset(Scope))),
        line(A.KEY_ISSUED, LUIS, "k1"),
        given=ask_for(ISSUE_ACTION),
    ),
    "keys.roll": Step(
        lambda d: d.hold("k2", d.workbench.keys.roll(d.luis, d.codes["grant"].reveal(), d.key_id("k1"))),
        line(A.KEY_ROLLED, LUIS, "k2"),
        given=ask_for(ROLL_ACTION),
    ),
    "keys.revoke": Step(lambda d: d.workbench.keys.revoke(d.luis, d.key_id("k1")), line(A.KEY_REVOKED, LUIS, "k1")),
    "keys.pair_start": Step(pair_start, line(A.PAIRING_CODE_ISSUED, LUIS), given=ask_for(PAIR_ACTION)),
    "keys.pair_finish": Step(
        lambda d: d.hold("k3", d.workbench.keys.pair_finish(d.codes["pairing"].reveal(), "Móvil", ip=ADDRESSES[LUIS])),
        line(A.DEVICE_PAIRED, LUIS, "k3"),
    ),
    "company.save": Step(
        lambda d: d.workbench.company.save(d.ana, CompanyDraft("Tosma", "B04123451"), 0),
        line(A.COMPANY_SAVED, ANA, "Tosma"),
    ),
    "series.add": Step(lambda d: d.workbench.series.add(d.ana, draft()), line(A.SERIES_ADDED, ANA, "F")),
    "series.save": Step(
        lambda d: d.workbench.series.save(d.ana, replace(draft(), name="Obra"), 1), line(A.SERIES_SAVED, ANA, "F")
    ),
    "series.defaults.save_company": Step(
        lambda d: d.workbench.series.defaults.save_company(d.ana, {T.SALES_INVOICE: "F"}, None),
        line(A.COMPANY_SERIES_SAVED, ANA, "*"),
    ),
    "series.defaults.save": Step(
        lambda d: d.workbench.series.defaults.save(d.luis, {T.QUOTE: "F"}, None), line(A.DEFAULTS_SAVED, LUIS, LUIS)
    ),
    "series.defaults.save for another user": Step(
        lambda d: d.workbench.series.defaults.save(d.ana, {T.SALES_INVOICE: "F"}, None, d.luis.user_id),
        line(A.DEFAULTS_SAVED, ANA, LUIS),
    ),
    "series.defaults.save_company, for everybody": Step(
        lambda d: d.workbench.series.defaults.save_company(d.ana, {T.SALES_INVOICE: "F"}, None, clear_own=True),
        line(A.DEFAULTS_SAVED, ANA, LUIS),
    ),
    "series.save, switched off": Step(
        lambda d: d.workbench.series.save(d.ana, draft(False), 2),
        line(A.SERIES_DISABLED, ANA, "F"),
        line(A.DEFAULTS_ORPHANED, ANA, "F", "warning"),
    ),
    "series.checks.start": Step(
        lambda d: d.end(d.luis, d.workbench.series.checks.start(d.luis)),
        line(A.DEFAULTS_CHECKED, LUIS, "", "check_errors"),
    ),
    "series.save, switched on": Step(
        lambda d: d.workbench.series.save(d.ana, draft(), 3), line(A.SERIES_ENABLED, ANA, "F")
    ),
    "series.delete": Step(
        lambda d: d.workbench.series.delete(d.ana, "F", 4),
        line(A.SERIES_DELETED, ANA, "F"),
        line(A.DEFAULTS_ORPHANED, ANA, "F", "warning"),
    ),
    "mail_account.save": Step(lambda d: save_account(d, account(d)), line(A.ACCOUNT_SAVED, LUIS)),
    "mail_account.save with a certificate": Step(
        lambda d: save_account(
            d, replace(account(d), imap=ServerDraft("imap.tosma.es", 993, Security.SSL_PINNED, "ab" * 32))
        ),
        line(A.ACCOUNT_SAVED, LUIS),
        line(A.CERTIFICATE_PINNED, LUIS, "imap.tosma.es"),
    ),
    "mail_runs.start_probe, refused": Step(
        probe_somebody_talkative, line(A.PROBE_RUN, LUIS, "smtp 127.0.0.1", "bad_credentials")
    ),
    "mail_runs.start_probe": Step(
        lambda d: d.end(d.luis, d.workbench.mail_runs.start_probe(d.luis, Leg.IMAP, mailbox(d))),
        line(A.PROBE_RUN, LUIS, "imap 127.0.0.1"),
    ),
    "mail_runs.start_test_mail": Step(
        lambda d: d.end(d.luis, d.workbench.mail_runs.start_test_mail(d.luis, mailbox(d), "cliente@ejemplo.es")),
        line(A.TEST_MAIL_SENT, LUIS, "cliente@ejemplo.es"),
    ),
    "templates.save": Step(
        lambda d: d.workbench.templates.save(d.luis, T.QUOTE, "Presupuesto {numero}", "<p>Va</p>", version=0),
        line(A.TEMPLATE_SAVED, LUIS, "quote"),
    ),
    "templates.copy": Step(
        lambda d: d.workbench.templates.copy(d.luis, T.QUOTE, T.SALES_ORDER, version=0),
        line(A.TEMPLATES_COPIED, LUIS, "sales_order"),
    ),
    "templates.restore": Step(
        lambda d: d.workbench.templates.restore(d.luis, T.QUOTE, version=1), line(A.TEMPLATE_RESTORED, LUIS, "quote")
    ),
    "templates.save_signature": Step(
        lambda d: d.workbench.templates.save_signature(d.luis, "<p>Luis</p>", version=0), line(A.SIGNATURE_SAVED, LUIS)
    ),
    "template_mail.send_test": Step(
        send_template,
        line(A.TEST_MAIL_SENT, LUIS, "luis@tosma.es"),
        given=lambda d: save_account(d, mailbox(d)),
    ),
    "portable.export_all": Step(
        lambda d: d.workbench.portable.export_all(d.ana), line(A.CONFIGURATION_EXPORTED, ANA, "*")
    ),
    "portable.export_user": Step(
        lambda d: d.workbench.portable.export_user(d.luis, LUIS), line(A.CONFIGURATION_EXPORTED, LUIS, LUIS)
    ),
    "portable.apply": Step(
        lambda d: bring(d, company={"name": "Tosma e Hijas"}), line(A.CONFIGURATION_IMPORTED, ANA, "*")
    ),
    "portable.apply, one's own": Step(
        lambda d: bring(d, username=LUIS, users=[{"name": LUIS, "signature": {"html": "<p>L</p>"}}]),
        line(A.CONFIGURATION_IMPORTED, LUIS, LUIS),
    ),
    "activity.export_csv": Step(
        lambda d: [*d.workbench.activity.export_csv(d.luis, header=["x"] * 7, labels={})],
        line(A.ACTIVITY_EXPORTED, LUIS),
    ),
    "identity.accounts.change_password, a wrong one": Step(
        fail(
            InvalidInput,
            lambda d: d.workbench.identity.accounts.change_password(d.luis, d.word("error"), d.word("nueva")),
        ),
        line(A.PASSWORD_CHANGED, LUIS, LUIS, "password_wrong"),
    ),
    "identity.accounts.change_password": Step(
        lambda d: d.workbench.identity.accounts.change_password(d.luis, d.word("luis"), d.word("nueva")),
        line(A.PASSWORD_CHANGED, LUIS, LUIS),
        line(A.KEY_REVOKED, LUIS, "k2"),
        given=lambda d: d.workbench.keys.revoke(d.luis, d.key_id("k3")),
    ),
    "users.issue_reset_link": Step(issue_reset_link, line(A.RESET_LINK_ISSUED, ANA, LUIS)),
    "identity.accounts.reset_password": Step(
        reset_password,
        line(A.PASSWORD_RESET, NOBODY, LUIS),
        line(A.KEY_REVOKED, NOBODY, "k4"),
        given=lambda d: hold_key(d, "k4", "nueva"),
    ),
    "identity.accounts.set_password": Step(
        lambda d: d.workbench.identity.accounts.set_password(d.ana, LUIS, d.word("luis")),
        line(A.PASSWORD_RESET, ANA, LUIS),
        line(A.KEY_REVOKED, ANA, "k5"),
        given=lambda d: log_in_and_hold_key(d, "k5"),
    ),
    "users.end_sessions": Step(
        lambda d: d.workbench.users.end_sessions(d.ana, LUIS), line(A.SESSIONS_ENDED, ANA, LUIS), given=log_in
    ),
    "users.disable": Step(
        lambda d: d.workbench.users.disable(d.ana, LUIS),
        line(A.USER_DISABLED, ANA, LUIS),
        line(A.KEY_REVOKED, ANA, "k6"),
        given=lambda d: log_in_and_hold_key(d, "k6"),
    ),
    "users.enable": Step(lambda d: d.workbench.users.enable(d.ana, LUIS), line(A.USER_ENABLED, ANA, LUIS)),
    "identity.sessions.log_out": Step(
        lambda d: d.workbench.identity.sessions.log_out(d.luis.session_hash), line(A.LOGGED_OUT, LUIS), given=log_in
    ),
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The day, played once."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        clock = HandClock()
        workbench = open_workbench(make_settings(tmp_path_factory.mktemp("day")), clock=clock)
        day = Day(workbench)
        for name, step in STEPS.items():
            clock.move(seconds=20)  # long enough for whoever has mistyped a password
            day.play(name, step.given, step.do)
        yield day
        workbench.close()


def test_each_use_case_writes_its_line_and_no_other(day: Day) -> None:
    """Who, what, on which object, how it went and from where: one line for each thing that was done."""
    assert day.written == {name: step.lines for name, step in STEPS.items()}


def test_each_line_tells_the_moment_in_utc(day: Day) -> None:
    """When it was done, and not when it was stored or last changed; read back with its time zone."""
    assert {name: told for name, (_, told) in day.moments.items()} == {
        name: {at} for name, (at, _) in day.moments.items()
    }
    assert {told.tzinfo for _, moments in day.moments.values() for told in moments} == {UTC}
    assert len({at for at, _ in day.moments.values()}) == len(STEPS)


def _words(source: str) -> set[str]:
    return set(re.findall(r'"\w+"|Action\.\w+', source))


def test_no_action_is_left_without_a_use_case() -> None:
    """Whoever adds an action shows here, or in a file named here, what writes it."""
    here = {written.action for step in STEPS.values() for written in step.lines}
    told = {file: (Path(__file__).parent / file).read_text("utf-8") for file in ELSEWHERE}

    assert here == set(Action) - set().union(*ELSEWHERE.values())
    for file, actions in ELSEWHERE.items():
        assert [each for each in actions if not {f'"{each}"', f"Action.{each.name}"} & _words(told[file])] == []


def test_no_secret_of_the_day_is_in_the_trail(day: Day) -> None:
    """Passwords typed, mistyped or in the wrong field, cookies, codes, links, grants and keys: none, in no column."""
    with day.workbench.database.read() as session:
        rows = repr(session.connection().execute(text("SELECT * FROM activity")).all())

    assert [secret for secret in day.secrets if secret in rows] == []
    assert len(set(day.secrets)) > 20
    assert day.key_id("k1") in rows
