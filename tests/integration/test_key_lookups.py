"""What a call of the API asks PostgreSQL: one question, shared by those who wait, and never an answer of before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from cgcore.company.company import CompanyDraft
from cgcore.errors import StorageError
from cgcore.settings import Settings
from cgcore.storage.api_keys import FoundKeys
from cgcore.storage.changes import carry_stamp
from cgcore.storage.database import Database
from cgcore.workbench import Workbench
from cgcore.workbench.key_access import _Lookups
from tests.servers.api_server import serve_api
from tests.servers.api_users import add_person, issue_key
from tests.servers.costs import counting
from tests.servers.identity import ADMIN
from tests.servers.pages import sign_in

_ACCOUNT = {
    "smtp": {"host": "mail.tosma.es", "port": 587, "security": "starttls"},
    "imap": {"host": "mail.tosma.es", "port": 993, "security": "ssl", "pin": ""},
    "read_receipt": False,
    "sent_folder": "",
}


class Questions:
    """Stands for the database: each question waits until it may be answered."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.fails = False
        self._begun, self._may_answer = threading.Semaphore(0), threading.Semaphore(0)

    def find_all(self, ids: Collection[str]) -> FoundKeys:
        self.asked.append(set(ids))
        self._begun.release()
        assert self._may_answer.acquire(timeout=20)
        if self.fails:
            raise StorageError("away", code="storage_away")
        return FoundKeys({}, len(self.asked))

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.acquire, timeout=20)

    def answer(self) -> None:
        self._may_answer.release()


async def _gather(questions: Questions, answers: int) -> list[Any]:
    """Ask for one key, and for nine more while that is under way; each is given its end."""
    lookups = _Lookups(questions.find_all)
    first = asyncio.ensure_future(lookups.find("k0"))
    await questions.begun()
    others = [asyncio.ensure_future(lookups.find(f"k{number}")) for number in range(1, 10)]
    await asyncio.sleep(0)
    for _ in range(answers):
        questions.answer()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_calls_that_wait_share_one_question() -> None:
    """Ten callers, two questions; who came while the first was under way is answered by the second alone."""
    questions = Questions()
    found = asyncio.run(_gather(questions, answers=2))

    assert questions.asked == [{"k0"}, {f"k{number}" for number in range(1, 10)}]
    assert [each.stamp for each in found] == [1] + [2] * 9


def test_nobody_waits_for_the_same_silence_twice() -> None:
    """Who gathered behind a question that failed is told so at once; the one after that is asked again."""
    questions = Questions()
    questions.fails = True

    async def fail_and_ask() -> FoundKeys:
        assert {type(each) for each in await _gather(questions, answers=1)} == {StorageError}
        questions.fails = False
        questions.answer()
        return await _Lookups(questions.find_all).find("k0")

    again = asyncio.run(fail_and_ask())

    assert (questions.asked, again.stamp) == ([{"k0"}, {"k0"}], 2)


def test_a_caller_who_goes_away_ends_nobody_elses_question() -> None:
    """It is asked and answered for those who stay."""
    questions = Questions()

    async def leave() -> FoundKeys:
        lookups = _Lookups(questions.find_all)
        leaving, staying = (asyncio.ensure_future(lookups.find(name)) for name in ("k0", "k1"))
        await questions.begun()
        leaving.cancel()
        questions.answer()
        return await staying

    assert asyncio.run(leave()).stamp == 1
    assert questions.asked == [{"k0", "k1"}]


def test_a_stamp_that_is_carried_is_taken_once(database: Database) -> None:
    """In its block, by its own database, and by nobody else; a write after it makes the next one another."""
    stamps = database.stamps
    stamps.hand_over("lost")
    with carry_stamp():
        stamps.hand_over("seen")
        taken = [stamps.take(), stamps.take()]
        stamps.hand_over("left")
    other = Database(database.url.render_as_string(hide_password=False))
    with carry_stamp():
        stamps.hand_over("theirs")
        foreign = other.stamps.take()
    other.close()

    assert taken[0] == "seen"
    assert not {taken[1], foreign, stamps.take()} & {"lost", "seen", "left", "theirs"}


@pytest.fixture
def bench(settings: Settings, database: Database) -> Iterator[Workbench]:
    """A workbench on each database."""
    workbench = Workbench(settings, database)
    yield workbench
    workbench.close()


def test_a_call_that_reads_asks_once_and_sees_every_commit_before_it(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PostgreSQL no question beside that for the key; with SQLite a stamp costs nothing. Two kinds of change are
    seen at once: of what is looked at, and of the key.
    """
    ana = add_person(bench, "ana")
    issued = issue_key(bench, ana)
    jefa, asked = sign_in(bench, "jefa", ADMIN.role), _count_stamps(bench, monkeypatch)
    with serve_api(bench) as server, server.client(issued.key.reveal()) as client:
        client.get("/me")
        bench.company.save(jefa, CompanyDraft("Antes"), bench.company.get(jefa).version)
        before, _ = _name_of(client), asked.clear()
        for _ in range(5):
            assert _name_of(client) == "Antes"
        costs = len(asked)
        bench.company.save(jefa, CompanyDraft("Después"), bench.company.get(jefa).version)
        after = _name_of(client)
        bench.keys.revoke(ana.actor, issued.id)
        refused = client.get("/me").status_code

    assert (before, after, refused) == ("Antes", "Después", 401)
    assert costs == (5 if bench.database.is_sqlite else 0)


def test_a_call_that_writes_looks_at_what_it_has_written(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is answered, and every look asks anew: what the check of its key saw is no use to it."""
    ana = add_person(bench, "ana")
    issued, asked = issue_key(bench, ana), _count_stamps(bench, monkeypatch)
    with serve_api(bench) as server, server.client(issued.key.reveal()) as client:
        before, _ = client.get("/mail-account"), asked.clear()
        saved = client.put(
            "/mail-account", json={"user": "ana@tosma.es", **_ACCOUNT}, headers={"If-Match": before.headers["etag"]}
        )
        looks = len(asked)
        after = client.get("/mail-account")

    assert saved.status_code == 200, saved.text
    assert [answer.json()["user"] for answer in (saved, after)] == ["ana@tosma.es"] * 2
    assert looks == 2
    assert before.headers["etag"] != saved.headers["etag"] == after.headers["etag"]


def test_after_a_commit_elsewhere_calls_with_several_keys_read_once_what_is_everybodys(bench: Workbench) -> None:
    """Statistics alone are a commit a second in every process. Who calls was read with the key; the company is one."""
    ana = add_person(bench, "ana")
    keys = [issue_key(bench, ana).key.reveal() for _ in range(4)]
    with serve_api(bench) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.client(key)) for key in keys]
        for client in clients:
            client.get("/me")
        bench.keys.access.flush()
        with counting(bench.database) as cost:
            names = [_name_of(client) for client in clients]

    assert names == [""] * 4
    # SQLite has no stamp with its keys: who calls is read with each.
    assert cost.selects <= (9 if bench.database.is_sqlite else 1)


def test_a_text_that_is_rendered_asks_as_little_as_a_read(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its method: it changes nothing."""
    ana = add_person(bench, "ana")
    issued, asked = issue_key(bench, ana), _count_stamps(bench, monkeypatch)
    with serve_api(bench) as server, server.client(issued.key.reveal()) as client:
        client.get("/me")
        asked.clear()
        answers = [client.post("/templates/quote/render", json={"subject": "Va {numero}"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(asked) == (3 if bench.database.is_sqlite else 0)


def test_a_key_that_is_revoked_while_its_body_comes_in_is_not_answered(bench: Workbench) -> None:
    """By another process; what the check of the key has seen says nothing of later."""
    ana = add_person(bench, "ana")
    issued, moment, checked = issue_key(bench, ana), [0.0], threading.Event()
    elsewhere = Workbench(bench.settings, Database(bench.database.url.render_as_string(hide_password=False)))

    def now() -> float:
        told = moment[0]
        checked.set()
        return told

    def bring() -> Iterator[bytes]:
        yield b'{"subject": '
        assert checked.wait(20)
        elsewhere.keys.revoke(ana.actor, issued.id)
        moment[0] += 1.5
        yield b'"Va {numero}"}'

    with serve_api(bench, now=now) as server, server.client(issued.key.reveal()) as client:
        before = client.get("/me").status_code
        checked.clear()
        slow = client.post("/templates/quote/render", content=bring(), headers={"Content-Type": "application/json"})
    elsewhere.close()

    assert (before, slow.status_code) == (200, 403), slow.text


def _count_stamps(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each question for a stamp alone."""
    asked, kind = list[int](), type(bench.database.stamps)
    ask = kind._ask
    monkeypatch.setattr(kind, "_ask", lambda *given: (asked.append(1), ask(*given))[1])
    return asked


def _name_of(client: httpx.Client) -> str:
    return client.get("/me").json()["company"]["name"]
