"""Issuing, rolling, revoking and checking keys, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlmodel import select

from cgcore.activity import Action, ActivityFilters
from cgcore.api_keys.calls import CallRecord
from cgcore.api_keys.record import KEPT_CALLS, MAX_LIVE_KEYS, KeyState
from cgcore.errors import InvalidInput, NotAllowed, NotFound
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.storage.tables import ApiKeyRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import CodePurpose
from cgcore.workbench.keys import ISSUE_ACTION, PAIR_ACTION, ROLL_ACTION
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.identity import ADMIN


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bench(settings: Settings, database: Database, clock: Clock) -> Iterator[Workbench]:
    """A workbench on each database, with the clock of the test."""
    workbench = Workbench(settings, database, clock=clock)
    yield workbench
    workbench.close()


@pytest.fixture
def ana(bench: Workbench) -> Person:
    return add_person(bench, "ana")


def acts(bench: Workbench, key: Secret) -> Actor | None:
    return asyncio.run(bench.keys.access.find_actor(key.reveal(), ip="192.0.2.7"))


def test_an_issued_key_acts_for_its_owner_within_its_scopes(bench: Workbench, ana: Person) -> None:
    """The actor carries the key's id and scopes; the list shows neither secret nor digest."""
    issued = issue_key(bench, ana, "Tienda", [Scope.READ, Scope.SEND])
    actor = acts(bench, issued.key)
    listed = bench.keys.list_keys(ana.actor)

    assert actor is not None
    assert (actor.user_id, actor.key_id) == (ana.actor.user_id, issued.id)
    assert actor.scopes == {Scope.READ, Scope.SEND}
    assert [(key.device, key.last4) for key in listed] == [("Tienda", issued.key.reveal()[-4:])]
    assert issued.key.reveal() not in repr((issued, listed, actor))


_Way = Callable[[Workbench, Actor, str, str], object]
WAYS: dict[str, _Way] = {
    ISSUE_ACTION: lambda bench, actor, grant, _key_id: bench.keys.issue(actor, grant, "App", [Scope.READ]),
    ROLL_ACTION: lambda bench, actor, grant, key_id: bench.keys.roll(actor, grant, key_id),
    PAIR_ACTION: lambda bench, actor, grant, _key_id: bench.keys.pair_start(actor, grant, "http://localhost/api/v1"),
}


@pytest.mark.parametrize("action", WAYS)
def test_a_key_comes_into_being_only_through_its_grant(
    bench: Workbench, ana: Person, clock: Clock, action: str
) -> None:
    """No grant, a used one, one for another action, of another user or log-in, or too old: refused, and no key made."""
    way, key_id = WAYS[action], issue_key(bench, ana).id
    ben, elsewhere = add_person(bench, "ben"), bench.identity.sessions.log_in("ana", Secret(ana.password)).actor
    stale = ana.grant(bench, action)
    clock.pass_time(minutes=5)
    used = ana.grant(bench, action)
    way(bench, ana.actor, used, key_id)
    others = [ana.grant(bench, other) for other in WAYS if other != action]
    theirs = [ben.grant(bench, action), Person(elsewhere, ana.password).grant(bench, action)]
    before = bench.keys.list_keys(ana.actor)

    for grant in ("", used, stale, *others, *theirs):
        with pytest.raises(NotAllowed) as refused:
            way(bench, ana.actor, grant, key_id)
        assert refused.value.code == "grant_invalid"
    with pytest.raises(InvalidInput):
        bench.identity.codes.issue_grant(ana.actor, action, Secret("no es esta"))
    assert bench.keys.list_keys(ana.actor) == before
    last = ana.grant(bench, action)
    clock.pass_time(minutes=4, seconds=59)
    way(bench, ana.actor, last, key_id)


def test_a_wrong_field_leaves_the_grant_good(bench: Workbench, ana: Person) -> None:
    """The password need not be typed again for a missing name."""
    grant = ana.grant(bench, ISSUE_ACTION)
    with pytest.raises(InvalidInput):
        bench.keys.issue(ana.actor, grant, "", [Scope.READ])

    assert bench.keys.issue(ana.actor, grant, "App", [Scope.READ]).id


def test_a_revoked_key_is_refused_at_the_next_call(bench: Workbench, ana: Person) -> None:
    """Revoking twice changes nothing; somebody else's key is not found."""
    issued = issue_key(bench, ana)
    ben = add_person(bench, "ben")
    with pytest.raises(NotFound):
        bench.keys.revoke(ben.actor, issued.id)
    before = acts(bench, issued.key)
    bench.keys.revoke(ana.actor, issued.id)
    bench.keys.revoke(ana.actor, issued.id)

    assert before is not None
    assert acts(bench, issued.key) is None
    assert bench.keys.list_keys(ana.actor)[0].state(bench.clock()) is KeyState.REVOKED


def test_an_expired_key_is_refused_from_that_instant(bench: Workbench, ana: Person, clock: Clock) -> None:
    """The last instant before is heard, the next one is not."""
    expires = clock.now + timedelta(days=1)
    issued = bench.keys.issue(ana.actor, ana.grant(bench, ISSUE_ACTION), "App", [Scope.READ], expires)
    clock.now = expires - timedelta(microseconds=1)
    before = acts(bench, issued.key)
    clock.now = expires

    assert before is not None
    assert acts(bench, issued.key) is None


def test_disabling_a_user_and_changing_a_password_end_the_keys(bench: Workbench, ana: Person) -> None:
    """Of that user and of nobody else, for good: a user who is let in again has no old key."""
    ben, eva = add_person(bench, "ben"), add_person(bench, "eva")
    keys = [issue_key(bench, person) for person in (ana, ben, eva)]
    root = Actor(0, "root", role=Role.ADMIN)
    bench.identity.accounts.disable_user(root, "ben")
    bench.identity.accounts.enable_user(root, "ben")
    bench.identity.accounts.change_password(eva.actor, Secret(eva.password), Secret("otra frase bien larga"))
    found = [acts(bench, issued.key) is not None for issued in keys]

    assert found == [True, False, False]
    assert bench.keys.list_keys(eva.actor)[0].revoked is not None


def test_a_new_password_revokes_every_key_of_its_user_and_spares_the_others(bench: Workbench, ana: Person) -> None:
    """Each key that was alive leaves its line, once."""
    ben = add_person(bench, "ben")
    mine = [issue_key(bench, ana), issue_key(bench, ana)]
    his = issue_key(bench, ben)

    for _again in range(2):
        bench.identity.accounts.set_password(ADMIN, "ana", Secret("otra frase bien larga"))
    lines = bench.activity.list(ADMIN, filters=ActivityFilters(action=Action.KEY_REVOKED))["items"]

    assert sorted(line.object for line in lines) == sorted(issued.id for issued in mine)
    assert [acts(bench, issued.key) is None for issued in (*mine, his)] == [True, True, False]


def test_a_rolled_key_lives_until_its_successor_is_used(bench: Workbench, ana: Person) -> None:
    """Both work at first; the first call with the new one ends the old one."""
    old = issue_key(bench, ana, "App", [Scope.READ])
    new = bench.keys.roll(ana.actor, ana.grant(bench, ROLL_ACTION), old.id)
    old_before = acts(bench, old.key)
    new_actor = acts(bench, new.key)

    assert old_before is not None
    assert new_actor is not None
    assert new_actor.scopes == {Scope.READ}
    assert acts(bench, old.key) is None
    assert new.old_expires == bench.clock() + timedelta(hours=24)


def test_a_replaced_key_is_ended_at_once_on_demand(bench: Workbench, ana: Person) -> None:
    """«Revocar ya»: the old one is refused at the next call, the new one goes on."""
    old = issue_key(bench, ana)
    new = bench.keys.roll(ana.actor, ana.grant(bench, ROLL_ACTION), old.id)
    before = acts(bench, old.key)
    bench.keys.revoke(ana.actor, old.id)

    assert before is not None
    assert acts(bench, old.key) is None
    assert acts(bench, new.key) is not None


def test_a_rolled_key_falls_silent_after_a_day(bench: Workbench, ana: Person, clock: Clock) -> None:
    """Also when nobody ever used the new one, which goes on working."""
    old = issue_key(bench, ana)
    new = bench.keys.roll(ana.actor, ana.grant(bench, ROLL_ACTION), old.id)
    clock.pass_time(hours=24)

    assert acts(bench, old.key) is None
    assert acts(bench, new.key) is not None


def test_a_lost_answer_does_not_lock_the_device_out(bench: Workbench, ana: Person, clock: Clock) -> None:
    """Rolling again with the old key gives another new one, ends the lost one, and does not prolong the old one."""
    old = issue_key(bench, ana)
    holder = acts(bench, old.key)
    assert holder is not None
    lost = bench.keys.roll_own(holder)
    clock.pass_time(hours=1)
    again = bench.keys.roll_own(holder)
    lost_actor, again_actor = acts(bench, lost.key), acts(bench, again.key)

    assert again.old_expires == lost.old_expires
    assert lost_actor is None
    assert again_actor is not None
    assert acts(bench, old.key) is None


def test_nobody_rolls_a_key_of_somebody_else_nor_a_revoked_one(bench: Workbench, ana: Person) -> None:
    """Not found, with a grant of one's own; the key goes on as it was, and nothing is made."""
    ben, mine, ended = add_person(bench, "ben"), issue_key(bench, ana), issue_key(bench, ana)
    bench.keys.revoke(ana.actor, ended.id)
    before = bench.keys.list_keys(ana.actor)

    for person, key_id in ((ben, mine.id), (ana, ended.id)):
        with pytest.raises(NotFound):
            bench.keys.roll(person.actor, person.grant(bench, ROLL_ACTION), key_id)
    assert bench.keys.list_keys(ana.actor) == before
    assert bench.keys.list_keys(ben.actor) == []
    assert acts(bench, mine.key) is not None


def test_rolling_twice_in_a_row_ends_both_predecessors_at_first_use(bench: Workbench, ana: Person) -> None:
    """A key rolled before its predecessor was replaced for good takes that one with it."""
    first = issue_key(bench, ana)
    second = bench.keys.roll(ana.actor, ana.grant(bench, ROLL_ACTION), first.id)
    third = bench.keys.roll(ana.actor, ana.grant(bench, ROLL_ACTION), second.id)
    used = acts(bench, third.key)

    assert used is not None
    assert [acts(bench, issued.key) for issued in (first, second)] == [None, None]


def test_a_rolled_key_lasts_as_long_as_the_old_one_did(bench: Workbench, ana: Person, clock: Clock) -> None:
    """Thirty days again, counted from now, and never past its own end for the old one."""
    expires = clock.now + timedelta(days=30)
    old = bench.keys.issue(ana.actor, ana.grant(bench, ISSUE_ACTION), "App", [Scope.READ], expires)
    clock.pass_time(days=29, hours=23)
    later = Person(bench.identity.sessions.log_in("ana", Secret(ana.password)).actor, ana.password)
    new = bench.keys.roll(later.actor, later.grant(bench, ROLL_ACTION), old.id)
    record = next(key for key in bench.keys.list_keys(later.actor) if key.id == new.id)

    assert record.expires == clock.now + timedelta(days=30)
    assert new.old_expires == expires


def test_who_acts_with_a_key_touches_only_that_key(bench: Workbench, ana: Person) -> None:
    """It cannot issue, and another key of the same user is not found; its own it may revoke."""
    mine, other = issue_key(bench, ana), issue_key(bench, ana)
    holder = acts(bench, mine.key)
    assert holder is not None
    with pytest.raises(NotAllowed):
        bench.identity.codes.issue_grant(holder, ISSUE_ACTION, Secret(ana.password))
    with pytest.raises(NotFound):
        bench.keys.revoke(holder, other.id)
    bench.keys.revoke(holder, mine.id)

    assert [acts(bench, issued.key) is None for issued in (mine, other)] == [True, False]


def test_a_pairing_code_gives_one_device_one_key(bench: Workbench, ana: Person, clock: Clock) -> None:
    """The second use, a late use and a code of another purpose are refused alike; a wrong name leaves it good."""
    pairing = bench.keys.pair_start(ana.actor, ana.grant(bench, PAIR_ACTION), "https://ejemplo.es/api/v1")
    with pytest.raises(InvalidInput):
        bench.keys.pair_finish(pairing.code.reveal(), "")
    paired = bench.keys.pair_finish(pairing.code.reveal(), "Móvil de Ana", ip="192.0.2.7")
    late = bench.keys.pair_start(ana.actor, ana.grant(bench, PAIR_ACTION), "https://ejemplo.es/api/v1")
    clock.pass_time(minutes=10)
    foreign = bench.identity.codes.issue_code(CodePurpose.PASSWORD_RESET, ana.actor.user_id, timedelta(minutes=10))

    for code in (pairing.code, late.code, foreign, Secret("")):
        with pytest.raises(InvalidInput) as caught:
            bench.keys.pair_finish(code.reveal(), "Otro")
        assert [found.code for found in caught.value.problems] == ["unknown_code"]
    assert acts(bench, paired.key) is not None
    assert [(key.id, key.device) for key in bench.keys.list_keys(ana.actor)] == [(paired.id, "Móvil de Ana")]
    bench.keys.revoke(ana.actor, paired.id)
    assert acts(bench, paired.key) is None


def test_a_code_of_a_disabled_user_pairs_nothing(bench: Workbench, ana: Person) -> None:
    """And is the same refusal as an unknown one."""
    ben = add_person(bench, "ben")
    pairing = bench.keys.pair_start(ben.actor, ben.grant(bench, PAIR_ACTION), "http://127.0.0.1/api/v1")
    bench.identity.accounts.disable_user(ana.actor, "ben")

    with pytest.raises(InvalidInput):
        bench.keys.pair_finish(pairing.code.reveal(), "Móvil")
    bench.identity.accounts.enable_user(ana.actor, "ben")
    assert bench.keys.list_keys(bench.identity.sessions.log_in("ben", Secret(ben.password)).actor) == []


def test_there_is_a_limit_of_live_keys_and_revoked_ones_do_not_count(bench: Workbench, ana: Person) -> None:
    """At the limit one may still roll."""
    issued = [issue_key(bench, ana) for _ in range(MAX_LIVE_KEYS)]
    with pytest.raises(InvalidInput):
        issue_key(bench, ana)
    bench.keys.roll(ana.actor, ana.grant(bench, ROLL_ACTION), issued[0].id)
    for one in issued[:2]:
        bench.keys.revoke(ana.actor, one.id)

    assert issue_key(bench, ana).id


def test_calls_are_kept_counted_and_shown_to_the_owner_only(bench: Workbench, ana: Person, clock: Clock) -> None:
    """The last twenty one by one, all of them by day; «last used» moves at most every half minute."""
    issued, ben = issue_key(bench, ana), add_person(bench, "ben")
    access = bench.keys.access
    first = clock.now
    acts(bench, issued.key)
    for number in range(25):
        access.record_call(issued.id, CallRecord(clock.now, "GET", f"/{number}", 200, 3, "192.0.2.7"))
    access.flush()
    clock.pass_time(seconds=29)
    access.record_call(issued.id, CallRecord(clock.now, "GET", "/early", 200, 3, "192.0.2.8"))
    early = bench.keys.list_keys(ana.actor)[0].last_used
    clock.pass_time(seconds=1)
    access.record_call(issued.id, CallRecord(clock.now, "GET", "/late", 404, 3, "192.0.2.9"))
    late = bench.keys.list_keys(ana.actor)[0]
    calls = bench.keys.calls(ana.actor, issued.id)

    assert early == first
    assert (late.last_used, late.last_ip) == (clock.now, "192.0.2.9")
    assert len(calls.last) == KEPT_CALLS
    assert [(call.path, call.status) for call in calls.last[:2]] == [("/late", 404), ("/early", 200)]
    assert (len(calls.days), calls.days[-1].calls, calls.days[0].calls) == (14, 27, 0)
    with pytest.raises(NotFound):
        bench.keys.calls(ben.actor, issued.id)


def test_the_calls_of_several_keys_are_stored_together_and_kept_apart(
    bench: Workbench, ana: Person, clock: Clock
) -> None:
    """As many statements for three keys as for one; each keeps its own last twenty, and its own days."""
    keys, access, statements = [issue_key(bench, ana, name).id for name in "abc"], bench.keys.access, list[str]()

    def call_and_store(names: list[str]) -> int:
        statements.clear()
        for key_id in names:
            for number in range(15):
                access.record_call(key_id, CallRecord(clock.now, "GET", f"/{key_id}/{number}", 200, 3))
        access.flush()
        return len(statements)

    def note(_connection: object, _cursor: object, statement: str, *_given: object) -> None:
        statements.append(statement)

    for _ in range(2):
        call_and_store(keys)
    event.listen(bench.database.engine, "before_cursor_execute", note)
    costs = call_and_store(keys[:1]), call_and_store(keys)
    event.remove(bench.database.engine, "before_cursor_execute", note)
    shown = [bench.keys.calls(ana.actor, key_id) for key_id in keys]

    assert costs[0] == costs[1]
    assert [len(calls.last) for calls in shown] == [KEPT_CALLS] * 3
    assert [{call.path.split("/")[1] for call in calls.last} for calls in shown] == [{key_id} for key_id in keys]
    assert [calls.days[-1].calls for calls in shown] == [60, 45, 45]


def test_calls_of_earlier_days_stay_counted(bench: Workbench, ana: Person, clock: Clock) -> None:
    """Each on its own day for two weeks; older ones leave the chart."""
    issued = issue_key(bench, ana)
    for _ in range(15):
        bench.keys.access.record_call(issued.id, CallRecord(clock.now, "GET", "/me", 200, 3))
        clock.pass_time(days=1)
    later = bench.identity.sessions.log_in("ana", Secret(ana.password)).actor
    days = bench.keys.calls(later, issued.id).days

    assert [entry.calls for entry in days] == [1] * 13 + [0]
    assert days[-1].day == clock.now.date()


def test_a_mistyped_key_costs_no_question_to_the_database(
    bench: Workbench, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checksum tells it; a revoked key has to be looked up."""
    issued = issue_key(bench, ana)
    bench.keys.revoke(ana.actor, issued.id)
    key, asked, find = issued.key.reveal(), list[str](), bench.keys.access._reader.find_all
    monkeypatch.setattr(bench.keys.access._reader, "find_all", lambda ids: (asked.extend(ids), find(ids))[1])
    mistyped = acts(bench, Secret(key[:20] + ("x" if key[20] != "x" else "y") + key[21:]))
    without = list(asked)

    assert mistyped is None
    assert acts(bench, issued.key) is None
    assert (without, asked) == ([], [issued.id])


def test_what_is_stored_of_a_key_is_a_digest_under_the_vaults_secret(bench: Workbench, ana: Person) -> None:
    """HMAC-SHA256 with a pepper that is derived from the master key: a copied table proves no guess."""
    issued = issue_key(bench, ana)
    with bench.database.read() as session:
        row = session.exec(select(ApiKeyRow)).one()
    pepper = bench.vault.derive_key("api-key-pepper")
    expected = hmac.new(pepper, issued.key.reveal()[12:44].encode(), "sha256").hexdigest()

    assert (row.id, row.digest, row.last4) == (issued.key.reveal()[3:11], expected, issued.key.reveal()[-4:])


def test_the_check_survives_a_lost_connection(bench: Workbench, ana: Person) -> None:
    """The reader opens another connection by itself and answers the same call."""
    issued = issue_key(bench, ana)
    before = acts(bench, issued.key)
    bench.keys.access._reader._connection.close()

    assert before is not None
    assert acts(bench, issued.key) is not None


def test_nothing_that_is_stored_holds_the_key(
    workbench: Workbench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the database, not its log, not the vault, not the activity log, not the program's log in all its detail."""
    caplog.set_level(logging.DEBUG)
    ana = add_person(workbench, "ana")
    issued = issue_key(workbench, ana)
    pairing = workbench.keys.pair_start(ana.actor, ana.grant(workbench, PAIR_ACTION), "http://127.0.0.1/api/v1")
    paired = workbench.keys.pair_finish(pairing.code.reveal(), "Móvil")
    rolled = workbench.keys.roll(ana.actor, ana.grant(workbench, ROLL_ACTION), issued.id)
    acts(workbench, issued.key)
    assert (tmp_path / "data" / "cloud-gestion.db-wal").stat().st_size > 0
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    secrets = [issued.key.reveal(), paired.key.reveal(), rolled.key.reveal()]
    hidden = (
        [key[12:44].encode() for key in secrets] + [key.encode() for key in secrets] + [pairing.code.reveal().encode()]
    )

    assert b"ana" in written
    assert [part for part in hidden if part in written] == []
    assert [part for part in hidden if part.decode() in caplog.text] == []
