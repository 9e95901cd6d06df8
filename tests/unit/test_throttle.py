"""The throttle: how long a guesser waits, and that nobody waits for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlmodel import select

from cgcore.errors import NotAllowed, Throttled
from cgcore.identity.throttle import delay_after, source_key
from cgcore.storage.tables import ThrottleRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import IdentitySection
from tests.servers.identity import PASSWORD, CountingHasher, HandClock, add_user, set_clock

WRONG = Secret("no es esta clave")


def test_the_wait_doubles_from_one_second_and_has_an_end() -> None:
    """The first slip is free; the longest wait is five minutes."""
    waits = [delay_after(failures, free=1).total_seconds() for failures in (1, 2, 3, 4, 9, 10, 500)]

    assert waits == [0, 1, 2, 4, 128, 256, 300]


def test_a_source_is_an_address_or_a_connection() -> None:
    """One IPv6 connection has 2^64 addresses: they count as one. An unknown source counts as none."""
    one, other = source_key("2001:db8::1"), source_key("2001:db8::ffff")

    assert one == other
    assert source_key("2001:db8:0:1::1") != one
    assert source_key("::ffff:203.0.113.5") == source_key("203.0.113.5")
    assert source_key("") is None


def test_the_right_password_waits_like_any_other_and_then_works(workbench: Workbench) -> None:
    """While the account waits nothing is checked; after the wait the right password opens, and wipes the slate."""
    clock = HandClock()
    set_clock(workbench, clock)
    add_user(workbench)
    hasher = CountingHasher()
    identity = IdentitySection(workbench.context, hasher=hasher)
    for _ in range(2):
        with pytest.raises(NotAllowed):
            identity.sessions.log_in("ana", WRONG, ip="203.0.113.5")

    with pytest.raises(Throttled) as early:
        identity.sessions.log_in("ana", PASSWORD, ip="203.0.113.5")
    clock.move(seconds=early.value.retry_after)
    identity.sessions.log_in("ana", PASSWORD, ip="203.0.113.5")

    assert early.value.retry_after == 1
    assert hasher.checks == 3
    with pytest.raises(NotAllowed):
        identity.sessions.log_in("ana", WRONG, ip="203.0.113.5")


def test_an_unknown_account_waits_like_a_known_one(workbench: Workbench) -> None:
    """The throttle does not tell which names exist, and does not store what was typed as a name."""
    for _ in range(2):
        with pytest.raises(NotAllowed):
            workbench.identity.sessions.log_in("S3cr3t-ñ typed here", WRONG)

    with pytest.raises(Throttled):
        workbench.identity.sessions.log_in("S3cr3t-ñ typed here", WRONG)
    with workbench.database.session() as session:
        keys = [row.key for row in session.exec(select(ThrottleRow)).all()]
    assert len(keys) == 1
    assert "s3cr3t" not in keys[0].lower()


def test_many_accounts_from_one_source_make_the_source_wait(workbench: Workbench) -> None:
    """Trying one password on many names is slowed by the address; another address goes on."""
    clock = HandClock()
    set_clock(workbench, clock)
    add_user(workbench)
    for number in range(5):
        with pytest.raises(NotAllowed):
            workbench.identity.sessions.log_in(f"user{number}", WRONG, ip="203.0.113.5")

    with pytest.raises(Throttled):
        workbench.identity.sessions.log_in("ana", PASSWORD, ip="203.0.113.5")
    workbench.identity.sessions.log_in("ana", PASSWORD, ip="203.0.113.6")


def test_one_good_password_does_not_wash_the_source_clean(workbench_on_each: Workbench) -> None:
    """A guesser who owns an account cannot reset the count of the address with it."""
    clock = HandClock()
    set_clock(workbench_on_each, clock)
    add_user(workbench_on_each)
    for number in range(4):
        with pytest.raises(NotAllowed):
            workbench_on_each.identity.sessions.log_in(f"user{number}", WRONG, ip="203.0.113.5")

    workbench_on_each.identity.sessions.log_in("ana", PASSWORD, ip="203.0.113.5")

    with pytest.raises(NotAllowed):
        workbench_on_each.identity.sessions.log_in("user9", WRONG, ip="203.0.113.5")
    with pytest.raises(Throttled):
        workbench_on_each.identity.sessions.log_in("ana", PASSWORD, ip="203.0.113.5")


def test_an_hour_without_failures_forgets_them(workbench: Workbench) -> None:
    """Nobody is locked out for good."""
    clock = HandClock()
    set_clock(workbench, clock)
    add_user(workbench)
    for _ in range(12):
        with pytest.raises(NotAllowed):
            workbench.identity.sessions.log_in("ana", WRONG)
        clock.move(minutes=5)

    clock.move(hours=1)

    for _ in range(2):
        with pytest.raises(NotAllowed):
            workbench.identity.sessions.log_in("ana", WRONG)
    with pytest.raises(Throttled) as again:
        workbench.identity.sessions.log_in("ana", WRONG)
    assert timedelta(seconds=again.value.retry_after) == timedelta(seconds=1)


def test_tries_at_once_are_not_all_heard(workbench_on_each: Workbench) -> None:
    """Of eight at the same moment two are checked: the others see the ones before them."""
    set_clock(workbench_on_each, HandClock())
    add_user(workbench_on_each)
    hasher = CountingHasher()
    identity = IdentitySection(workbench_on_each.context, hasher=hasher)

    def guess(_: int) -> str:
        try:
            identity.sessions.log_in("ana", WRONG)
        except Throttled:
            return "throttled"
        except NotAllowed:
            return "checked"
        return "in"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(guess, range(8)))

    assert sorted(outcomes) == ["checked"] * 2 + ["throttled"] * 6
    assert hasher.checks == 2


def test_the_throttle_outlives_a_restart(workbench_on_each: Workbench) -> None:
    """It stands in the database: a second process over it waits as well."""
    add_user(workbench_on_each)
    clock = HandClock()
    set_clock(workbench_on_each, clock)
    for _ in range(2):
        with pytest.raises(NotAllowed):
            workbench_on_each.identity.sessions.log_in("ana", WRONG)

    restarted = Workbench(workbench_on_each.settings, workbench_on_each.database, clock=clock)

    with pytest.raises(Throttled):
        restarted.identity.sessions.log_in("ana", PASSWORD)


def test_re_authentication_counts_in_the_same_throttle(workbench: Workbench) -> None:
    """An open tab is no place to guess the password without waiting."""
    from cgcore.errors import InvalidInput

    set_clock(workbench, HandClock())
    add_user(workbench)
    actor = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    for _ in range(2):
        with pytest.raises(InvalidInput):
            workbench.identity.codes.issue_grant(actor, "issue_key", WRONG)

    with pytest.raises(Throttled):
        workbench.identity.accounts.change_password(actor, PASSWORD, Secret("otra bien larga"))
