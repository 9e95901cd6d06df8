"""The check of every API call, and the calls it leaves behind.

Apart from :mod:`cgcore.workbench.keys`: that one serves a person, this one every call.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cgcore.activity import Action
from cgcore.api_keys.calls import CallBuffer, CallRecord
from cgcore.api_keys.form import KeyParts, build_key, find_parts
from cgcore.api_keys.record import StoredKey, admit
from cgcore.identity.actor import Actor
from cgcore.once import once
from cgcore.runs import Step, Verdict
from cgcore.storage import api_keys as call_store
from cgcore.storage import api_keys as store
from cgcore.storage.api_keys import ApiKeyReader, FoundKeys
from cgcore.storage.changes import carry_stamp, drop_carried_stamp
from cgcore.storage.identity import Presence
from cgcore.workbench.runs import Job

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context

__all__ = ["CHECKED_PATH", "KeyAccess", "build_check"]

_log = logging.getLogger(__name__)

_STORE_EVERY_S = 1.0


class KeyAccess:
    """Says who acts with a key, out of the row as last committed: no success is ever cached.

    Calls are collected in memory and stored once a second by a worker, so that a read stays a read; a process that
    is killed loses that second of the statistics and nothing else.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reader = ApiKeyReader(context.database)
        self._lookups = dict[asyncio.AbstractEventLoop, _Lookups]()
        self._buffer = CallBuffer()
        self._flushing = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._worker: threading.Thread | None = None

    @once
    def pepper(self) -> bytes:
        """The secret under which digests are made; without it a copied database proves no guess."""
        return self._context.vault.derive_key("api-key-pepper")

    async def find_actor(self, key: str, *, ip: str = "") -> Actor | None:
        """Return who acts with ``key``, or ``None``; never holds the event loop for a server's answer.

        Inside :meth:`reading` the first look of the call that follows sees the moment in which its key was read.
        """
        if (parts := find_parts(key)) is None:
            return None
        pepper = self.pepper if "pepper" in vars(self) else await asyncio.to_thread(lambda: self.pepper)
        found = await self._find(parts.id)
        stored = found.keys.get(parts.id)
        actor = admit(parts, stored, pepper=pepper, now=self._context.clock(), ip=ip)
        if actor is None or stored is None:
            return None
        if stored.last_used is None:
            await asyncio.to_thread(self._note_first_use, actor, stored)
        elif found.stamp is not None:
            self._context.note_presence(found.stamp, actor, Presence(actor, stored.may_act))
            self._context.database.stamps.hand_over(found.stamp)
        return actor

    @contextmanager
    def reading(self) -> Generator[None]:
        """Around a call that only reads: nothing in it writes what it looks at afterwards."""
        with carry_stamp():
            yield

    def forget_moment(self) -> None:
        """Let what follows in :meth:`reading` see its own time: the one in which its key was read is past."""
        drop_carried_stamp()

    def record_call(self, key_id: str, call: CallRecord) -> None:
        """Keep one answered call; stored within about a second."""
        self._buffer.add(key_id, call)
        if not self._wake.is_set():
            self._wake.set()
            self._start_worker()

    def flush(self) -> None:
        """Store the collected calls now; where the database does not take them, they are gone."""
        with self._flushing:
            if pending := self._buffer.take():
                database = self._context.database
                database.note("calls of API keys", lambda session: call_store.store_calls(session, pending))

    def close(self) -> None:
        """Store what is left and close the connection."""
        self._closed.set()
        self._wake.set()
        if self._worker is not None:
            self._worker.join(timeout=2.0)
        self.flush()
        self._reader.close()

    async def _find(self, key_id: str) -> FoundKeys:
        if self._reader.is_local:
            return self._reader.find_all((key_id,))
        # A question belongs to the loop that has begun it: two servers over one workbench have a loop each.
        loop = asyncio.get_running_loop()
        if loop not in self._lookups:
            self._lookups[loop] = _Lookups(lambda ids: self._reader.find_all(ids))
        return await self._lookups[loop].find(key_id)

    def _note_first_use(self, actor: Actor, stored: StoredKey) -> None:
        """The first use of a new key ends the one it replaces, before this call is answered.

        Where that cannot be written this use is not the first: the next one is.
        """

        def note(session: Session) -> None:
            for replaced in store.mark_first_use(session, stored.id, self._context.clock(), actor.ip):
                self._context.activity.record(actor, Action.KEY_REVOKED, replaced, session=session)

        self._context.database.note("first use of an API key", note)

    def _start_worker(self) -> None:
        if self._worker is None and not self._closed.is_set():
            self._worker = threading.Thread(target=self._store_regularly, name="api-calls", daemon=True)
            self._worker.start()

    def _store_regularly(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._closed.wait(_STORE_EVERY_S)
            self._wake.clear()
            try:
                self.flush()
            except Exception:
                # Statistics: the next ones are tried again, and no call fails for them.
                _log.exception("calls of API keys were not stored")


class _Lookups:
    """Joins the keys that calls wait for into one question; used by one event loop only.

    While one is under way the next one gathers, so that no caller is answered with what was read before it asked. Who
    gathered behind a question that failed is told the same: nobody waits for the same silence twice.
    """

    def __init__(self, find_all: Callable[[Collection[str]], FoundKeys]) -> None:
        self._find_all = find_all
        self._wanted: set[str] = set()
        self._asking: asyncio.Task[FoundKeys] | None = None
        self._next: asyncio.Task[FoundKeys] | None = None

    async def find(self, key_id: str) -> FoundKeys:
        """Return what the next question finds, with ``key_id`` among what it asks for."""
        self._wanted.add(key_id)
        if self._next is None or self._next.done():
            self._next = asyncio.ensure_future(self._ask(self._asking))
        # One caller who goes away ends nobody else's question.
        return await asyncio.shield(self._next)

    async def _ask(self, before: asyncio.Task[FoundKeys] | None) -> FoundKeys:
        try:
            if before is not None and not before.done():
                await before
        finally:
            wanted, self._wanted = self._wanted, set()
            self._asking, self._next = self._next, None
        return await asyncio.to_thread(self._find_all, wanted)


CHECKED_PATH = "/api/v1/me"

_TIMEOUT_S = 10.0
_MAX_ANSWER = 4000


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back; status 0: nothing did."""

    status: int = 0
    phrase: str = ""
    body: str = ""


def build_check(parts: KeyParts, address: str, name: str) -> Job:
    """Return the run that calls ``GET /api/v1/me`` at ``address`` (scheme, host and port) with the key.

    The server there is asked for as ``name``, which is what it goes by in its certificate and to its gate.
    Its result holds ``status``, ``phrase``, ``answer`` and the key's public ``id``; the key itself is in none of it.
    """
    answers: list[_Answer] = []

    def steps() -> Iterator[Step]:
        answers.append(_call(address, name, build_key(parts).reveal()))
        yield from ()

    def judge(_steps: Sequence[Step], ms: int) -> Verdict:
        return Verdict(_key_of(answers[0]), "", ms, {"status": answers[0].status})

    def conclude(_steps: Sequence[Step], _verdict: Verdict, _session: Session) -> dict[str, Any]:
        answer = answers[0]
        return {"status": answer.status, "phrase": answer.phrase, "answer": answer.body, "id": parts.id}

    return Job(steps, judge, conclude)


def _key_of(answer: _Answer) -> str:
    if answer.status == 0:
        return "unreachable"
    if answer.status == 401:
        return "refused"
    # A key without «read» is refused by this route, and known all the same.
    return "ok" if answer.status == 200 or _problem_code(answer) == "scope_missing" else "unexpected"


def _problem_code(answer: _Answer) -> str:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return ""
    return str(document.get("code", "")) if isinstance(document, dict) else ""  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


def _call(address: str, name: str, key: str) -> _Answer:
    connection = HTTPConnection(name, timeout=_TIMEOUT_S)
    try:
        connection.sock = _connect(address, name)
        connection.request(
            "GET", CHECKED_PATH, headers={"Authorization": f"Bearer {key}", "Accept": "application/json"}
        )
        response = connection.getresponse()
        return _Answer(response.status, response.reason, response.read(_MAX_ANSWER).decode("utf-8", "replace"))
    except (OSError, HTTPException):
        return _Answer()
    finally:
        connection.close()


def _connect(address: str, name: str) -> socket.socket:
    place = urlsplit(address)
    secure = place.scheme == "https"
    plain = socket.create_connection((place.hostname, place.port or (443 if secure else 80)), _TIMEOUT_S)
    # Not by its address: the certificate is made out to the public name, and the gate knows no other.
    return ssl.create_default_context().wrap_socket(plain, server_hostname=name) if secure else plain
