"""Connecting by a code that is typed at the provider, on any device (RFC 8628): no address has to lead back here.

The code and what we ask with are sealed in the attempt, in the database; whichever process is first asks next. Apart
from the other way, whose browser comes back: here a thread asks until somebody has answered.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cgcore.errors import CloudGestionError, LoginEnded, NotAllowed, NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.oauth_answers import DeviceCode, DeviceReply, OAuthFailure, facts_of
from cgcore.mail.oauth_client import Client, OAuthProvider, Way
from cgcore.storage import oauth as store
from cgcore.storage.oauth_tables import OauthAttemptRow
from cgcore.vault.secret import Secret
from cgcore.workbench.oauth.attempts import (
    Attempt,
    Attempts,
    AttemptState,
    AttemptUnknown,
    digest_state,
    require_target,
    to_attempt,
)
from cgcore.workbench.oauth.grants import hosts_of

if TYPE_CHECKING:
    from cgcore.mail.oauth import OAuthDoor
    from cgcore.mail.oauth_answers import Person, Tokens
    from cgcore.workbench.context import Context
    from cgcore.workbench.oauth.clients import Clients

__all__ = ["CodeAttempt", "CodePoller", "Codes", "CodesUnknown"]

_log = logging.getLogger(__name__)

_LEASE = timedelta(seconds=30)
_SLOWER_S, _SLOWEST_S = 5, 60
_AFTER_FAILURE_S, _CLOSE_S = 30.0, 6.0


class CodesUnknown(NotFound):
    """The provider knows no codes for mail: Google refuses their scope, others do not describe the way."""

    code = "no_codes"


@dataclass(frozen=True, slots=True)
class CodeAttempt:
    """A code that waits to be typed at ``address``, until ``expires``. ``slowed``: we were asked to ask less often."""

    attempt: Attempt
    user_code: str
    address: str
    expires: datetime
    interval_s: int
    slowed: bool


class Codes:
    """Use cases of codes. A log-in has one under way at most; ``wake`` tells whoever asks that there is a new one."""

    def __init__(
        self,
        context: Context,
        *,
        clients: Clients,
        attempts: Attempts,
        door: Callable[[], OAuthDoor],
        wake: Callable[[], None],
    ) -> None:
        self._context, self._clients, self._attempts, self._door = context, clients, attempts, door
        self._wake = wake

    def begin(self, actor: Actor, provider: OAuthProvider, draft: MailAccountDraft) -> Attempt:
        """Ask the provider for a code for the account on the screen, in place of the one that this log-in had.

        Blocks while the provider is asked; what it refuses ends the attempt, which says why. Raises
        :class:`InvalidInput` and :class:`NotFound` as the other way does, and :class:`CodesUnknown`, for Google before
        anybody is asked.
        """
        if not actor.session_hash:
            raise NotAllowed("only a browser connects")
        require_target(draft)
        with self._context.read_as(actor) as (session, _):
            client = store.find_client(session, provider)
        if client is None or not client.is_offered_to(draft.user):
            raise NotFound("the provider is not set up")
        if Way.CODE not in client.ways:
            raise CodesUnknown(f"{provider} has no codes for mail")
        try:
            code, failure = self._door().ask_code(client, self._clients.find_proof(client)), None
        except OAuthFailure as refused:
            if refused.facts.get("reason") == "no_codes":
                raise CodesUnknown("the provider describes no such way") from None
            code, failure = None, refused
        row = self._new_row(actor, client, draft, code)
        with self._context.write_as(actor) as (session, actor):
            store.cancel_codes(session, actor.session_hash, row.made)
            self._attempts.add(session, row)
        if failure is not None:
            return self._attempts.conclude(row, AttemptState.REFUSED, failure.key, facts_of(failure, client))
        self._wake()
        return to_attempt(row, row.made)

    def find_open(self, actor: Actor) -> CodeAttempt | None:
        """Return the code that the actor's log-in has under way, in whichever tab; None where there is none."""
        now = self._context.clock()
        with self._context.read_as(actor) as (session, actor):
            row = store.find_code(session, actor.session_hash, now) if actor.session_hash else None
        if row is None or row.user_id != actor.user_id or row.expires is None or row.due is None:
            return None
        try:
            parts = self._attempts.unseal(row)
        except AttemptUnknown:
            return None
        if row.due < now - _LEASE:
            # Whoever asked for it is gone.
            self._wake()
        slowed = row.interval_s > int(parts["interval_s"])
        found = to_attempt(row, now)
        return CodeAttempt(found, parts["user_code"], parts["address"], row.expires, row.interval_s, slowed)

    def cancel(self, actor: Actor, attempt_id: str) -> bool:
        """End a code of the actor's log-in; return whether it was still open. It is not asked for any more.

        What is agreed to while the provider is just being asked is given back, where it takes that.
        """
        with self._context.write_as(actor) as (session, actor):
            return bool(actor.session_hash) and store.cancel_codes(
                session, actor.session_hash, self._context.clock(), attempt_id
            )

    def work_once(self) -> float | None:
        """Ask for each code that is due, and end those whose time has run out.

        Returns after how many seconds to come again, None where none is open.
        """
        now = self._context.clock()
        with self._context.database.read() as session:
            rows = store.list_codes(session)
        for row in rows:
            if row.expires is not None and row.expires <= now:
                with self._context.database.session() as session:
                    store.end_late_code(session, row.state_digest, now)
                continue
            if row.due is None or now < row.due <= now + _LEASE + timedelta(minutes=2):
                continue
            with self._context.database.session() as session:
                mine = store.claim_code(session, row.state_digest, now, now + _LEASE)
            if mine:
                self._ask(row)
        with self._context.database.read() as session:
            dues = [row.due for row in store.list_codes(session) if row.due is not None]
        wait = (min(dues) - self._context.clock()) / timedelta(seconds=1) if dues else None
        # A clock that was set back lets nobody wait for longer than the slowest provider wants.
        return None if wait is None else min(max(0.2, wait), _SLOWEST_S)

    def _new_row(
        self, actor: Actor, client: Client, draft: MailAccountDraft, code: DeviceCode | None
    ) -> OauthAttemptRow:
        now = self._context.clock()
        parts = {
            "device_code": code.device_code.reveal() if code else "",
            "user_code": code.user_code if code else "",
            "address": code.address if code else "",
            "interval_s": str(code.interval_s if code else 0),
        }
        return OauthAttemptRow(
            state_digest=digest_state(secrets.token_urlsafe(32)),
            provider=client.provider.value,
            user_id=actor.user_id,
            session_hash=actor.session_hash,
            mailbox=draft.user.strip(),
            hosts=list(hosts_of(draft)),
            sealed=self._attempts.seal(parts),
            made=now,
            expires=now + timedelta(seconds=code.seconds if code else 0),
            due=now + timedelta(seconds=code.interval_s if code else 0),
            interval_s=code.interval_s if code else 0,
        )

    def _ask(self, row: OauthAttemptRow) -> None:
        actor = Actor(row.user_id, "", session_hash=row.session_hash)
        try:
            with self._context.read_as(actor) as (session, actor):
                client = store.find_client(session, OAuthProvider(row.provider))
            if client is not None and Way.CODE not in client.ways:
                raise AttemptUnknown("codes are allowed no more")
            device_code = Secret(self._attempts.unseal(row)["device_code"])
        except (LoginEnded, AttemptUnknown):
            # Nobody is there any more to whom it could be given.
            with self._context.database.session() as session:
                store.cancel_codes(session, row.session_hash, self._context.clock(), row.state_digest)
            return
        if client is None:
            self._attempts.conclude(row, AttemptState.REFUSED, "oauth_client_wrong")
            return
        try:
            answer = self._door().redeem_code(client, self._clients.find_proof(client), device_code)
        except OAuthFailure as failure:
            if failure.key != "oauth_unreachable":
                self._attempts.conclude(row, AttemptState.REFUSED, failure.key, facts_of(failure, client))
                return
            self._put_off(row, row.interval_s * 2)  # RFC 8628, 3.5
            return
        if answer is DeviceReply.EXPIRED:
            self._attempts.conclude(row, AttemptState.EXPIRED)
        elif isinstance(answer, DeviceReply):
            self._put_off(row, row.interval_s + (_SLOWER_S if answer is DeviceReply.SLOW_DOWN else 0))
        else:
            self._take(actor, client, row, answer)

    def _take(self, actor: Actor, client: Client, row: OauthAttemptRow, answer: tuple[Tokens, Person]) -> None:
        with self._context.database.session() as session:
            is_open = store.use_attempt(session, row.state_digest, self._context.clock())
        try:
            if is_open:
                self._attempts.carry_out(actor, client, row, lambda: answer)
                return
        except LoginEnded:
            pass
        # It was cancelled, or the log-in has ended, while the provider was asked. Microsoft cannot be told so.
        if (token := answer[0].refresh) is not None:
            with suppress(OAuthFailure, VaultError):
                self._door().revoke(client, self._clients.find_proof(client), token)

    def _put_off(self, row: OauthAttemptRow, interval_s: int) -> None:
        interval_s = min(interval_s, _SLOWEST_S)
        with self._context.database.session() as session:
            due = self._context.clock() + timedelta(seconds=interval_s)
            store.put_off_code(session, row.state_digest, due, interval_s)


class CodePoller:
    """One thread that asks for codes while there are any, begun with the first. Nothing is read while there is none.

    Not with what is sent by itself: that may be another process's part, and here a person waits.
    """

    def __init__(self, work: Callable[[], float | None]) -> None:
        self._work = work
        self._awake, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, with those that another process has left."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="oauth-codes", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """There is a new code, or one that nobody asks for."""
        self._awake.set()
        self.start()

    def close(self) -> None:
        """Stop, and wait a moment for a question that is under way."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            try:
                wait = self._work()
            except CloudGestionError as error:
                _log.warning("codes could not be asked for (%s)", error.code)
                wait = _AFTER_FAILURE_S
            except Exception:
                _log.exception("codes could not be asked for")
                wait = _AFTER_FAILURE_S
            self._awake.wait(wait)
