"""The check of every API call, and the calls it leaves behind."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

from cgcore.activity import Action
from cgcore.api_keys.calls import CallBuffer, CallRecord
from cgcore.api_keys.check import admit
from cgcore.api_keys.form import find_parts
from cgcore.api_keys.record import StoredKey
from cgcore.identity.actor import Actor
from cgcore.once import once
from cgcore.storage import api_calls as call_store
from cgcore.storage import api_keys as store
from cgcore.storage.api_key_reader import ApiKeyReader

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["KeyAccess"]

_log = logging.getLogger(__name__)

_STORE_EVERY_S = 1.0


class KeyAccess:
    """Says who acts with a key, out of the row as last committed: no success is ever cached.

    Calls are collected in memory and stored once a second by a worker, so that a read stays a read; a process that
    is killed loses that second of the statistics and nothing else.
    """

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._reader = ApiKeyReader(workbench.database)
        self._buffer = CallBuffer()
        self._flushing = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._worker: threading.Thread | None = None

    @once
    def pepper(self) -> bytes:
        """The secret under which digests are made; without it a copied database proves no guess."""
        return self._workbench.vault.derive_key("api-key-pepper")

    async def find_actor(self, key: str, *, ip: str = "") -> Actor | None:
        """Return who acts with ``key``, or ``None``; never holds the event loop for a server's answer."""
        if (parts := find_parts(key)) is None:
            return None
        pepper = self.pepper if "pepper" in vars(self) else await asyncio.to_thread(lambda: self.pepper)
        find = self._reader.find
        stored = find(parts.id) if self._reader.is_local else await asyncio.to_thread(find, parts.id)
        actor = admit(parts, stored, pepper=pepper, now=self._workbench.clock(), ip=ip)
        if actor is not None and stored is not None and stored.last_used is None:
            await asyncio.to_thread(self._note_first_use, actor, stored)
        return actor

    def record_call(self, key_id: str, call: CallRecord) -> None:
        """Keep one answered call; stored within about a second."""
        self._buffer.add(key_id, call)
        if not self._wake.is_set():
            self._wake.set()
            self._start_worker()

    def flush(self) -> None:
        """Store the collected calls now."""
        with self._flushing:
            if pending := self._buffer.take():
                with self._workbench.database.session() as session:
                    call_store.store_calls(session, pending)

    def close(self) -> None:
        """Store what is left and close the connection."""
        self._closed.set()
        self._wake.set()
        if self._worker is not None:
            self._worker.join(timeout=2.0)
        self.flush()
        self._reader.close()

    def _note_first_use(self, actor: Actor, stored: StoredKey) -> None:
        """The first use of a new key ends the one it replaces, before this call is answered."""
        with self._workbench.database.session() as session:
            for replaced in store.mark_first_use(session, stored.id, self._workbench.clock(), actor.ip):
                self._workbench.activity.record(actor, Action.KEY_REVOKED, replaced, session=session)

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
