"""Log-in sessions: begin, look up, list, end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.errors import NotAllowed
from cgcore.identity.actor import Actor, Role
from cgcore.identity.throttle import SESSION_ABSOLUTE, SESSION_SEEN_EVERY
from cgcore.identity.tokens import hash_token, new_token, username_key
from cgcore.once import once
from cgcore.storage import identity as store
from cgcore.storage.identity import find_user_by_key
from cgcore.storage.tables import LoginSessionRow
from cgcore.vault.secret import Secret

if TYPE_CHECKING:
    from itsdangerous import Signer

    from cgcore.storage.tables import UserRow
    from cgcore.workbench.context import Context
    from cgcore.workbench.identity.passwords import Passwords, Verified

__all__ = ["LoginResult", "LoginSummary", "SessionListener", "Sessions"]

SessionListener = Callable[[Iterable[str]], None]
"""Is told the hashes of log-ins that have ended."""

_KEPT_AFTER_END = timedelta(days=7)
_MAX_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A fresh log-in: the token for the cookie, shown to nobody else, and who it is."""

    token: Secret
    actor: Actor


@dataclass(frozen=True, slots=True)
class LoginSummary:
    """One open log-in as its user sees it; ``id`` names it to :meth:`Sessions.end_session`."""

    id: str
    created: datetime
    last_seen: datetime
    expires: datetime
    ip: str
    user_agent: str
    current: bool


class Sessions:
    """Log-ins of browsers. The cookie holds the token; a session is named by the token's SHA-256 everywhere else."""

    def __init__(self, context: Context, *, passwords: Passwords) -> None:
        self._context, self._passwords = context, passwords
        self._listeners: list[SessionListener] = []

    def on_sessions_end(self, listener: SessionListener) -> None:
        """Have ``listener`` told the hashes of log-ins that end before their time, from whatever thread ends them."""
        self._listeners.append(listener)

    def tell_ended(self, session_hashes: Iterable[str]) -> None:
        """Tell whoever listens that these log-ins have ended, once the transaction that ended them stands."""
        ended = list(session_hashes)
        for listener in self._listeners if ended else ():
            listener(ended)

    def log_in(
        self, username: str, password: Secret, *, ip: str = "", user_agent: str = "", previous: Secret | None = None
    ) -> LoginResult:
        """Begin a log-in; ``previous`` is the token the browser held before, which ends now (ASVS 5.0, 7.2.4).

        Raises :class:`Throttled` while the account or the source has to wait, and :class:`NotAllowed` (code
        ``wrong_credentials``), the same for an unknown user, a wrong password and a disabled user, after the same work.
        """
        key = username_key(username)
        verified = self._passwords.check(key, password, ip)
        entered = self._enter(verified, ip, user_agent, previous) if verified else None
        if entered is None:
            self._record_failure(key, ip)
            raise NotAllowed("wrong user name or password", code="wrong_credentials")
        result, ended = entered
        self.tell_ended(ended)
        return result

    def log_out(self, session_hash: str) -> None:
        """End this log-in in every tab that shares it."""
        actor = self.find_actor(session_hash)
        with self._context.database.session() as session:
            if store.revoke_session(session, session_hash, self._context.clock()):
                self._context.activity.record(actor, Action.LOGGED_OUT, session=session)
        self.tell_ended([session_hash])

    def find_actor(self, session_hash: str) -> Actor | None:
        """Return who this log-in is, or None: unknown, revoked, over, idle for too long, or the user disabled.

        Looks the row up each time; writes only when it was last seen more than half a minute ago.
        """
        now = self._context.clock()
        with self._context.database.read() as session:
            found = store.find_session(session, session_hash)
        if found is None or found[0].revoked is not None or not found[1].active:
            return None
        row, user = found
        if not store.is_open(row, user, now):
            self._close_overdue(session_hash, now)
            return None
        if now - row.last_seen >= SESSION_SEEN_EVERY:
            self._context.database.note(
                "last use of a log-in", lambda session: store.mark_seen(session, session_hash, now)
            )
        return self._actor_of(user, session_hash, row.ip)

    def find_actor_by_cookie(self, token: Secret) -> Actor | None:
        """Return who holds this cookie, as :meth:`find_actor`."""
        return self.find_actor(hash_token(token)) if token else None

    def list_sessions(self, actor: Actor) -> list[LoginSummary]:
        """Return the actor's open log-ins, the last used first."""
        with self._context.read_as(actor) as (session, actor):
            rows = store.list_live_sessions(session, actor.user_id, self._context.clock())
        return [self._summary(row, actor) for row in rows]

    def end_session(self, actor: Actor, session_id: str) -> bool:
        """End one of the actor's own log-ins; return whether it was open."""
        with self._context.write_as(actor) as (session, actor):
            ended = store.revoke_session(session, session_id, self._context.clock(), user_id=actor.user_id)
            if ended:
                self._context.activity.record(actor, Action.SESSIONS_ENDED, detail="1", session=session)
        self.tell_ended([session_id] if ended else [])
        return ended

    def end_other_sessions(self, actor: Actor) -> int:
        """End every log-in of the actor but this one; return how many were open."""
        with self._context.write_as(actor) as (session, actor):
            ended = store.revoke_sessions_of(session, actor.user_id, self._context.clock(), keep=actor.session_hash)
            self._context.activity.record(actor, Action.SESSIONS_ENDED, detail=str(len(ended)), session=session)
        self.tell_ended(ended)
        return len(ended)

    def sign_identity(self, session_hash: str) -> str:
        """Return what the gate puts into ``x-cg-user``: ``<session hash>.<HMAC-SHA256>``.

        It names the log-in, not the user, so that two log-ins of one person are two identities to Streamlit, which
        compares them before it resumes a session. It does not expire: the row of the log-in decides.
        """
        return self._signer.sign(session_hash).decode("ascii")

    def verify_identity(self, token: str) -> str | None:
        """Return the session hash of a token that :meth:`sign_identity` made with this installation's master key."""
        from itsdangerous import BadSignature

        try:
            return self._signer.unsign(token).decode("ascii")
        except (BadSignature, UnicodeError):
            return None

    def begin(self, session: Session, user: UserRow, ip: str, user_agent: str) -> LoginResult:
        """Begin a log-in of ``user`` in the caller's transaction."""
        now = self._context.clock()
        token = new_token()
        row = LoginSessionRow(
            token_hash=hash_token(token),
            user_id=user.id or 0,
            created=now,
            last_seen=now,
            expires=now + SESSION_ABSOLUTE,
            ip=ip,
            user_agent=user_agent[:_MAX_USER_AGENT],
        )
        store.prune_sessions(session, now - _KEPT_AFTER_END)
        store.add_session(session, row)
        actor = self._actor_of(user, row.token_hash, ip)
        self._context.activity.record(actor, Action.LOGGED_IN, session=session)
        return LoginResult(token, actor)

    def _enter(
        self, verified: Verified, ip: str, user_agent: str, previous: Secret | None
    ) -> tuple[LoginResult, Sequence[str]] | None:
        with self._context.database.session() as session:
            user = self._passwords.confirm(session, verified)
            if user is None:
                return None
            return self.begin(session, user, ip, user_agent), self._end_previous(session, previous)

    def _end_previous(self, session: Session, previous: Secret | None) -> Sequence[str]:
        if not previous:
            return []
        session_hash = hash_token(previous)
        return [session_hash] if store.revoke_session(session, session_hash, self._context.clock()) else []

    def _close_overdue(self, session_hash: str, now: datetime) -> None:
        # It is over whether or not that can be written down.
        ended: list[bool] = []
        self._context.database.note(
            "end of a log-in", lambda session: ended.append(store.revoke_session(session, session_hash, now))
        )
        self.tell_ended([session_hash] if ended != [False] else [])

    def _record_failure(self, key: str, ip: str) -> None:
        # The name only where it is a user's: what else stands in that field may be a password.
        with self._context.database.session() as session:
            user = find_user_by_key(session, key)
            name = user.username if user else ""
            self._context.activity.record(None, Action.LOGIN_FAILED, name, "wrong_credentials", ip=ip, session=session)

    @staticmethod
    def _actor_of(user: UserRow, session_hash: str, ip: str) -> Actor:
        return Actor(
            user_id=user.id or 0,
            username=user.username,
            full_name=user.full_name,
            mail=user.mail,
            role=Role(user.role),
            session_hash=session_hash,
            ip=ip,
            locale=user.locale,
        )

    @staticmethod
    def _summary(row: LoginSessionRow, actor: Actor) -> LoginSummary:
        current = row.token_hash == actor.session_hash
        return LoginSummary(row.token_hash, row.created, row.last_seen, row.expires, row.ip, row.user_agent, current)

    @once
    def _signer(self) -> Signer:
        from itsdangerous import Signer

        # The key is derived for this purpose and 32 random bytes already: nothing is gained by deriving it again.
        key = self._context.vault.derive_key("gate")
        return Signer(key, salt=b"cgcore.login", key_derivation="none", digest_method=hashlib.sha256)
