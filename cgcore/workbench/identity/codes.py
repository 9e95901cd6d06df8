"""One-time codes and re-authentication grants: what may be done once."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.errors import FieldProblem, InvalidInput, NotAllowed
from cgcore.identity.actor import Actor
from cgcore.identity.throttle import GRANT
from cgcore.identity.tokens import hash_code, hash_token, new_code, new_token, username_key
from cgcore.storage import identity
from cgcore.storage.identity import lock_user
from cgcore.storage.tables import GrantRow, OneTimeCodeRow
from cgcore.vault.secret import Secret

if TYPE_CHECKING:
    from cgcore.storage.tables import UserRow
    from cgcore.workbench.context import Context
    from cgcore.workbench.identity.passwords import Passwords

__all__ = ["CodePurpose", "Codes"]


class CodePurpose(StrEnum):
    """What a one-time code opens; a code of one purpose is unknown to the others."""

    FIRST_USE = "first_use"
    PASSWORD_RESET = "password_reset"  # noqa: S105 (a purpose, not a password)
    PAIRING = "pairing"


class Codes:
    """Codes and grants. Both are used up in the caller's transaction: if that fails, they still work."""

    def __init__(self, context: Context, *, passwords: Passwords) -> None:
        self._context, self._passwords = context, passwords

    def issue_code(
        self, purpose: CodePurpose, user_id: int | None, lifetime: timedelta, session: Session | None = None
    ) -> Secret:
        """Return a new code of 100 bits; only its SHA-256 is kept. ``session``: as part of the caller's transaction."""
        code, now = new_code(), self._context.clock()
        row = OneTimeCodeRow(
            code_hash=hash_code(code), purpose=purpose.value, user_id=user_id, created=now, expires=now + lifetime
        )
        with nullcontext(session) if session else self._context.database.session() as session:
            identity.add_code(session, row)
        return code

    def find_owner(self, session: Session, purpose: CodePurpose, code: Secret) -> UserRow | None:
        """Return the active user whom the code was made for, locked, without using it up; None where there is none.

        Asked before :meth:`consume_code`, so that whoever changes a user has the user before the codes.
        """
        found = identity.find_code(session, purpose.value, hash_code(code), self._context.clock())
        user = lock_user(session, found.user_id) if found and found.user_id else None
        return user if user and user.active else None

    def consume_code(self, session: Session, purpose: CodePurpose, code: Secret) -> int | None:
        """Use the code up in the caller's transaction and return the id of the user it was made for.

        Raises :class:`NotAllowed` (code ``code_invalid``) for one that is unknown, used, expired or of another purpose.
        """
        consumed = identity.consume_code(session, purpose.value, hash_code(code), self._context.clock())
        if consumed is None:
            raise NotAllowed("the code does not work", code="code_invalid")
        return consumed.user_id

    def issue_grant(self, actor: Actor, action: str, password: Secret) -> str:
        """Return the right to do ``action`` once, within five minutes, in this log-in; the password was asked again.

        Raises :class:`Throttled` as a log-in does, with the same counters, :class:`InvalidInput` on the field
        ``password`` when it is wrong, and :class:`NotAllowed` for an actor without a log-in (API key, command line).
        """
        if not actor.session_hash:
            raise NotAllowed("only a log-in can be re-authenticated")
        self._context.require_present(actor)
        verified = self._passwords.check(username_key(actor.username), password, actor.ip)
        if verified is None:
            self._context.activity.record(actor, Action.REAUTHENTICATED, action, "password_wrong")
            raise InvalidInput(FieldProblem.of("cgcore.identity", "password", "password_wrong"))
        grant, now = new_token(), self._context.clock()
        row = GrantRow(
            id=hash_token(grant),
            user_id=actor.user_id,
            session_hash=actor.session_hash,
            action=action,
            expires=now + GRANT,
        )
        with self._context.write_as(actor) as (session, actor):
            if self._passwords.confirm(session, verified) is None:
                raise InvalidInput(FieldProblem.of("cgcore.identity", "password", "password_wrong"))
            identity.add_grant(session, row, now)
            self._context.activity.record(actor, Action.REAUTHENTICATED, action, session=session)
        return grant.reveal()

    def consume_grant(self, session: Session, actor: Actor, grant_id: str, action: str) -> None:
        """Use the grant up in the caller's transaction.

        Raises :class:`NotAllowed` (code ``grant_invalid``) unless it is this user's, of this log-in, for this action,
        not used and not older than five minutes.
        """
        consumed = identity.consume_grant(
            session,
            hash_token(Secret(grant_id)),
            self._context.clock(),
            user_id=actor.user_id,
            session_hash=actor.session_hash,
            action=action,
        )
        if not consumed:
            raise NotAllowed("no such grant", code="grant_invalid")
