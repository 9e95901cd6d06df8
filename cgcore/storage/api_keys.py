"""API keys in the database: every function works in the caller's transaction and returns values, never rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, update
from sqlmodel import Session, col, select

from cgcore.api_keys.record import KeyRecord, dump_scopes, parse_scopes
from cgcore.identity.actor import Actor, Role
from cgcore.storage.tables import ApiKeyRow, UserRow

__all__ = [
    "add_key",
    "find_key",
    "find_owner",
    "list_keys",
    "mark_first_use",
    "replace_key",
    "revoke_keys",
    "revoke_keys_of",
]


def add_key(session: Session, record: KeyRecord, digest: str) -> None:
    """Store a new key: its record and the digest of its secret."""
    session.add(
        ApiKeyRow(
            id=record.id,
            user_id=record.user_id,
            device=record.device,
            digest=digest,
            last4=record.last4,
            scopes=dump_scopes(record.scopes),
            created=record.created,
            expires=record.expires,
        )
    )
    session.flush()


def find_key(session: Session, user_id: int, key_id: str, *, lock: bool = False) -> KeyRecord | None:
    """Return the user's key ``key_id``; somebody else's is not found. ``lock`` holds it until the transaction ends."""
    statement = select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.user_id == user_id)
    row = session.exec(statement.with_for_update() if lock else statement).one_or_none()
    return _record(row) if row else None


def list_keys(session: Session, user_id: int) -> list[KeyRecord]:
    """Return the user's keys, the newest first."""
    statement = select(ApiKeyRow).where(ApiKeyRow.user_id == user_id)
    rows = session.exec(statement.order_by(col(ApiKeyRow.created).desc(), ApiKeyRow.id)).all()
    return [_record(row) for row in rows]


def find_owner(session: Session, user_id: int) -> Actor | None:
    """Return the user as somebody who acts, unless unknown or disabled."""
    row = session.get(UserRow, user_id)
    if row is None or not row.active:
        return None
    return Actor(user_id, row.username, row.full_name, row.mail, Role(row.role))


def replace_key(session: Session, old_id: str, new_id: str, *, retires: datetime) -> None:
    """Let ``new_id`` follow ``old_id`` (and what ``old_id`` itself was to replace) until ``retires`` at the latest.

    An earlier end stands: asking again for a lost answer does not give the old key more time.
    """
    waiting = and_(col(ApiKeyRow.replaced_by) == old_id, col(ApiKeyRow.revoked).is_(None))
    session.exec(update(ApiKeyRow).where(waiting).values(replaced_by=new_id))
    session.exec(update(ApiKeyRow).where(col(ApiKeyRow.id) == old_id).values(replaced_by=new_id))
    no_end = and_(col(ApiKeyRow.id) == old_id, col(ApiKeyRow.retires).is_(None))
    session.exec(update(ApiKeyRow).where(no_end).values(retires=retires))


def revoke_keys(session: Session, key_ids: Sequence[str], now: datetime) -> list[str]:
    """Revoke what is not revoked yet among ``key_ids``; return those."""
    statement = update(ApiKeyRow).where(col(ApiKeyRow.id).in_(key_ids), col(ApiKeyRow.revoked).is_(None))
    return list(session.exec(statement.values(revoked=now).returning(col(ApiKeyRow.id))).scalars())


def revoke_keys_of(session: Session, user_id: int, now: datetime) -> list[str]:
    """Revoke every key of the user; return the ones that were not revoked yet."""
    statement = update(ApiKeyRow).where(col(ApiKeyRow.user_id) == user_id, col(ApiKeyRow.revoked).is_(None))
    return list(session.exec(statement.values(revoked=now).returning(col(ApiKeyRow.id))).scalars())


def mark_first_use(session: Session, key_id: str, now: datetime, ip: str) -> list[str]:
    """Note the first use of ``key_id`` and revoke what it replaces; return the revoked ids.

    Nothing happens when another process noted it before.
    """
    unused = and_(col(ApiKeyRow.id) == key_id, col(ApiKeyRow.last_used).is_(None))
    noted = update(ApiKeyRow).where(unused).values(last_used=now, last_ip=ip).returning(col(ApiKeyRow.id))
    if session.exec(noted).scalar_one_or_none() is None:
        return []
    replaced = col(ApiKeyRow.replaced_by) == key_id
    statement = update(ApiKeyRow).where(replaced, col(ApiKeyRow.revoked).is_(None))
    return list(session.exec(statement.values(revoked=now).returning(col(ApiKeyRow.id))).scalars())


def _record(row: ApiKeyRow) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        user_id=row.user_id,
        device=row.device,
        last4=row.last4,
        scopes=parse_scopes(row.scopes),
        created=row.created,
        expires=row.expires,
        last_used=row.last_used,
        last_ip=row.last_ip,
        revoked=row.revoked,
        retires=row.retires,
        replaced_by=row.replaced_by,
    )
