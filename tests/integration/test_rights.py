"""Rights that end while something is under way: between a check and what it opens, in an open page, over a clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text, update

from cgcore.api_keys.record import ISSUE_ACTION, PAIR_ACTION
from cgcore.errors import InvalidInput, LoginEnded, NotAllowed, Throttled
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.storage.tables import ThrottleRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import CodePurpose, NewUser
from cgcore.workbench.identity.passwords import Passwords
from cgcore.workbench.users import Particulars
from tests.servers.identity import ADMIN, PASSWORD, HandClock, add_user, set_clock

NEW = Secret("otra frase bien larga")


def _log_in(workbench: Workbench, name: str = "ana", password: Secret = PASSWORD) -> Actor:
    return workbench.identity.sessions.log_in(name, password).actor


def _after_check(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Have ``change`` happen once, when a password has been checked and nothing has been opened with it yet."""
    check, left = Passwords.check, [change]

    def check_then_change(self: Passwords, *given: object) -> object:
        verified = check(self, *given)  # type: ignore[arg-type]
        if left:
            left.pop()()
        return verified

    monkeypatch.setattr(Passwords, "check", check_then_change)


def test_the_old_password_opens_nothing_that_the_new_one_does_not(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked before the change, used after it: no log-in, no grant, and no other password either."""
    workbench, accounts = workbench_on_each, workbench_on_each.identity.accounts
    add_user(workbench, "ana")
    change = partial(accounts.set_password, ADMIN, "ana", NEW)
    _after_check(monkeypatch, change)
    with pytest.raises(NotAllowed) as refused:
        _log_in(workbench)
    here = _log_in(workbench, password=NEW)
    back = partial(accounts.change_password, here, NEW, PASSWORD)
    _after_check(monkeypatch, back)
    with pytest.raises(InvalidInput):
        workbench.identity.codes.issue_grant(here, ISSUE_ACTION, NEW)
    _after_check(monkeypatch, partial(accounts.change_password, here, PASSWORD, NEW))
    with pytest.raises(InvalidInput):
        accounts.change_password(here, PASSWORD, Secret("una tercera frase larga"))

    assert refused.value.code == "wrong_credentials"
    assert [entry.current for entry in workbench.identity.sessions.list_sessions(here)] == [True]
    assert _log_in(workbench, password=NEW).username == "ana"


def test_a_password_whose_hash_another_log_in_renews_meanwhile_still_lets_in(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same password under a newer hash is the same password."""
    workbench = workbench_on_each
    add_user(workbench, "ana")

    def renew() -> None:
        with workbench.database.session() as session:
            session.connection().execute(
                text('UPDATE "user" SET password_hash = :hash'),
                {"hash": Passwords(workbench.context).make_hash(PASSWORD)},
            )

    _after_check(monkeypatch, renew)

    assert _log_in(workbench).username == "ana"


def test_an_account_closed_after_the_check_opens_nothing(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when it is opened again, no log-in of that moment is there."""
    workbench, accounts = workbench_on_each, workbench_on_each.identity.accounts
    add_user(workbench, "ana")
    accounts.add_user(ADMIN, NewUser("zaida", PASSWORD, role=Role.ADMIN))
    _after_check(monkeypatch, partial(accounts.disable_user, ADMIN, "ana"))
    with pytest.raises(NotAllowed):
        _log_in(workbench)
    accounts.enable_user(ADMIN, "ana")

    assert len(workbench.identity.sessions.list_sessions(_log_in(workbench))) == 1


def test_another_password_makes_grants_links_and_pairings_void(workbench_on_each: Workbench) -> None:
    """What was opened with the old one works no more, though the log-in that changed it goes on."""
    workbench, identity = workbench_on_each, workbench_on_each.identity
    add_user(workbench, "ana")
    here = _log_in(workbench)
    grants = [identity.codes.issue_grant(here, action, PASSWORD) for action in (ISSUE_ACTION, PAIR_ACTION)]
    pairing = workbench.keys.pair_start(here, grants[1], "http://127.0.0.1/api/v1")
    link = identity.accounts.issue_reset_link(ADMIN, "ana").reveal().rpartition("/")[2]
    identity.accounts.change_password(here, PASSWORD, NEW)

    with pytest.raises(NotAllowed):
        workbench.keys.issue(here, grants[0], "App", frozenset(Scope))
    with pytest.raises(InvalidInput):
        workbench.keys.pair_finish(pairing.code.reveal(), "Móvil")
    with pytest.raises(NotAllowed):
        identity.accounts.reset_password(Secret(link), PASSWORD)
    assert workbench.keys.list_keys(here) == []
    assert _log_in(workbench, password=NEW).username == "ana"


@pytest.mark.parametrize("role", [Role.USER, Role.ADMIN])
def test_another_role_ends_the_log_ins_and_another_name_does_not(workbench_on_each: Workbench, role: Role) -> None:
    """Up as well as down; whoever else is logged in stays."""
    workbench, ended = workbench_on_each, list[str]()
    other = Role.ADMIN if role is Role.USER else Role.USER
    workbench.identity.accounts.add_user(ADMIN, NewUser("ana", PASSWORD, role=other))
    workbench.identity.accounts.add_user(ADMIN, NewUser("zaida", PASSWORD, role=Role.ADMIN))
    ana, zaida = _log_in(workbench), _log_in(workbench, "zaida")
    workbench.identity.sessions.on_sessions_end(ended.extend)
    renamed = workbench.users.save(zaida, "ana", Particulars("Ana Paz", "", other), 1)
    alive = workbench.identity.sessions.find_actor(ana.session_hash)
    workbench.users.save(zaida, "ana", Particulars("Ana Paz", "", role), renamed.version)

    assert alive is not None
    assert ended == [ana.session_hash]
    assert workbench.identity.sessions.find_actor(ana.session_hash) is None
    assert workbench.identity.sessions.find_actor(zaida.session_hash) is not None


@pytest.mark.parametrize("by", ["page", "command line"])
@pytest.mark.parametrize("role", [Role.USER, Role.ADMIN])
def test_another_role_by_an_import_ends_the_log_ins_too(workbench_on_each: Workbench, role: Role, by: str) -> None:
    """Of whoever has got it; an import that leaves the role as it is ends nothing, whatever else it changes."""
    workbench, ended = workbench_on_each, list[str]()
    other = Role.ADMIN if role is Role.USER else Role.USER
    workbench.identity.accounts.add_user(ADMIN, NewUser("ana", PASSWORD, role=other))
    workbench.identity.accounts.add_user(ADMIN, NewUser("zaida", PASSWORD, role=Role.ADMIN))
    ana, zaida = _log_in(workbench), _log_in(workbench, "zaida")
    workbench.identity.sessions.on_sessions_end(ended.extend)
    who = zaida if by == "page" else ADMIN
    for brought in (other, role):
        user = {"name": "ana", "full_name": f"Ana {brought}", "role": brought.value}
        file = json.dumps({"format": "cloud-gestion", "version": 1, "users": [user]}).encode()
        alive = workbench.identity.sessions.find_actor(ana.session_hash)
        workbench.portable.apply(who, file)

    assert alive is not None
    assert alive.full_name == f"Ana {other}"
    assert ended == [ana.session_hash]
    assert workbench.identity.sessions.find_actor(ana.session_hash) is None
    assert workbench.identity.sessions.find_actor(zaida.session_hash) is not None
    with pytest.raises(LoginEnded):
        workbench.portable.export_user(ana, "ana")


def test_who_is_idle_for_too_long_exports_nothing(workbench_on_each: Workbench) -> None:
    """The page is still open; half an hour later its download, its list and its save are refused."""
    workbench, clock = workbench_on_each, HandClock()
    set_clock(workbench, clock)
    workbench.identity.accounts.add_user(ADMIN, NewUser("ana", PASSWORD, role=Role.ADMIN))
    ana = _log_in(workbench)
    before = workbench.portable.export_all(ana)
    clock.move(minutes=31)
    lines = workbench.activity.list(ADMIN)["items"]

    for late in (
        lambda: workbench.portable.export_all(ana),
        lambda: workbench.portable.export_user(ana, "ana"),
        lambda: list(workbench.activity.export_csv(ana, header=["x"] * 7, labels={})),
        lambda: workbench.users.save_own(ana, "Ana", "", 1),
    ):
        with pytest.raises(LoginEnded):
            late()
    assert '"ana"' in before
    assert workbench.activity.list(ADMIN)["items"] == lines


class TestTheClockIsSetBack:
    """By a day, after an hour at the wrong date; and forward again."""

    @pytest.fixture
    def clock(self, workbench_on_each: Workbench) -> HandClock:
        clock = HandClock()
        set_clock(workbench_on_each, clock)
        add_user(workbench_on_each, "ana")
        return clock

    def test_a_log_in_of_tomorrow_is_over_and_does_not_return(
        self, workbench_on_each: Workbench, clock: HandClock
    ) -> None:
        """It would live for a day and a half; a clock that is a few seconds off ends nothing."""
        workbench = workbench_on_each
        ana = _log_in(workbench)
        clock.move(seconds=-20)
        soon = workbench.identity.sessions.find_actor(ana.session_hash)
        clock.move(days=-1)
        with pytest.raises(LoginEnded):
            workbench.users.get(ana, "ana")
        back = workbench.identity.sessions.find_actor(ana.session_hash)
        clock.move(days=1, minutes=1)

        assert soon is not None
        assert back is None
        assert workbench.identity.sessions.find_actor(ana.session_hash) is None
        assert len(workbench.identity.sessions.list_sessions(_log_in(workbench))) == 1

    def test_nobody_waits_for_a_moment_of_tomorrow(self, workbench_on_each: Workbench, clock: HandClock) -> None:
        """The wait is gone with its day; the next failures make one that is as long as ever."""
        workbench, waits = workbench_on_each, list[float]()
        for _ in range(6):
            try:
                _log_in(workbench, password=NEW)
            except Throttled as throttled:
                clock.move(seconds=throttled.retry_after)
            except NotAllowed:
                pass
        clock.move(days=-1)
        with pytest.raises(NotAllowed):
            _log_in(workbench, password=NEW)
        with pytest.raises(Throttled) as throttled:
            _log_in(workbench)
        waits.append(throttled.value.retry_after)
        clock.move(seconds=waits[0])

        assert 1 < waits[0] <= 300
        assert _log_in(workbench).username == "ana"

    def test_no_stored_wait_is_longer_than_the_longest(self, workbench_on_each: Workbench, clock: HandClock) -> None:
        """Whatever made it so: a clock between two set ones, or a row of another version."""
        with pytest.raises(NotAllowed):
            _log_in(workbench_on_each, password=NEW)
        with workbench_on_each.database.session() as session:
            session.exec(update(ThrottleRow).values(next_allowed=clock.now + timedelta(days=1)))
        with pytest.raises(Throttled) as throttled:
            _log_in(workbench_on_each)

        assert throttled.value.retry_after == 300

    def test_codes_and_grants_of_tomorrow_open_nothing(self, workbench_on_each: Workbench, clock: HandClock) -> None:
        """They would outlive their minutes by a day; those of today open what they are for."""
        codes = workbench_on_each.identity.codes
        link = codes.issue_code(CodePurpose.FIRST_USE, None, timedelta(hours=1))
        grant = codes.issue_grant(_log_in(workbench_on_each), ISSUE_ACTION, PASSWORD)
        clock.move(days=-1)
        here = _log_in(workbench_on_each)
        with workbench_on_each.database.session() as session:
            with pytest.raises(NotAllowed):
                codes.consume_code(session, CodePurpose.FIRST_USE, link)
            with pytest.raises(NotAllowed):
                codes.consume_grant(session, here, grant, ISSUE_ACTION)
            today = codes.issue_code(CodePurpose.FIRST_USE, None, timedelta(hours=1), session)
            session.flush()
            codes.consume_code(session, CodePurpose.FIRST_USE, today)

        assert workbench_on_each.keys.issue(
            here, codes.issue_grant(here, ISSUE_ACTION, PASSWORD), "App", frozenset(Scope)
        ).id
