"""Two processes on one PostgreSQL, attacked in the same moment: what is good once is used once."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cgcore.api_keys.record import ISSUE_ACTION, PAIR_ACTION, ROLL_ACTION
from cgcore.identity.actor import Actor
from cgcore.settings import load_settings
from cgcore.storage.database import open_database
from cgcore.storage.revision import HEAD_REVISION
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import CodePurpose
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.identity import ADMIN
from tests.servers.postgres import PostgresServer
from tests.servers.rivals import Rivals, meet

pytestmark = pytest.mark.usefixtures("by_migrations")

ADDRESS = "http://127.0.0.1/api/v1"


class House:
    """One database with its processes: those that are raced, and the one of the test."""

    def __init__(self, rivals: Rivals, workbench: Workbench) -> None:
        self.rivals, self.workbench = rivals, workbench

    def refusals(self, thing: str, *given: object) -> list[str]:
        """Let them all try; return what the others were told beside the one that did it."""
        outcomes = self.rivals.attempt(thing, *given)
        assert outcomes.count("done") == 1, (thing, outcomes)
        return sorted(set(outcomes) - {"done"})

    def live_keys(self, actor: Actor) -> list[str]:
        now = self.workbench.clock()
        return [key.id for key in self.workbench.keys.list_keys(actor) if key.state(now).is_heard]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[House]:
    """Two processes that have opened an empty database in the same moment."""
    folder = tmp_path_factory.mktemp("rivals")
    url = postgres_server.create_database("t_" + secrets.token_hex(6))
    with meet(url, folder) as rivals:
        rivals.open()
        settings = load_settings(database_url=url, data_dir=folder / "own", config_dir=folder / "config")
        database = open_database(settings.resolved_database_url())
        assert database.stored_revision() == HEAD_REVISION
        workbench = Workbench(settings, database)
        yield House(rivals, workbench)
        workbench.close()


@pytest.fixture(scope="module")
def ana(house: House) -> Person:
    """The one administrator whom six at once have made."""
    code = house.workbench.identity.accounts.issue_first_use_code()
    refused = house.refusals("first_use", code.reveal(), "raiz")
    again = house.rivals.attempt("first_use", code.reveal(), "otra")
    # Who comes behind the one that did it finds the account there, or already no code.
    assert set(refused) <= {"first_use_done", "code_invalid"}
    assert set(again) == {"first_use_done"}
    assert [user.username for user in house.workbench.users.list(ADMIN)["items"]] == ["raiz"]
    return add_person(house.workbench, "ana")


def test_a_grant_makes_one_key(house: House, ana: Person) -> None:
    """For a new key, and for one that follows another."""
    refused = house.refusals("issue", ana.grant(house.workbench, ISSUE_ACTION), *_who(ana))
    (first,) = house.live_keys(ana.actor)
    rolled = house.refusals("roll", ana.grant(house.workbench, ROLL_ACTION), first, *_who(ana))

    assert (refused, rolled) == (["grant_invalid"], ["grant_invalid"])
    assert len(house.live_keys(ana.actor)) == 2


def test_keys_that_are_rolled_at_once_leave_one_successor(house: House) -> None:
    """Each process with a grant of its own: the last one counts, and nobody holds a key that is still good unseen."""
    eva = add_person(house.workbench, "eva")
    old = issue_key(house.workbench, eva)
    for _ in range(2):
        house.refusals("roll", eva.grant(house.workbench, ROLL_ACTION), old.id, *_who(eva))
    live = house.live_keys(eva.actor)

    assert old.id in live
    assert len(live) == 2


def test_a_code_pairs_one_device_and_a_link_sets_one_password(house: House) -> None:
    """The others are told what an unknown code is told, and whoever has the password is in."""
    luis = add_person(house.workbench, "luis")
    pairing = house.workbench.keys.pair_start(luis.actor, luis.grant(house.workbench, PAIR_ACTION), ADDRESS)
    paired = house.refusals("pair", pairing.code.reveal())
    link = house.workbench.identity.codes.issue_code(
        CodePurpose.PASSWORD_RESET, luis.actor.user_id, timedelta(minutes=10)
    )
    devices = house.live_keys(luis.actor)
    set_by_link = house.refusals("reset", link.reveal())
    entered = house.workbench.identity.sessions.log_in("luis", Secret("otra frase bastante larga")).actor

    assert (paired, set_by_link) == (["invalid_input"], ["code_invalid"])
    assert len(devices) == 1
    assert house.live_keys(entered) == []


def test_tries_of_a_password_are_counted_over_both(house: House) -> None:
    """Of six at the same moment, in two processes, two are heard: as many as in one."""
    add_person(house.workbench, "berta")
    outcomes = house.rivals.attempt("log_in", "berta", datetime.now(UTC).isoformat())

    assert outcomes == ["throttled"] * 4 + ["wrong_credentials"] * 2


def _who(person: Person) -> tuple[int, str]:
    return person.actor.user_id, person.actor.session_hash
