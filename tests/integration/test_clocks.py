"""A clock that is set a day back, or forth and back: what was noted meanwhile stands in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from cryptography import x509

from cgcore.api_keys.calls import CallRecord
from cgcore.identity.actor import Actor
from cgcore.sandbox import authority
from cgcore.sandbox.state import CA_FILE
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.house import add_user
from tests.servers.identity import HandClock, set_clock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def bench(settings: Settings, database: Database, clock: HandClock) -> Iterator[Workbench]:
    """A workbench on each database, with the clock of the test."""
    workbench = Workbench(settings, database, clock=clock)
    yield workbench
    workbench.close()


def _logged_in(bench: Workbench, person: Person) -> Actor:
    return bench.identity.sessions.log_in(person.actor.username, Secret(person.password)).actor


@pytest.mark.parametrize("jump", [{"days": 0}, {"days": 1}], ids=["back", "forth and back"])
def test_a_use_of_tomorrow_counts_as_none_and_the_next_one_counts(
    bench: Workbench, clock: HandClock, jump: dict[str, float]
) -> None:
    """The key is heard all along; its calls stay in the order in which they came, each on the day it was told."""
    ana = add_person(bench, "ana")
    issued, other = issue_key(bench, ana), issue_key(bench, ana, "Otra")
    access = bench.keys.access
    clock.move(**jump)
    for _ in range(2):
        asyncio.run(access.find_actor(issued.key.reveal()))
        access.record_call(issued.id, CallRecord(clock.now, "GET", "/mañana", 200, 3, "192.0.2.7"))
    access.flush()
    clock.move(days=-1)
    here = _logged_in(bench, ana)
    seen = {key.id: key.last_used for key in bench.keys.list_keys(here)}
    line = bench.keys.overview(here)
    before = bench.keys.calls(here, issued.id)
    heard = asyncio.run(access.find_actor(issued.key.reveal()))
    access.record_call(issued.id, CallRecord(clock.now, "GET", "/hoy", 200, 3, "192.0.2.8"))
    after = next(key for key in bench.keys.list_keys(here) if key.id == issued.id)
    calls = bench.keys.calls(here, issued.id)

    assert seen == {issued.id: None, other.id: None}
    assert line.code == "key_unused"
    assert before.days[-1].calls == 0
    assert heard is not None
    assert (after.last_used, after.last_ip) == (clock.now, "192.0.2.8")
    assert [call.path for call in calls.last] == ["/hoy", "/mañana", "/mañana"]
    assert calls.days[-1].calls == 1


def test_what_is_typed_now_is_kept_beside_drafts_of_tomorrow(workbench_on_each: Workbench) -> None:
    """It is the first that is offered, and the last that is forgotten; those of tomorrow are not lost."""
    clock = HandClock()
    set_clock(workbench_on_each, clock)
    ana, drafts = add_user(workbench_on_each, "ana"), workbench_on_each.drafts
    clock.move(days=1)
    for tab in range(6):
        drafts.keep(ana, "profile", f"mañana {tab}", {"full_name": "A"})
        drafts.flush(ana)
        clock.move(seconds=1)
    clock.move(days=-1)
    here = workbench_on_each.drafts
    here.keep(ana, "profile", "hoy", {"full_name": "Ana"})
    here.flush(ana)
    kept = [draft.tab for draft in here.list_drafts(ana, "profile")]

    assert kept == ["hoy", "mañana 5", "mañana 4", "mañana 3", "mañana 2"]
    assert here.find(ana, "profile", "hoy") is not None


def test_certificates_of_the_test_mailbox_hold_when_the_clock_goes_back(workbench: Workbench, tmp_path: Path) -> None:
    """One that is not valid yet would make every test fail for a day; one from further ahead is made anew."""
    folder = tmp_path / "sandbox"
    authority.make_server_context(folder, workbench.vault)
    made = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
    loaded = authority._load_authority(folder, workbench.vault)

    class Back(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) - timedelta(days=30)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority, "datetime", Back)
        long_before = authority._load_authority(folder, workbench.vault)

    assert made.not_valid_before_utc <= datetime.now(UTC) - timedelta(days=1)
    assert loaded is not None
    assert loaded[0] == made
    assert long_before is None
