"""Log-in sessions: begin, limits, end; first use; the signed identity."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlmodel import select

from cgcore.errors import InvalidInput, NotAllowed
from cgcore.identity.actor import Role
from cgcore.identity.throttle import SESSION_ABSOLUTE, SESSION_IDLE
from cgcore.identity.tokens import hash_token, new_token
from cgcore.storage import identity as users
from cgcore.storage.tables import LoginSessionRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.conftest import make_settings
from tests.servers.identity import ADMIN, PASSWORD, HandClock, Rendezvous, add_user, set_clock


def test_only_the_digest_of_the_token_is_stored(workbench: Workbench) -> None:
    """The token is 256 random bits; the table holds its SHA-256."""
    add_user(workbench)

    result = workbench.identity.sessions.log_in("ANA", PASSWORD, ip="203.0.113.5", user_agent="Firefox")

    rows = _rows(workbench)
    assert [row.token_hash for row in rows] == [hash_token(result.token)]
    assert len(result.token.reveal()) >= 43
    assert result.token.reveal() not in repr(rows) + repr(result)
    assert workbench.identity.sessions.find_actor_by_cookie(result.token) == result.actor
    assert workbench.identity.sessions.find_actor_by_cookie(new_token()) is None
    assert workbench.identity.sessions.find_actor_by_cookie(Secret("")) is None


def test_logging_in_again_ends_what_the_browser_had(workbench: Workbench) -> None:
    """The token rotates: the old one opens nothing."""
    add_user(workbench)
    first = workbench.identity.sessions.log_in("ana", PASSWORD)

    second = workbench.identity.sessions.log_in("ana", PASSWORD, previous=first.token)

    assert first.token != second.token
    assert workbench.identity.sessions.find_actor_by_cookie(first.token) is None
    assert workbench.identity.sessions.find_actor_by_cookie(second.token) is not None


def test_half_an_hour_of_silence_ends_a_log_in(workbench: Workbench) -> None:
    """Use keeps it alive; silence ends it, for good."""
    clock = HandClock()
    set_clock(workbench, clock)
    add_user(workbench)
    result = workbench.identity.sessions.log_in("ana", PASSWORD)
    for _ in range(3):
        clock.move(seconds=SESSION_IDLE.total_seconds() - 1)
        assert workbench.identity.sessions.find_actor_by_cookie(result.token) is not None

    clock.move(seconds=SESSION_IDLE.total_seconds())

    assert workbench.identity.sessions.find_actor_by_cookie(result.token) is None
    clock.move(seconds=-SESSION_IDLE.total_seconds())
    assert workbench.identity.sessions.find_actor_by_cookie(result.token) is None


def test_twelve_hours_end_a_log_in_however_busy(workbench: Workbench) -> None:
    """The absolute limit does not move with use."""
    clock = HandClock()
    set_clock(workbench, clock)
    add_user(workbench)
    result = workbench.identity.sessions.log_in("ana", PASSWORD)
    end = clock.now + SESSION_ABSOLUTE
    while clock.now < end:
        assert workbench.identity.sessions.find_actor_by_cookie(result.token) is not None
        clock.move(minutes=20)

    assert workbench.identity.sessions.find_actor_by_cookie(result.token) is None


def test_reruns_do_not_write(workbench_on_each: Workbench) -> None:
    """Last seen moves at most every half minute, however often a page reruns."""
    clock = HandClock()
    set_clock(workbench_on_each, clock)
    add_user(workbench_on_each)
    result = workbench_on_each.identity.sessions.log_in("ana", PASSWORD)
    began = clock.now
    clock.move(seconds=29)
    workbench_on_each.identity.sessions.find_actor_by_cookie(result.token)
    seen_early = _rows(workbench_on_each)[0].last_seen
    clock.move(seconds=1)
    workbench_on_each.identity.sessions.find_actor_by_cookie(result.token)

    assert seen_early == began
    assert _rows(workbench_on_each)[0].last_seen == clock.now


def test_log_out_and_closing_the_account_act_at_once(workbench: Workbench) -> None:
    """The next look finds nobody, and who listens (the gate) is told which log-in ended."""
    add_user(workbench)
    add_user(workbench, "jefa", Role.ADMIN)
    told: list[str] = []
    workbench.identity.sessions.on_sessions_end(told.extend)
    one, two = (workbench.identity.sessions.log_in("ana", PASSWORD).actor for _ in range(2))

    workbench.identity.sessions.log_out(one.session_hash)
    assert told == [one.session_hash]
    assert workbench.identity.sessions.find_actor(one.session_hash) is None
    assert workbench.identity.sessions.find_actor(two.session_hash) == two
    workbench.identity.accounts.disable_user(ADMIN, "ana")

    assert told == [one.session_hash, two.session_hash]
    assert workbench.identity.sessions.find_actor(two.session_hash) is None


def test_a_user_sees_and_ends_only_their_own_log_ins(workbench_on_each: Workbench) -> None:
    """The list marks the current one; somebody else's cannot be ended by its id."""
    add_user(workbench_on_each)
    add_user(workbench_on_each, "luis")
    here = workbench_on_each.identity.sessions.log_in("ana", PASSWORD, ip="203.0.113.5", user_agent="Firefox").actor
    there = workbench_on_each.identity.sessions.log_in("ana", PASSWORD).actor
    luis = workbench_on_each.identity.sessions.log_in("luis", PASSWORD).actor

    shown = workbench_on_each.identity.sessions.list_sessions(here)
    assert {(entry.id, entry.current) for entry in shown} == {(here.session_hash, True), (there.session_hash, False)}
    assert not workbench_on_each.identity.sessions.end_session(here, luis.session_hash)
    assert workbench_on_each.identity.sessions.find_actor(luis.session_hash) == luis

    assert workbench_on_each.identity.sessions.end_other_sessions(here) == 1
    assert workbench_on_each.identity.sessions.find_actor(there.session_hash) is None
    assert [entry.id for entry in workbench_on_each.identity.sessions.list_sessions(here)] == [here.session_hash]


def test_the_last_administrator_stays(workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two administrators who close each other at the same time do not both succeed."""
    for name in ("jefa", "jefe"):
        add_user(workbench_on_each, name, Role.ADMIN)
    monkeypatch.setattr(users, "set_active", Rendezvous(users.set_active))

    def close(name: str) -> bool:
        try:
            workbench_on_each.identity.accounts.disable_user(ADMIN, name)
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        closed = list(pool.map(close, ("jefa", "jefe")))

    assert sorted(closed) == [False, True]


@pytest.mark.parametrize("shared", [True, False], ids=["one code", "a code each"])
def test_two_tabs_at_first_use_create_one_administrator(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """With one code or with two, whoever comes second is refused, and there is one user."""
    identity = workbench_on_each.identity
    codes = (
        [identity.accounts.issue_first_use_code()] * 2
        if shared
        else [identity.accounts.issue_first_use_code() for _ in range(2)]
    )
    monkeypatch.setattr(users, "has_users", Rendezvous(users.has_users))

    def enter(number: int) -> str:
        try:
            identity.accounts.first_use(codes[number], f"jefa{number}", PASSWORD)
        except NotAllowed as refused:
            return refused.code
        return "created"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(enter, range(2)))

    assert outcomes.count("created") == 1
    assert set(outcomes) <= {"created", "code_invalid", "first_use_done"}
    with workbench_on_each.database.read() as session:
        assert [user.role for user in users.list_users(session)] == ["admin"]
    assert identity.accounts.renew_first_use_code() is None


def test_a_code_is_worth_nothing_once_there_is_a_user(workbench: Workbench) -> None:
    """An account made on the command line closes the first use, however fresh the code."""
    code = workbench.identity.accounts.issue_first_use_code()
    add_user(workbench)

    with pytest.raises(NotAllowed) as refused:
        workbench.identity.accounts.first_use(code, "intrusa", PASSWORD)

    assert refused.value.code == "first_use_done"


def test_a_poor_password_at_first_use_leaves_the_code_good(workbench: Workbench) -> None:
    """The person corrects it and goes on; a wrong code creates nobody."""
    code = workbench.identity.accounts.issue_first_use_code()

    with pytest.raises(InvalidInput):
        workbench.identity.accounts.first_use(code, "jefa", Secret("corta"))
    with pytest.raises(NotAllowed):
        workbench.identity.accounts.first_use(Secret("AAAAA-AAAAA-AAAAA-AAAAA"), "jefa", PASSWORD)
    assert workbench.identity.accounts.first_use_needed()
    result = workbench.identity.accounts.first_use(code, "jefa", PASSWORD)

    assert result.actor.is_admin
    assert workbench.identity.sessions.find_actor_by_cookie(result.token) == result.actor


def test_a_code_of_the_console_lasts_a_day(workbench_on_each: Workbench) -> None:
    """While one works no second is printed; afterwards it opens nothing and another may be printed."""
    clock = HandClock()
    set_clock(workbench_on_each, clock)
    code = workbench_on_each.identity.accounts.renew_first_use_code()
    assert code is not None
    assert workbench_on_each.identity.accounts.renew_first_use_code() is None

    clock.move(hours=24)

    with pytest.raises(NotAllowed):
        workbench_on_each.identity.accounts.first_use(code, "jefa", PASSWORD)
    assert workbench_on_each.identity.accounts.renew_first_use_code() is not None


def test_the_settings_create_the_first_administrator_only(workbench: Workbench) -> None:
    """A second start changes nothing: the password may have been changed since."""
    settings = make_settings(workbench.settings.data_dir, admin_user="jefa", admin_password=PASSWORD.reveal())
    configured = Workbench(settings, workbench.database)

    assert configured.identity.accounts.create_configured_admin()
    assert not configured.identity.accounts.create_configured_admin()

    assert configured.identity.sessions.log_in("jefa", PASSWORD).actor.is_admin


def test_the_identity_header_cannot_be_made_without_the_master_key(workbench: Workbench) -> None:
    """Another log-in under an old signature, a cut one, none at all: nobody."""
    one, other = "a" * 64, "b" * 64
    token = workbench.identity.sessions.sign_identity(one)

    assert workbench.identity.sessions.verify_identity(token) == one
    for forged in (token.replace(one, other), token[:-1], one, f"{one}.", "", f"{token}\n", f"{one}.{'0' * 64}"):
        assert workbench.identity.sessions.verify_identity(forged) is None


def _rows(workbench: Workbench) -> list[LoginSessionRow]:
    with workbench.database.session() as session:
        return list(session.exec(select(LoginSessionRow)).all())
