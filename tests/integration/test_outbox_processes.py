"""Workers as processes of their own: killed and frozen between any two commits, and two at once on PostgreSQL."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import col, select, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.pace import ProviderPace
from cgcore.outbox.message import MessageFilters
from cgcore.outbox.states import State
from cgcore.settings import Settings
from cgcore.storage.database import Database, open_database
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxSlotRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox import pace
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.conftest import make_settings
from tests.servers.house import add_series, add_user
from tests.servers.many_messages import multiply
from tests.servers.postgres import PostgresServer
from tests.servers.scripted import ScriptedServer, SmtpScript
from tests.servers.wire import Wire

ROOT = Path(__file__).parents[2]
_MASTER_KEY = "Y2xhdmUgZGUgcHJ1ZWJhcyBkZSB0cmVpbnRhIHkgZG8="
_PASSWORD = "correcto-Caballo.9"
_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", ("c0@example.com",), subject="Va {numero}", body="<p>Hola</p>", signature=""
)


class _Stage:
    """A server that stops before it says ``at`` for the ``nth`` time, until it is let go; then it plays on."""

    def __init__(self, at: bytes, nth: int = 1) -> None:
        self._at, self._left = at, nth
        self.reached, self.go = threading.Event(), threading.Event()
        self._played = SmtpScript(users={})

    def __call__(self, wire: Wire) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if self._at in data and self._left:
                self._left -= 1
                if not self._left:
                    self.reached.set()
                    self.go.wait(60)
            say(data)

        wire.send = send
        self._played(wire)


def _furnish(workbench: Workbench, port: int, people: int = 1) -> list[Actor]:
    admin = add_user(workbench, "admin", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    found: list[Actor] = []
    for number in range(people):
        address = f"ana{number}@example.com"
        person = replace(add_user(workbench, f"ana{number}"), mail=address)
        draft = MailAccountDraft(address, Secret(_PASSWORD), ServerDraft("127.0.0.1", port, Security.NONE))
        workbench.mail_account.save(person, draft, version=0)
        found.append(person)
    return found


# Of the servers on loopback nobody knows how many connections they allow.
_ALLOWING = """
import sys
from cgcore.cli import main
from cgcore.mail.pace import ProviderPace
from cgcore.workbench.outbox import pace

pace.find_pace = lambda host, address: ProviderPace("known", connections={}, confidence="A")
sys.exit(main(["worker"]))
"""


@contextmanager
def _worker(settings: Settings, database: Database, *, connections: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CG_")}
    environment |= {
        "CG_DATA_DIR": str(settings.data_dir),
        "CG_CONFIG_DIR": str(settings.config_dir),
        "CG_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "CG_MAIL_ALLOW_PRIVATE": "127.0.0.0/8",
        "CG_SANDBOX": "off",
        "CG_MASTER_KEY": _MASTER_KEY,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    program = ["-c", _ALLOWING.format(connections)] if connections else ["-m", "cgcore", "worker"]
    process = subprocess.Popen([sys.executable, *program], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bench(tmp_path: Path, database: Database) -> Iterator[Workbench]:
    """A workbench whose secrets another process can read."""
    workbench = Workbench(make_settings(tmp_path, sandbox="off", master_key=_MASTER_KEY), database)
    yield workbench
    workbench.close()


def _states(workbench: Workbench, ana: Actor) -> list[State]:
    return [message.state for message in workbench.outbox.list(ana, MessageFilters(), limit=200).messages][::-1]


def _expire(workbench: Workbench) -> None:
    """Let every lease be over, as if a minute had passed."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with workbench.database.session() as session:
        working = update(OutboundMessageRow).where(col(OutboundMessageRow.lease_until).is_not(None))
        session.exec(working.values(lease_until=past))
        session.exec(update(OutboxSlotRow).values(lease_until=past))
    workbench.outbox.worker._queue.expire(has_ended=lambda _owner: False)


_POINTS = [
    (b"220 mail.test", 1, [State.CLAIMED] * 3),
    (b"235 2.7.0", 1, [State.CLAIMED] * 3),
    (b"250 2.1.0", 1, [State.CLAIMED] * 3),
    (b"354 ", 1, [State.CLAIMED] * 3),
    (b"250 2.0.0 Ok: queued", 1, [State.IN_FLIGHT, State.CLAIMED, State.CLAIMED]),
    (b"250 2.0.0 Ok: queued", 2, [State.SENT, State.IN_FLIGHT, State.CLAIMED]),
]


@pytest.mark.parametrize(("at", "nth", "expected"), _POINTS)
def test_killed_between_any_two_commits_nothing_is_lost_and_nothing_doubled(
    bench: Workbench, at: bytes, nth: int, expected: list[State]
) -> None:
    """What was claimed goes with the next worker, what may have left is unknown; accepted is sent and unknown."""
    stage = _Stage(at, nth)
    with ScriptedServer(stage) as server:
        (ana,) = _furnish(bench, server.port)
        for number in range(3):
            bench.outbox.send(ana, replace(_REQUEST, number=str(number)), str(number))
        with _worker(bench.settings, bench.database) as process:
            assert stage.reached.wait(60)
            working = _states(bench, ana)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        stage.go.set()
        bench.outbox.worker.work_once()
        ended = _states(bench, ana)
        bench.outbox.worker.work_once()

    assert working == expected
    assert ended == [State.UNKNOWN if state is State.IN_FLIGHT else State.SENT for state in expected]
    assert _states(bench, ana) == ended
    assert len(server.messages) == len(set(server.messages)) == 3


@pytest.mark.parametrize(("at", "nth", "expected"), [_POINTS[0], _POINTS[3], _POINTS[5]])
def test_a_worker_that_was_frozen_past_its_lease_sends_no_dot_when_it_wakes(
    bench: Workbench, at: bytes, nth: int, expected: list[State]
) -> None:
    """Others have gone on meanwhile; its late word counts only for what it had handed over itself."""
    stage = _Stage(at, nth)
    with ScriptedServer(stage) as server:
        (ana,) = _furnish(bench, server.port)
        for number in range(3):
            bench.outbox.send(ana, replace(_REQUEST, number=str(number)), str(number))
        with _worker(bench.settings, bench.database) as process:
            assert stage.reached.wait(60)
            assert _states(bench, ana) == expected
            process.send_signal(signal.SIGSTOP)
            _expire(bench)
            between = _states(bench, ana)
            bench.outbox.worker.work_once()
            taken_over = len(server.messages)
            process.send_signal(signal.SIGCONT)
            stage.go.set()
            assert server.wait_for_goodbye(30)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        bench.outbox.worker.work_once()

    assert between == [
        {State.CLAIMED: State.QUEUED, State.IN_FLIGHT: State.UNKNOWN}.get(state, state) for state in expected
    ]
    assert taken_over == 3
    assert len(server.messages) == len(set(server.messages)) == 3
    assert _states(bench, ana) == [State.SENT] * 3, "the late result of what was unknown is the truth about it"


# ---- Two processes


class _Counting:
    """A server that counts connections of each account, and whom each message was for."""

    def __init__(self, wanted: int, *, together: int = 0) -> None:
        self._together, self.met = together, threading.Event()
        self._lock, self._played, self._wanted = threading.Lock(), SmtpScript(users={}), wanted
        self.open: Counter[bytes] = Counter()
        self.most = 0
        self.taken: Counter[bytes] = Counter()
        self.some = threading.Event()

    def __call__(self, wire: Wire) -> None:
        read, keep, named = wire.read_line, wire.keep, {b"who": b"", b"to": b""}

        def read_line() -> bytes:
            line = read()
            if line.upper().startswith(b"MAIL FROM") and not named[b"who"]:
                named[b"who"] = line.split(b"<")[1].split(b">")[0]
                with self._lock:
                    self.open[named[b"who"]] += 1
                    self.most = max(self.most, self.open[named[b"who"]])
                    if self.most >= self._together:
                        self.met.set()
            elif line.upper().startswith(b"RCPT TO"):
                named[b"to"] = line.split(b"<")[1].split(b">")[0]
            return line

        def kept(message: bytes) -> None:
            with self._lock:
                self.taken[named[b"who"] + b" " + named[b"to"]] += 1
                count = sum(self.taken.values())
            keep(message)
            # Who came first is answered once the others are there.
            assert self.met.wait(60)
            if count >= self._wanted // 4:
                self.some.set()

        wire.read_line, wire.keep = read_line, kept
        try:
            self._played(wire)
        finally:
            with self._lock:
                self.open[named[b"who"]] -= 1


def _wait_until_settled(database: Database) -> None:
    moving = [state.value for state in (State.QUEUED, State.CLAIMED, State.IN_FLIGHT)]
    for _ in range(400):
        with database.read() as session:
            if (
                session.exec(select(OutboundMessageRow.id).where(col(OutboundMessageRow.state).in_(moving))).first()
                is None
            ):
                return
        threading.Event().wait(0.25)
    raise AssertionError("something is still on its way")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("people", "connections"), [(1, 3), (50, 0)])
def test_two_processes_share_the_work_and_one_of_them_is_killed(
    tmp_path: Path, postgres_server: PostgresServer, people: int, connections: int
) -> None:
    """500 messages of one account, and of fifty: each is taken once, over as many connections as a provider allows.

    One account has three over both processes, none of fifty has more than the one of an unknown provider.
    """
    database = open_database(postgres_server.create_migrated_database(f"two_{secrets.token_hex(6)}"))
    workbench = Workbench(make_settings(tmp_path, sandbox="off", master_key=_MASTER_KEY), database)
    counting = _Counting(500, together=2 if connections else 1)
    with ScriptedServer(counting) as server:
        for person in _furnish(workbench, server.port, people):
            message, _ = workbench.outbox.send(person, _REQUEST, "k")
            multiply(database, message.id, 500 // people)
        start = partial(_worker, workbench.settings, database, connections=connections)
        with start() as first, start():
            assert counting.some.wait(60)
            first.kill()
            first.wait(20)
            _wait_until_settled(database)
            assert server.wait_for_goodbye(20)
    with database.read() as session:
        states = Counter(session.exec(select(OutboundMessageRow.state)).all())
    workbench.close()
    database.close()

    assert set(states) <= {"sent", "unknown"}
    assert states["unknown"] <= 8, "at most one of each connection of the one that was killed"
    assert sum(states.values()) == 500
    assert max(counting.taken.values()) == 1
    assert states["sent"] <= len(counting.taken) <= 500
    assert counting.most <= (connections or 1)
    assert counting.most > 1 or not connections, "several at once were seen"


def test_one_process_sends_over_several_connections(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the provider allows, also on SQLite: one waits for its answer while the others send."""
    known = ProviderPace("known", connections=3, confidence="A")
    monkeypatch.setattr(pace, "find_pace", lambda _host, _address: known)
    counting = _Counting(40, together=2)
    with ScriptedServer(counting) as server:
        (ana,) = _furnish(bench, server.port)
        message, _ = bench.outbox.send(ana, _REQUEST, "k")
        multiply(bench.database, message.id, 40)
        bench.outbox.worker.start()
        _wait_until_settled(bench.database)
        bench.outbox.worker.close()

    assert set(_states(bench, ana)) == {State.SENT}
    assert len(server.messages) == len(set(server.messages)) == 40
    assert 2 <= counting.most <= 3
    assert max(counting.taken.values()) == 1
