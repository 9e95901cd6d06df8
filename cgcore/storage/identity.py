"""Users, log-ins, one-time codes and grants in the database; all in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from cgcore.activity import neutral_line
from cgcore.api_keys.record import key_state
from cgcore.clock import CLOCK_SKEW
from cgcore.identity.actor import Actor, Role
from cgcore.identity.throttle import GRANT, SESSION_IDLE, is_login_open
from cgcore.storage.bell import ring
from cgcore.storage.search import contains
from cgcore.storage.tables import ApiKeyRow, GrantRow, LoginSessionRow, OneTimeCodeRow, UserRow

__all__ = [
    "Consumed",
    "Presence",
    "add_code",
    "add_grant",
    "add_session",
    "add_user",
    "are_live",
    "consume_code",
    "consume_grant",
    "count_active_admins",
    "delete_codes_of",
    "delete_grants_of",
    "find_code",
    "find_presence",
    "find_present",
    "find_session",
    "find_user",
    "find_user_by_key",
    "has_live_code",
    "has_users",
    "is_open",
    "list_ended",
    "list_live_sessions",
    "list_users",
    "list_users_page",
    "lock_user",
    "mark_seen",
    "prune_sessions",
    "revoke_session",
    "revoke_sessions_of",
    "save_particulars",
    "save_password_hash",
    "set_active",
]

_MAX_HEADER = 300
# How many values one statement takes: SQLite's oldest limit of parameters is 999.
_BATCH = 500


def has_users(session: Session) -> bool:
    """Return whether there is any user at all, disabled ones included."""
    return session.exec(select(UserRow.id).limit(1)).first() is not None


def find_user(session: Session, user_id: int) -> UserRow | None:
    """Return the user ``user_id``."""
    return session.get(UserRow, user_id)


def lock_user(session: Session, user_id: int) -> UserRow | None:
    """Return the user ``user_id`` as committed, and let nobody else change them until this transaction ends.

    On SQLite a writing session is alone anyway.
    """
    statement = select(UserRow).where(UserRow.id == user_id).with_for_update(key_share=True)
    return session.exec(statement.execution_options(populate_existing=True)).one_or_none()


def find_user_by_key(session: Session, username_key: str) -> UserRow | None:
    """Return the user whose name folds to ``username_key``."""
    return session.exec(select(UserRow).where(UserRow.username_key == username_key)).one_or_none()


def list_users(session: Session) -> Sequence[UserRow]:
    """Return every user, by name."""
    return session.exec(select(UserRow).order_by(col(UserRow.username_key))).all()


def add_user(session: Session, row: UserRow) -> bool:
    """Store a new user, whose id is then set; return False when the name is taken. The transaction stays usable."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def save_password_hash(session: Session, user_id: int, password_hash: str, *, replaces: str | None = None) -> bool:
    """Store a password hash; with ``replaces`` only where that one still stands. Return whether it was stored."""
    statement = update(UserRow).where(col(UserRow.id) == user_id)
    if replaces is not None:
        statement = statement.where(col(UserRow.password_hash) == replaces)
    stored = session.exec(statement.values(password_hash=password_hash).returning(col(UserRow.id)))
    return stored.scalar_one_or_none() is not None


def set_active(session: Session, user_id: int, *, active: bool) -> None:
    """Let the user in, or no longer."""
    session.exec(update(UserRow).where(col(UserRow.id) == user_id).values(active=active))


def count_active_admins(session: Session) -> int:
    """Return how many administrators may log in."""
    is_admin = (UserRow.role == "admin", col(UserRow.active).is_(True))
    return session.exec(select(func.count()).select_from(UserRow).where(*is_admin)).one()


def list_users_page(session: Session, *, text: str, active: bool | None, after: str, limit: int) -> Sequence[UserRow]:
    """Return at most ``limit`` users by name, those behind ``after``; ``text`` is looked for in name and mail."""
    statement = select(UserRow)
    if text:
        statement = statement.where(contains(text, UserRow.username, UserRow.full_name, UserRow.mail))
    if active is not None:
        statement = statement.where(UserRow.active == active)
    if after:
        statement = statement.where(UserRow.username_key > after)
    return session.exec(statement.order_by(UserRow.username_key).limit(limit)).all()


def save_particulars(session: Session, user_id: int, version: int, *, full_name: str, mail: str, role: str) -> bool:
    """Replace what was read at ``version``; False, and nothing written, when it stands at another one."""
    found = update(UserRow).where(col(UserRow.id) == user_id, col(UserRow.version) == version)
    values = {"full_name": full_name, "mail": mail, "role": role, "version": version + 1}
    return session.connection().execute(found.values(values)).rowcount == 1


def add_session(session: Session, row: LoginSessionRow) -> None:
    """Store a new log-in. Address and browser are what a header said."""
    row.ip, row.user_agent = neutral_line(row.ip, _MAX_HEADER), neutral_line(row.user_agent, _MAX_HEADER)
    session.add(row)


def find_session(session: Session, token_hash: str) -> tuple[LoginSessionRow, UserRow] | None:
    """Return a log-in and its user, whatever their state."""
    found = session.exec(_by_token_hash(), params={"token_hash": token_hash}).one_or_none()
    return (found[0], found[1]) if found else None


@cache
def _by_token_hash():
    """Return the statement that every run of a page and every request begins with: making it costs as much as it."""
    statement = select(LoginSessionRow, UserRow).join(UserRow, col(UserRow.id) == LoginSessionRow.user_id)
    return statement.where(LoginSessionRow.token_hash == bindparam("token_hash"))


def is_open(row: LoginSessionRow, user: UserRow, now: datetime) -> bool:
    """Return whether the log-in still opens the door."""
    within = is_login_open(created=row.created, last_seen=row.last_seen, expires=row.expires, now=now)
    return within and row.revoked is None and user.active


@dataclass(frozen=True, slots=True)
class Presence:
    """Who may act, as the rows say; ``may_act`` tells, the rows being as they are, whether they may at a moment."""

    actor: Actor
    may_act: Callable[[datetime], bool]


def find_present(session: Session, actor: Actor, now: datetime, *, lock: bool = False) -> Actor | None:
    """Return ``actor`` as :func:`find_presence` finds them; ``lock`` keeps the account so until the transaction ends.

    The operator at the command line has neither log-in nor key, and is who they are.
    """
    if lock and (actor.session_hash or actor.key_id):
        # Before anything else of the user, everywhere: else two changes could wait for each other.
        lock_user(session, actor.user_id)
    found = find_presence(session, actor, now)
    return found.actor if found else None


def find_presence(session: Session, actor: Actor, now: datetime) -> Presence | None:
    """Return ``actor`` as the rows say now, never with more rights than were claimed; None when they may not act.

    A log-in has to be open, the account behind an API key active and the key still heard.
    """
    if not actor.session_hash and not actor.key_id:
        return Presence(actor, lambda _moment: True)
    found = _find_login(session, actor) if actor.session_hash else _find_key(session, actor)
    if found is None or not found[1](now):
        return None
    user, may_act = found
    role = Role(user.role) if actor.is_admin else Role.USER
    present = replace(actor, username=user.username, full_name=user.full_name, mail=user.mail, role=role)
    return Presence(present, may_act)


def _find_login(session: Session, actor: Actor) -> tuple[UserRow, Callable[[datetime], bool]] | None:
    found = find_session(session, actor.session_hash)
    if found is None or found[1].id != actor.user_id or found[0].revoked is not None or not found[1].active:
        return None
    login, user = found
    times = {"created": login.created, "last_seen": login.last_seen, "expires": login.expires}
    return user, lambda moment: is_login_open(**times, now=moment)


def _find_key(session: Session, actor: Actor) -> tuple[UserRow, Callable[[datetime], bool]] | None:
    key = session.get(ApiKeyRow, actor.key_id)
    user = session.get(UserRow, actor.user_id)
    if key is None or key.user_id != actor.user_id or user is None or not user.active:
        return None
    times = {"revoked": key.revoked, "expires": key.expires, "retires": key.retires}
    return user, lambda moment: key_state(moment, **times).is_heard


def mark_seen(session: Session, token_hash: str, now: datetime) -> None:
    """Note that the log-in was used."""
    session.exec(update(LoginSessionRow).where(col(LoginSessionRow.token_hash) == token_hash).values(last_seen=now))


def list_live_sessions(session: Session, user_id: int, now: datetime) -> Sequence[LoginSessionRow]:
    """Return the user's log-ins that still open the door, the last used first."""
    statement = select(LoginSessionRow).where(LoginSessionRow.user_id == user_id, *are_live(now))
    return session.exec(statement.order_by(col(LoginSessionRow.last_seen).desc())).all()


def are_live(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a log-in that still opens the door."""
    return (
        col(LoginSessionRow.revoked).is_(None),
        col(LoginSessionRow.expires) > now,
        col(LoginSessionRow.last_seen) > now - SESSION_IDLE,
        col(LoginSessionRow.last_seen) <= now + CLOCK_SKEW,
        col(LoginSessionRow.created) <= now + CLOCK_SKEW,
    )


def revoke_session(session: Session, token_hash: str, now: datetime, *, user_id: int | None = None) -> bool:
    """End one log-in (of ``user_id``, when given); return whether it was open."""
    statement = update(LoginSessionRow).where(
        col(LoginSessionRow.token_hash) == token_hash, col(LoginSessionRow.revoked).is_(None)
    )
    if user_id is not None:
        statement = statement.where(col(LoginSessionRow.user_id) == user_id)
    ended = session.exec(statement.values(revoked=now).returning(col(LoginSessionRow.token_hash)))
    if ended.scalar_one_or_none() is None:
        return False
    ring(session)
    return True


def list_ended(session: Session, token_hashes: Collection[str]) -> list[str]:
    """Return those of these log-ins that were revoked or are gone, or whose user was closed."""
    hashes, going_on = list(token_hashes), set[str]()
    for start in range(0, len(hashes), _BATCH):
        statement = (
            select(LoginSessionRow.token_hash)
            .join(UserRow, col(UserRow.id) == col(LoginSessionRow.user_id))
            .where(col(LoginSessionRow.token_hash).in_(hashes[start : start + _BATCH]))
            .where(col(LoginSessionRow.revoked).is_(None), col(UserRow.active).is_(True))
        )
        going_on.update(session.exec(statement))
    return [each for each in hashes if each not in going_on]


def revoke_sessions_of(session: Session, user_id: int, now: datetime, *, keep: str = "") -> list[str]:
    """End every log-in of the user but ``keep``; return the hashes of those that were open."""
    statement = update(LoginSessionRow).where(
        col(LoginSessionRow.user_id) == user_id,
        col(LoginSessionRow.revoked).is_(None),
        col(LoginSessionRow.token_hash) != keep,
    )
    ended = list(session.exec(statement.values(revoked=now).returning(col(LoginSessionRow.token_hash))).scalars())
    if ended:
        ring(session)
    return ended


def prune_sessions(session: Session, before: datetime) -> None:
    """Delete the log-ins that had ended by ``before``."""
    session.exec(delete(LoginSessionRow).where(col(LoginSessionRow.expires) < before))


@dataclass(frozen=True, slots=True)
class Consumed:
    """A code that has just been used up, and whose it was (None: nobody's)."""

    user_id: int | None


def add_code(session: Session, row: OneTimeCodeRow) -> None:
    """Store a code; the ones that expired are cleared away."""
    session.exec(delete(OneTimeCodeRow).where(col(OneTimeCodeRow.expires) < row.created))
    session.add(row)


def find_code(session: Session, purpose: str, code_hash: str, now: datetime) -> Consumed | None:
    """Return whose code it would be, without using it up."""
    statement = select(OneTimeCodeRow).where(_is_live(purpose, now), col(OneTimeCodeRow.code_hash) == code_hash)
    row = session.exec(statement).one_or_none()
    return Consumed(row.user_id) if row else None


def has_live_code(session: Session, purpose: str, now: datetime) -> bool:
    """Return whether any code of this purpose still works."""
    return session.exec(select(OneTimeCodeRow.code_hash).where(_is_live(purpose, now)).limit(1)).first() is not None


def consume_code(session: Session, purpose: str, code_hash: str, now: datetime) -> Consumed | None:
    """Use the code up; None when it does not work. Of two callers at once, one gets it: one statement decides."""
    statement = update(OneTimeCodeRow).where(_is_live(purpose, now), col(OneTimeCodeRow.code_hash) == code_hash)
    used = session.exec(statement.values(used=now).returning(col(OneTimeCodeRow.user_id))).one_or_none()
    return Consumed(used[0]) if used else None


def delete_codes_of(session: Session, user_id: int) -> None:
    """Make every code of the user void."""
    session.exec(delete(OneTimeCodeRow).where(col(OneTimeCodeRow.user_id) == user_id))


def _is_live(purpose: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        col(OneTimeCodeRow.purpose) == purpose,
        col(OneTimeCodeRow.used).is_(None),
        col(OneTimeCodeRow.expires) > now,
        # Made before the clock was set back, it would live for longer than it may.
        col(OneTimeCodeRow.created) <= now + CLOCK_SKEW,
    )


def add_grant(session: Session, row: GrantRow, now: datetime) -> None:
    """Store a grant; the ones that expired are cleared away."""
    session.exec(delete(GrantRow).where(col(GrantRow.expires) < now))
    session.add(row)


def delete_grants_of(session: Session, user_id: int) -> None:
    """Make every grant of the user void."""
    session.exec(delete(GrantRow).where(col(GrantRow.user_id) == user_id))


def consume_grant(
    session: Session, grant_hash: str, now: datetime, *, user_id: int, session_hash: str, action: str
) -> bool:
    """Use the grant up; return whether it was this user's, of this log-in, for this action, unused and in time."""
    statement = update(GrantRow).where(
        col(GrantRow.id) == grant_hash,
        col(GrantRow.user_id) == user_id,
        col(GrantRow.session_hash) == session_hash,
        col(GrantRow.action) == action,
        col(GrantRow.used).is_(None),
        col(GrantRow.expires) > now,
        # Made before the clock was set back, it would live for longer than it may.
        col(GrantRow.expires) <= now + GRANT + CLOCK_SKEW,
    )
    return session.exec(statement.values(used=now).returning(col(GrantRow.id))).scalar_one_or_none() is not None
