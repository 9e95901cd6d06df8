"""The daily watch: both legs proven without sending, told when something ends, stops or changes, silent otherwise."""

from __future__ import annotations

import imaplib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from cgcore.activity import ActivityFilters
from cgcore.clock import utc_now
from cgcore.identity.actor import Actor
from cgcore.mail.account import AuthKind, MailAccountDraft, Security, ServerDraft
from cgcore.mail.deliverability import list_records
from cgcore.mail.imap.folders import parse_quota
from cgcore.mail.network.dns import Records
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.steps import Leg
from cgcore.mail.watch import Memory, Trouble, judge_leg, judge_records, last_slot, trouble_text
from cgcore.runs import Status, Step
from cgcore.storage.database import Database
from cgcore.storage.mail_watch import claim_look, find_watch
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.conftest import make_settings
from tests.servers.certificates import Certificate, Certificates
from tests.servers.connecting import connect_again, register
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.house import add_user
from tests.servers.identity import HandClock
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.pages import sign_in
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.scripted import ImapScript, ScriptedServer, SmtpScript, imap_server, smtp_server
from tests.unit.test_mail_resolver import dns_server

HOST, USER, PASSWORD = "mail.test", "ana@example.com", "correcto-Caballo.9"
SPF, DMARC, DKIM = ("example.com", "TXT"), ("_dmarc.example.com", "TXT"), ("s1._domainkey.example.com", "TXT")
TODAY = date(2026, 11, 24)


@dataclass
class Night:
    """An installation whose clock a test moves, the names that its DNS knows, and somebody with an account."""

    workbench: Workbench
    clock: HandClock
    records: dict[tuple[str, str], Any]
    ana: Actor

    def save(self, smtp: int, imap: int, *, user: str = USER, password: str = PASSWORD) -> None:
        """Store an account at these ports, encrypted from the first byte but for the submission port of a Postfix."""
        mode = Security.STARTTLS if smtp in STARTTLS_PORTS else Security.SSL
        draft = MailAccountDraft(
            user,
            Secret(password),
            ServerDraft(HOST, smtp, mode),
            ServerDraft(HOST, imap, Security.SSL),
            sent_folder="Sent",
        )
        self.workbench.mail_account.save(self.ana, draft, version=self.workbench.mail_account.get(self.ana).version)

    def pass_one(self) -> list[Trouble]:
        """Let a day go by, look, and return what there is to tell."""
        self.clock.move(days=1)
        self.workbench.mail_watch.work_once()
        return list(self.workbench.mail_watch.get(self.ana).troubles)

    def told(self) -> list[tuple[str, str]]:
        """Return the lines of the activity log that the watch has written, the newest first."""
        found = self.workbench.activity.list(self.ana, filters=ActivityFilters(action="mail_watch_told"))
        return [(line.object, line.result) for line in found["items"]]


STARTTLS_PORTS: set[int] = set()


@pytest.fixture(scope="module")
def names() -> Iterator[tuple[str, dict[tuple[str, str], Any]]]:
    """A DNS server whose records a test changes."""
    records: dict[tuple[str, str], Any] = {}
    with dns_server(records) as (server, _):
        yield server, records


def _open(database: Database, folder: Path, ca_file: Path, dns: str, clock: HandClock) -> Workbench:
    settings = make_settings(folder, ssl_cert_file=str(ca_file), dns_server=dns)
    return Workbench(settings, database, clock=clock)


@pytest.fixture
def night(
    database: Database,
    tmp_path: Path,
    certificates: Certificates,
    names: tuple[str, dict[tuple[str, str], Any]],
) -> Iterator[Night]:
    """The first look has begun the watch; the next one is the first that asks."""
    server, records = names
    records.clear()
    records.update({(HOST, "A"): "127.0.0.1", SPF: '"v=spf1 mx -all"', DMARC: '"v=DMARC1; p=none"'})
    clock = HandClock()
    workbench = _open(database, tmp_path, certificates.ca_file, server, clock)
    yield Night(workbench, clock, records, add_user(workbench, "ana"))
    workbench.close()


def _begin(night: Night) -> None:
    night.workbench.mail_watch.work_once()
    assert night.workbench.mail_watch.get(night.ana).looked is None


def _signed_in(server: ScriptedServer) -> int:
    return sum(line.upper().startswith(b"AUTH ") or b" AUTHENTICATE " in line.upper() for line in server.lines)


@pytest.fixture
def pair(certificates: Certificates) -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    """Both servers, as they should be."""
    with (
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as smtp,
        imap_server("friendly", certificates.trusted, implicit_tls=True) as imap,
    ):
        yield smtp, imap


def test_a_good_account_is_proven_at_real_servers_and_nothing_is_told(
    night: Night, dovecot: Dovecot, postfix: Postfix
) -> None:
    """Signed in to both, nothing sent, nothing stored; Resumen is as it was and the log has no line."""
    STARTTLS_PORTS.add(postfix.submission_port)
    before = {folder: dovecot.raw_messages(USER, folder) for folder in ("", "Sent")}
    night.save(postfix.submission_port, dovecot.tls_port, password=USERS[USER])
    _begin(night)

    assert night.pass_one() == []
    assert night.told() == []
    assert night.workbench.mail_watch.get(night.ana).looked == night.clock.now
    assert f"user=<{USER}>" in dovecot.log_text()
    assert {folder: dovecot.raw_messages(USER, folder) for folder in before} == before
    assert night.workbench.overview.lines(night.ana)[0].code == "mail_unproven"


def test_a_full_mailbox_of_a_real_server_is_told_once(night: Night, dovecot: Dovecot, postfix: Postfix) -> None:
    """By its own figures; the second day there is no second line in the log."""
    STARTTLS_PORTS.add(postfix.submission_port)
    night.save(postfix.submission_port, dovecot.tls_port, user="llena@example.com", password=USERS["llena@example.com"])
    _begin(night)
    with imaplib.IMAP4("127.0.0.1", dovecot.port) as mailbox:
        mailbox.login("llena@example.com", USERS["llena@example.com"])
        mailbox.select()
    box = dovecot.mail_dir("llena@example.com")
    big, figures = box / "cur" / "1.big.mail:2,S", box / "maildirsize"
    for path in (big, figures):
        path.unlink(missing_ok=True)
    assert night.pass_one() == []  # of 1 KiB nothing is used
    big.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 3000)
    figures.unlink(missing_ok=True)
    found = night.pass_one()

    assert [(one.code, one.leg, one.since) for one in found] == [("quota", "imap", "2026-11-26")]
    assert "haz sitio" in trouble_text(found[0])
    again = night.pass_one()
    assert [one.since for one in again] == ["2026-11-26"]
    assert night.told() == [("imap", "quota")]
    assert night.workbench.overview.lines(night.ana)[0].code == "mail_watch_warned"


def test_a_refused_password_is_told_and_never_tried_again(
    night: Night, certificates: Certificates, pair: tuple[ScriptedServer, ScriptedServer]
) -> None:
    """Not at the other server either, and not on any day after: only when another one is saved."""
    _, imap = pair
    no = SmtpScript(replies={"auth": b"535 5.7.8 Authentication failed"}, extensions=("AUTH PLAIN LOGIN",))
    with smtp_server(no, certificates.trusted, implicit_tls=True) as smtp:
        night.save(smtp.port, imap.port)
        _begin(night)
        first = night.pass_one()
        days = [night.pass_one() for _ in range(3)]

        assert [(one.code, one.leg, one.key) for one in first] == [("failed", "smtp", "bad_credentials")]
        assert days == [first] * 3
        assert (_signed_in(smtp), _signed_in(imap)) == (1, 0)
        assert smtp.connections >= 4  # its certificate is looked at all the same
        assert night.told() == [(HOST, "bad_credentials")]
        line = night.workbench.overview.lines(night.ana)[0]
        assert (line.state, line.code) == ("error", "mail_watch_failed")

        night.save(smtp.port, imap.port, password="otra-Clave.7")
        assert night.workbench.mail_watch.get(night.ana).troubles == ()  # of another account
        night.pass_one()
        assert (_signed_in(smtp), _signed_in(imap)) == (2, 0)


def test_a_password_that_a_test_was_refused_with_is_not_tried_by_the_watch(
    night: Night, certificates: Certificates, pair: tuple[ScriptedServer, ScriptedServer]
) -> None:
    """And the test's own failure is what Resumen tells; once a test passes the watch goes on."""
    smtp, _ = pair
    no = ImapScript(replies={"AUTHENTICATE": b"NO [AUTHENTICATIONFAILED] Authentication failed."})
    with imap_server(no, certificates.trusted, implicit_tls=True) as imap:
        night.save(smtp.port, imap.port)
        draft = night.workbench.mail_account.get(night.ana).draft
        _begin(night)
        list(night.workbench.runs.follow(night.ana, night.workbench.mail_runs.start_probe(night.ana, Leg.IMAP, draft)))
        tried = _signed_in(imap)
        night.pass_one()

        assert (_signed_in(smtp), _signed_in(imap)) == (0, tried)
        assert night.told() == []


def test_a_server_that_is_away_for_one_night_is_nobodys_business(
    night: Night, certificates: Certificates, pair: tuple[ScriptedServer, ScriptedServer]
) -> None:
    """The second night it is told; back again, it is not."""
    _, imap = pair
    busy = SmtpScript(replies={"greeting": b"421 4.3.2 Service not available, try again later"})
    with smtp_server(busy, certificates.trusted, implicit_tls=True) as smtp:
        night.save(smtp.port, imap.port)
        _begin(night)
        assert night.pass_one() == []
        assert [(one.code, one.key) for one in night.pass_one()] == [("failed", "temporary_failure")]
        assert night.told() == [(HOST, "temporary_failure")]


def test_a_certificate_is_told_of_thirty_days_before_its_end(
    night: Night, tmp_path: Path, names: tuple[str, dict[tuple[str, str], Any]]
) -> None:
    """With its last day; one that ends later is not, and one that has ended is told as the failure it is."""
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(authority.cert_pem.bytes())
    night.workbench.close()
    now = datetime.now(UTC)
    ends = [now + timedelta(days=days) for days in (20, 300)]
    with ExitStack() as stack:
        soon, later = (
            _issued(tmp_path, name, authority, end) for name, end in zip(("soon", "later"), ends, strict=True)
        )
        smtp = stack.enter_context(smtp_server("friendly", soon, implicit_tls=True))
        imap = stack.enter_context(imap_server("friendly", later, implicit_tls=True))
        night.clock.now = now.replace(hour=9)
        database = night.workbench.database
        night.workbench = _open(database, tmp_path, ca_file, names[0], night.clock)
        night.save(smtp.port, imap.port)
        _begin(night)
        found = night.pass_one()

    assert [(one.code, one.leg) for one in found] == [("certificate_ends", "smtp")]
    assert found[0].values == {"host": HOST, "date": ends[0].date().isoformat()}
    assert ends[0].strftime("%d/%m/%Y") in trouble_text(found[0])
    assert night.told() == [(HOST, "certificate_ends")]
    night.workbench.close()


def _issued(folder: Path, name: str, authority: trustme.CA, end: datetime) -> Certificate:
    issued = authority.issue_cert(HOST, not_after=end)
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return Certificate(chain, key, "")


def test_a_record_of_the_domain_that_was_changed_is_told_for_a_week(
    night: Night, pair: tuple[ScriptedServer, ScriptedServer]
) -> None:
    """What it was and what it is; a DNS that is silent changes nothing, and a new DKIM key is no change."""
    smtp, imap = pair
    night.save(smtp.port, imap.port)
    _begin(night)
    assert night.pass_one() == []
    night.records[DKIM] = '"v=DKIM1; p=MIIBIjANBg"'
    assert night.pass_one() == []
    night.records[SPF] = '"v=spf1 +all"'
    del night.records[DMARC]
    found = night.pass_one()

    assert {(one.values["record"], one.values["before"], one.values["now"]) for one in found} == {
        ("SPF", "v=spf1 mx -all", "v=spf1 +all"),
        ("DMARC", "v=DMARC1; p=none", ""),
    }
    assert any("Ya no está el registro DMARC" in trouble_text(one) for one in found)
    assert sorted(night.told()) == [("_dmarc.example.com", "record_changed"), ("example.com", "record_changed")]
    for _ in range(6):
        assert len(night.pass_one()) == 2
    assert night.pass_one() == []
    assert len(night.told()) == 2


def test_a_dkim_key_that_becomes_another_or_goes_is_told(
    night: Night, pair: tuple[ScriptedServer, ScriptedServer]
) -> None:
    """A key beside the known one is how a provider changes keys; one under a known name is somebody's doing."""
    smtp, imap = pair
    night.records[DKIM] = '"v=DKIM1; p=MIIBIjANBg"'
    night.save(smtp.port, imap.port)
    _begin(night)
    assert night.pass_one() == []
    night.records[DKIM] = '"v=DKIM1; p=AAAA"'
    (changed,) = night.pass_one()
    del night.records[DKIM]
    (gone,) = night.pass_one()

    assert [(one.values["record"], one.values["name"], bool(one.values["now"])) for one in (changed, gone)] == [
        ("DKIM", DKIM[0], True),
        ("DKIM", DKIM[0], False),
    ]
    assert night.told() == [(DKIM[0], "record_changed")] * 2


def test_a_consent_that_was_withdrawn_is_told_and_the_provider_not_asked_again(
    night: Night, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix]
) -> None:
    """While it holds both servers are proven with a token; afterwards it is told, and has to be connected anew."""
    dovecot, postfix = openid_mail
    night.records["localhost", "A"] = "127.0.0.1"
    draft = MailAccountDraft(
        ANA,
        smtp=ServerDraft("localhost", postfix.tls_port, Security.SSL),
        imap=ServerDraft("localhost", dovecot.tls_port, Security.SSL),
        auth=AuthKind.CUSTOM,
    )
    night.clock.now = utc_now()  # the provider's ID token is of today
    register(night.workbench, openid)
    eva = sign_in(night.workbench, "eva")
    connect_again(night.workbench, openid, eva, draft)
    night.ana = replace(eva, session_hash="")  # the log-in that has connected ends meanwhile
    night.workbench.mail_account.save(night.ana, draft, version=0)
    _begin(night)
    assert night.pass_one() == []
    assert dovecot.log_text().count(f"user=<{ANA}>") >= 1

    openid.order(faults={"/token": Fault(400, {"error": "invalid_grant"})})
    night.workbench.oauth.tokens.forget(night.ana.user_id)  # an access token runs out in an hour
    days = [night.pass_one() for _ in range(2)]
    asked = [each["status"] for each in openid.asked("/token") if each["grant"] == "refresh_token"]

    assert [[(one.code, one.key) for one in day] for day in days] == [
        [("failed", "oauth_expired"), ("failed", "oauth_expired")]
    ] * 2
    assert asked.count(400) == 1


def test_a_watch_that_is_off_asks_nobody(night: Night, pair: tuple[ScriptedServer, ScriptedServer]) -> None:
    """It is on without anybody's doing; switched on again it begins anew. The log tells the switching alone."""
    smtp, imap = pair
    night.save(smtp.port, imap.port)
    assert night.workbench.mail_watch.get(night.ana).enabled
    night.workbench.mail_watch.switch(night.ana, enabled=False)
    night.workbench.mail_watch.switch(night.ana, enabled=False)
    night.pass_one()

    assert (smtp.connections, imap.connections) == (0, 0)
    assert not night.workbench.mail_watch.get(night.ana).enabled
    saved = night.workbench.activity.list(night.ana, filters=ActivityFilters(action="mail_account_saved"))["items"]
    assert [change.code for change in saved[0].changes] == ["account.watch"]
    night.workbench.mail_watch.switch(night.ana, enabled=True)
    night.pass_one()
    assert smtp.connections > 0


def test_nothing_is_asked_twice_a_day_whatever_the_clock_does(
    night: Night, pair: tuple[ScriptedServer, ScriptedServer]
) -> None:
    """Looked at once, an account waits for its next night; a clock that is set back makes nobody wait for tomorrow."""
    smtp, imap = pair
    night.save(smtp.port, imap.port)
    _begin(night)
    night.pass_one()
    once = smtp.connections
    for hours in (0, 1, 5):
        night.clock.move(hours=hours)
        night.workbench.mail_watch.work_once()
    assert smtp.connections == once

    night.clock.move(days=-10)
    night.workbench.mail_watch.work_once()
    back = smtp.connections
    night.workbench.mail_watch.work_once()
    assert back > once
    assert smtp.connections == back
    night.pass_one()
    assert smtp.connections > back


def test_of_several_processes_one_has_the_look(
    night: Night, tmp_path: Path, certificates: Certificates, names: Any, pair: tuple[ScriptedServer, ScriptedServer]
) -> None:
    """Both see it due; whoever counts on first has it, and one that was claimed by another keeps nothing."""
    smtp, imap = pair
    night.save(smtp.port, imap.port)
    _begin(night)
    night.clock.move(days=1)
    others = [_open(night.workbench.database, tmp_path, certificates.ca_file, names[0], night.clock) for _ in range(2)]
    threads = [threading.Thread(target=other.mail_watch.work_once) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with night.workbench.database.read() as session:
        row = find_watch(session, night.ana.user_id)
    assert row is not None

    assert (row.looks, _signed_in(smtp), _signed_in(imap)) == (1, 1, 1)
    stale = replace_looks(row, 0)
    with night.workbench.database.session() as session:
        assert not claim_look(session, stale, night.clock.now)


def replace_looks(row: Any, looks: int) -> Any:
    """Return a row as somebody else has read it before."""
    copy = type(row)(**{name: getattr(row, name) for name in ("user_id", "enabled", "since", "looked", "memory")})
    copy.looks = looks
    return copy


def test_a_process_that_stops_begins_no_look(night: Night, pair: tuple[ScriptedServer, ScriptedServer]) -> None:
    """What is left waits for another process, or the next day."""
    smtp, imap = pair
    night.save(smtp.port, imap.port)
    _begin(night)
    night.workbench.retire()
    night.pass_one()

    assert smtp.connections == 0


@given(st.integers(1, 10**6), st.integers(0, 10**8))
def test_each_account_has_a_night_hour_of_its_own(user_id: int, seconds: int) -> None:
    """Between 0 and 5 o'clock, the same every day, at most a day ago."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    slot = last_slot(user_id, now)

    assert slot.hour < 5
    assert timedelta() <= now - slot < timedelta(days=1)
    assert last_slot(user_id, now + timedelta(days=1)) == slot + timedelta(days=1)


def test_accounts_are_spread_over_the_night() -> None:
    """A thousand of them do not come at once."""
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    minutes = {last_slot(user, now).replace(second=0) for user in range(1, 1001)}

    assert len(minutes) > 250


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([b'"User quota" (STORAGE 95 100 MESSAGE 3 1000)'], {"STORAGE": [95, 100], "MESSAGE": [3, 1000]}),
        ([b'"" (storage 10 512)', b'"b" (STORAGE 500 512)'], {"STORAGE": [500, 512]}),
        ([b'"" (STORAGE 10 0)'], {}),
        ([b'"" ()', b"rubbish (STORAGE -1 x)"], {}),
        ([], {}),
    ],
)
def test_a_quota_is_read_by_resource(rows: list[bytes], found: dict[str, list[int]]) -> None:
    """Of several roots the fullest; no limit is none."""
    assert parse_quota(rows) == found


@pytest.mark.parametrize(("used", "told"), [(89, []), (90, ["90"]), (120, ["100"])])
def test_a_quota_is_told_from_ninety_per_cent_on(used: int, told: list[str]) -> None:
    """Of whichever resource."""
    steps = [Step("imap", "list", Status.OK, details={"quota": {"STORAGE": [1, 100], "MESSAGE": [used, 100]}})]
    found, _ = judge_leg(Leg.IMAP, HOST, steps, Memory(), TODAY)

    assert [one.values["percent"] for one in found] == told


def test_a_domain_that_dns_does_not_tell_of_is_as_it_was() -> None:
    """Half an answer would look like a change; of a provider's own domain nothing is asked."""
    before = Memory(records={"spf example.com": "v=spf1 -all"})
    with dns_server({SPF: None}) as (server, asked):
        deadline = Deadline.after(1.0)
        assert list_records("ana@example.com", HOST, Records(server), deadline) in (None, {})
        asked.clear()
        assert list_records("ana@gmail.com", HOST, Records(server), deadline) == {}
        assert asked == []

    assert judge_records(None, before, TODAY) == []
    assert [one.code for one in judge_records({}, before, TODAY)] == ["record_changed"]


def test_what_was_told_on_a_day_that_lies_ahead_is_not_told_for_ever() -> None:
    """The clock was set back; the note counts as of today."""
    ahead = Trouble("record_changed", "dns", values={"record": "SPF", "name": "a", "now": "x"}, since="2030-01-01")
    memory = Memory.from_json(Memory((ahead,), {}).to_json())

    assert judge_records({}, memory, TODAY) == [ahead]
