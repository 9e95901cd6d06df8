"""Keys, pairings and links against a withdrawal that comes in the same moment: whichever is first, nothing survives."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from cgcore.api_keys.record import ISSUE_ACTION, PAIR_ACTION, ROLL_ACTION
from cgcore.errors import CloudGestionError, NotAllowed
from cgcore.identity.actor import Role, Scope
from cgcore.storage import api_keys, identity
from cgcore.storage.database import Database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity.passwords import Passwords
from cgcore.workbench.users import Particulars
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.identity import ADMIN

NEW, BY_LINK = Secret("otra frase bien larga"), Secret("la frase del enlace")
ADDRESS = "http://127.0.0.1/api/v1"

_Use = Callable[[], Secret]
"""Uses what was prepared, and returns what it opens: a key, or a password."""


def _issue(workbench: Workbench, ana: Person) -> _Use:
    grant = ana.grant(workbench, ISSUE_ACTION)
    return lambda: workbench.keys.issue(ana.actor, grant, "App", frozenset(Scope)).key


def _roll(workbench: Workbench, ana: Person) -> _Use:
    old, grant = issue_key(workbench, ana), ana.grant(workbench, ROLL_ACTION)
    return lambda: workbench.keys.roll(ana.actor, grant, old.id).key


def _roll_own(workbench: Workbench, ana: Person) -> _Use:
    actor = asyncio.run(workbench.keys.access.find_actor(issue_key(workbench, ana).key.reveal()))
    assert actor is not None
    return lambda: workbench.keys.roll_own(actor).key


def _pair(workbench: Workbench, ana: Person) -> _Use:
    code = workbench.keys.pair_start(ana.actor, ana.grant(workbench, PAIR_ACTION), ADDRESS).code
    return lambda: workbench.keys.pair_finish(code.reveal(), "Móvil").key


def _reset(workbench: Workbench, ana: Person) -> _Use:
    link = workbench.identity.accounts.issue_reset_link(ADMIN, ana.actor.username).reveal().rpartition("/")[2]

    def use() -> Secret:
        workbench.identity.accounts.reset_password(Secret(link), BY_LINK)
        return BY_LINK

    return use


USES = {"issue": _issue, "roll": _roll, "roll_own": _roll_own, "pair": _pair, "reset": _reset}


def _change_password(workbench: Workbench, name: str) -> None:
    workbench.identity.accounts.set_password(ADMIN, name, NEW)


def _disable(workbench: Workbench, name: str) -> None:
    workbench.identity.accounts.disable_user(ADMIN, name)


def _demote(workbench: Workbench, name: str) -> None:
    version = workbench.users.get(ADMIN, name).version
    workbench.users.save(ADMIN, name, Particulars("", "", Role.USER), version)


CHANGES = {"password": _change_password, "disable": _disable, "role": _demote}


def _person(workbench: Workbench, name: str) -> Person:
    return add_person(workbench, name, role=Role.ADMIN)


def _opened_role(workbench: Workbench, name: str, opened: Secret) -> Role | None:
    """Return with which role a key or a password lets ``name`` act, None where it does not."""
    if opened is not BY_LINK:
        actor = asyncio.run(workbench.keys.access.find_actor(opened.reveal()))
        return actor.role if actor else None
    try:
        return workbench.identity.sessions.log_in(name, opened).actor.role
    except NotAllowed:
        return None


def _is_waited_for(database: Database) -> bool:
    """Whether somebody waits for a transaction: in the queue of SQLite's writers, or for a lock of PostgreSQL."""
    if database.is_sqlite:
        return bool(database._writers._waiting)
    with database.engine.connect() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(connection.execute(text(waiting)).scalar())


@dataclass
class Meanwhile:
    """Begins ``change`` in another thread when ``module.name`` is called; goes on once it waits, or is through."""

    database: Database
    change: Callable[[], object]
    seen: list[bool] = field(default_factory=list[bool])

    @contextmanager
    def at(self, module: object, name: str) -> Iterator[None]:
        call, lock = getattr(module, name), threading.Lock()
        with ThreadPoolExecutor(1) as threads, pytest.MonkeyPatch.context() as patch:
            begun: list[Future[object]] = []

            def begin_first(*given: object, **named: object) -> object:
                with lock:
                    first = not begun
                    if first:
                        begun.append(threads.submit(self.change))
                if first:
                    self.seen.append(self._waits(begun[0]))
                return call(*given, **named)

            patch.setattr(module, name, begin_first)
            yield
            begun[0].result(timeout=20)

    def _waits(self, change: Future[object]) -> bool:
        until = time.monotonic() + 20
        while not change.done() and time.monotonic() < until:
            if _is_waited_for(self.database):
                return True
        return False


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_opened_while_it_is_withdrawn_is_closed_with_the_rest(
    workbench_on_each: Workbench, change: str
) -> None:
    """The withdrawal comes just before the row is written: it waits for the transaction, and then finds the row."""
    workbench = workbench_on_each
    _person(workbench, "raiz")
    for use, prepare in USES.items():
        use_it = prepare(workbench, _person(workbench, use))
        meanwhile = Meanwhile(workbench.database, lambda use=use: CHANGES[change](workbench, use))
        place = (identity, "save_password_hash") if use == "reset" else (api_keys, "add_key")
        with meanwhile.at(*place):
            opened = use_it()

        assert meanwhile.seen == [True], use
        assert _opened_role(workbench, use, opened) is (Role.USER if change == "role" else None), use


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_allowed_before_it_was_withdrawn_opens_nothing_after(
    workbench_on_each: Workbench, change: str
) -> None:
    """The grant, the code, the link or the key was good a moment ago, and is not when the account is open again."""
    workbench = workbench_on_each
    _person(workbench, "raiz")
    for use, prepare in USES.items():
        use_it = prepare(workbench, _person(workbench, use))
        CHANGES[change](workbench, use)
        # Another role ends the log-ins; a link, a code and a key belong to the person, who acts with the new one.
        if change == "role" and use in ("pair", "reset", "roll_own"):
            assert _opened_role(workbench, use, use_it()) is Role.USER
            continue
        with pytest.raises(CloudGestionError):
            use_it()
        if change == "disable":
            workbench.identity.accounts.enable_user(ADMIN, use)
            with pytest.raises(CloudGestionError):
                use_it()
        assert not [key for key in _live_keys(workbench, use) if change != "role"], use


def _live_keys(workbench: Workbench, name: str) -> list[str]:
    with workbench.database.read() as session:
        user = identity.find_user_by_key(session, name)
        assert user is not None
        keys = api_keys.list_keys(session, user.id or 0)
    return [key.id for key in keys if key.state(workbench.clock()).is_heard]


@pytest.mark.parametrize("change", ["password", "disable"])
def test_a_link_that_is_withdrawn_while_its_password_is_hashed_sets_none(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The one step of a reset that takes time stands between its look at the link and its transaction."""
    workbench = workbench_on_each
    _person(workbench, "raiz")
    use_it, make_hash, left = _reset(workbench, _person(workbench, "ana")), Passwords.make_hash, [CHANGES[change]]

    def hash_then_change(self: Passwords, password: Secret) -> str:
        made = make_hash(self, password)
        if left:
            left.pop()(workbench, "ana")
        return made

    monkeypatch.setattr(Passwords, "make_hash", hash_then_change)
    with pytest.raises(NotAllowed) as refused:
        use_it()
    if change == "disable":
        workbench.identity.accounts.enable_user(ADMIN, "ana")

    assert refused.value.code == "code_invalid"
    assert left == []
    assert _opened_role(workbench, "ana", BY_LINK) is None
