"""Clients, attempts and grants of OAuth2 in the database. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import Session, col, delete, select

from cgcore.clock import CLOCK_SKEW
from cgcore.mail.oauth_client import Client, OAuthProvider
from cgcore.storage.oauth_tables import OauthAttemptRow, OauthClientRow, OauthGrantRow

__all__ = [
    "add_attempt",
    "cancel_codes",
    "claim_code",
    "claim_grant",
    "conclude_attempt",
    "delete_attempts_before",
    "delete_client",
    "delete_grant",
    "end_late_code",
    "find_attempt",
    "find_client",
    "find_code",
    "find_grant",
    "list_clients",
    "list_codes",
    "list_grants",
    "note_redirect",
    "put_client",
    "put_grant",
    "put_off_code",
    "release_grant",
    "renew_grant",
    "use_attempt",
]


# ---- Clients


def find_client(session: Session, provider: OAuthProvider, *, lock: bool = False) -> Client | None:
    """Return the client of a provider; with ``lock`` its row stays as it is until the transaction ends."""
    wanted = select(OauthClientRow).where(OauthClientRow.provider == provider.value)
    row = session.exec(wanted.with_for_update() if lock else wanted).first()
    return _to_client(row) if row else None


def list_clients(session: Session) -> list[Client]:
    """Return every client, in the order in which providers are named everywhere."""
    rows = {row.provider: row for row in session.exec(select(OauthClientRow))}
    return [_to_client(rows[each.value]) for each in OAuthProvider if each.value in rows]


def put_client(session: Session, client: Client, moment: datetime) -> None:
    """Store ``client`` in place of what is there."""
    known = session.get(OauthClientRow, client.provider.value)
    row = known or OauthClientRow(provider=client.provider.value, client_id="", updated=moment)
    row.client_id, row.tenant, row.issuer, row.name = client.client_id, client.tenant, client.issuer, client.name
    row.domains, row.scope, row.secret_ends = list(client.domains), client.scope, client.secret_ends
    row.version, row.updated, row.public, row.codes = client.version, moment, client.public, client.codes
    session.add(row)


def delete_client(session: Session, provider: OAuthProvider) -> bool:
    """Remove a client; return whether there was one."""
    row = session.get(OauthClientRow, provider.value)
    if row is not None:
        session.delete(row)
    return row is not None


def _to_client(row: OauthClientRow) -> Client:
    return Client(
        provider=OAuthProvider(row.provider),
        client_id=row.client_id,
        tenant=row.tenant,
        issuer=row.issuer,
        name=row.name,
        domains=tuple(row.domains),
        scope=row.scope,
        secret_ends=row.secret_ends,
        version=row.version,
        updated=row.updated,
        public=row.public,
        codes=row.codes,
    )


# ---- Attempts


def add_attempt(session: Session, row: OauthAttemptRow) -> None:
    """Store a new attempt."""
    session.add(row)
    session.flush()


def find_attempt(session: Session, state_digest: str) -> OauthAttemptRow | None:
    """Return an attempt by the digest of its state."""
    return session.get(OauthAttemptRow, state_digest)


def use_attempt(session: Session, state_digest: str, moment: datetime) -> bool:
    """Take an attempt for the one exchange that it is good for; return whether nobody was first.

    What was sealed for it goes with that: who takes it has read it before.
    """
    wanted = (col(OauthAttemptRow.state_digest) == state_digest, col(OauthAttemptRow.used).is_(None))
    values = {"used": moment, "state": "checking", "sealed": b""}
    return session.connection().execute(update(OauthAttemptRow).where(*wanted).values(values)).rowcount == 1


def note_redirect(session: Session, state_digest: str, uri: str) -> None:
    """Note which address the browser was sent away with: the exchange has to name the same (RFC 6749, 4.1.3)."""
    row = session.get(OauthAttemptRow, state_digest)
    if row is not None:
        row.redirect_uri = uri
        session.add(row)


def conclude_attempt(
    session: Session, state_digest: str, state: str, key: str, facts: Mapping[str, Any]
) -> OauthAttemptRow:
    """Note what an attempt has come to, and return it; what was sealed for it goes."""
    row = session.get_one(OauthAttemptRow, state_digest)
    row.state, row.key, row.facts, row.sealed = state, key, dict(facts), b""
    session.add(row)
    return row


def delete_attempts_before(session: Session, user_id: int, moment: datetime) -> None:
    """Remove a user's attempts that were made before ``moment``."""
    session.exec(
        delete(OauthAttemptRow).where(col(OauthAttemptRow.user_id) == user_id, col(OauthAttemptRow.made) < moment)
    )


# ---- Attempts by a code


def _is_open() -> tuple[Any, ...]:
    row = OauthAttemptRow
    return (col(row.state) == "open", col(row.used).is_(None), col(row.expires).is_not(None))


def _is_asked_for(now: datetime) -> tuple[Any, ...]:
    return (*_is_open(), col(OauthAttemptRow.expires) > now)


def list_codes(session: Session) -> Sequence[OauthAttemptRow]:
    """Return the attempts by a code that have not ended yet; the time of some may have run out."""
    return session.exec(select(OauthAttemptRow).where(*_is_open()).order_by(col(OauthAttemptRow.due))).all()


def find_code(session: Session, session_hash: str, now: datetime) -> OauthAttemptRow | None:
    """Return the attempt by a code that a log-in has under way."""
    wanted = select(OauthAttemptRow).where(col(OauthAttemptRow.session_hash) == session_hash, *_is_asked_for(now))
    return session.exec(wanted.order_by(col(OauthAttemptRow.made).desc())).first()


def claim_code(session: Session, state_digest: str, now: datetime, until: datetime) -> bool:
    """Take the next question for a code over, until ``until``; return whether it is due and nobody else is at it.

    A moment that lies further ahead than one can be was written before the clock was set back: it counts as over.
    """
    row = OauthAttemptRow
    longest = until + timedelta(minutes=1) + CLOCK_SKEW
    due = or_(col(row.due) <= now, col(row.due) > longest)
    wanted = update(row).where(col(row.state_digest) == state_digest, due, *_is_asked_for(now)).values(due=until)
    return session.connection().execute(wanted).rowcount == 1


def put_off_code(session: Session, state_digest: str, due: datetime, interval_s: int) -> None:
    """Note from when a code may be asked for again, and how often."""
    row = OauthAttemptRow
    wanted = update(row).where(col(row.state_digest) == state_digest, col(row.state) == "open")
    session.connection().execute(wanted.values(due=due, interval_s=interval_s))


def cancel_codes(session: Session, session_hash: str, moment: datetime, state_digest: str = "") -> bool:
    """End a log-in's attempts by a code, or the one; return whether there was one that nobody had answered."""
    row = OauthAttemptRow
    mine = [col(row.session_hash) == session_hash, *_is_open()]
    mine += [col(row.state_digest) == state_digest] if state_digest else []
    values = {"used": moment, "state": "cancelled", "sealed": b""}
    return session.connection().execute(update(row).where(*mine).values(values)).rowcount > 0


def end_late_code(session: Session, state_digest: str, now: datetime) -> None:
    """End an attempt by a code whose time has run out, unless somebody has answered it meanwhile."""
    row = OauthAttemptRow
    late = (col(row.state_digest) == state_digest, *_is_open(), col(row.expires) <= now)
    session.connection().execute(update(row).where(*late).values({"used": now, "state": "expired", "sealed": b""}))


# ---- Grants


def find_grant(session: Session, user_id: int, *, lock: bool = False) -> OauthGrantRow | None:
    """Return what a user has allowed; with ``lock`` it stays so until the transaction ends."""
    wanted = select(OauthGrantRow).where(OauthGrantRow.user_id == user_id)
    return session.exec(wanted.with_for_update() if lock else wanted).first()


def list_grants(session: Session, provider: OAuthProvider | None = None) -> Sequence[OauthGrantRow]:
    """Return the grants of every user, or those at one provider."""
    wanted = select(OauthGrantRow).order_by(col(OauthGrantRow.user_id))
    if provider is not None:
        wanted = wanted.where(OauthGrantRow.provider == provider.value)
    return session.exec(wanted).all()


def put_grant(session: Session, row: OauthGrantRow) -> None:
    """Store a grant in place of what is there."""
    delete_grant(session, row.user_id)
    session.add(row)
    session.flush()


def delete_grant(session: Session, user_id: int) -> bool:
    """Remove a user's grant; return whether there was one."""
    row = session.get(OauthGrantRow, user_id)
    if row is not None:
        session.delete(row)
        session.flush()
    return row is not None


def claim_grant(session: Session, user_id: int, owner: str, now: datetime, until: datetime) -> bool:
    """Take the renewal of a grant over until ``until``; return whether nobody else is at it.

    A lease that lies further ahead than one can be was written before the clock was set back: it counts as over.
    """
    row = OauthGrantRow
    free = or_(col(row.owner) == "", col(row.lease_until) < now, col(row.lease_until) > until + CLOCK_SKEW)
    wanted = update(row).where(col(row.user_id) == user_id, free).values(owner=owner, lease_until=until)
    return session.connection().execute(wanted).rowcount == 1


def release_grant(session: Session, user_id: int, owner: str) -> None:
    """Give the renewal of a grant back, where it is still ours."""
    row = OauthGrantRow
    mine = (col(row.user_id) == user_id, col(row.owner) == owner)
    session.connection().execute(update(row).where(*mine).values(owner="", lease_until=None))


def renew_grant(session: Session, user_id: int, owner: str, values: Mapping[str, Any]) -> bool:
    """Note what a renewal has brought, where it is still ours; return whether it was."""
    row = OauthGrantRow
    mine = (col(row.user_id) == user_id, col(row.owner) == owner)
    return session.connection().execute(update(row).where(*mine).values(**values)).rowcount == 1
