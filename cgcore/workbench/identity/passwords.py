"""Changing a password: by its owner, by a link, by an administrator."""

from __future__ import annotations

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.errors import NotAllowed
from cgcore.identity.actor import Actor
from cgcore.identity.passwords import find_password_problem
from cgcore.identity.texts import invalid
from cgcore.identity.throttle import RESET_LINK
from cgcore.identity.tokens import hash_code, username_key
from cgcore.storage import identity
from cgcore.storage.identity import revoke_sessions_of
from cgcore.vault.secret import Secret
from cgcore.workbench.identity.accounts import AccountUseCases
from cgcore.workbench.identity.codes import CodePurpose, CodeUseCases

__all__ = ["PasswordUseCases"]


class PasswordUseCases(AccountUseCases, CodeUseCases):
    """A new password ends the user's other log-ins, API keys, links and codes, in the same transaction."""

    def change_password(self, actor: Actor, old: Secret, new: Secret) -> None:
        """Change the actor's own password; this log-in goes on, the others end.

        Raises :class:`Throttled` as a log-in does, and :class:`InvalidInput` on ``old_password`` or ``new_password``.
        """
        problem = find_password_problem(new, actor.username)
        if problem:
            raise invalid("new_password", problem)
        if self._try_password(username_key(actor.username), old, actor.ip) is None:
            self._workbench.activity.record(actor, Action.PASSWORD_CHANGED, actor.username, "password_wrong")
            raise invalid("old_password", "password_wrong")
        new_hash = self._hasher.make_hash(new)
        with self._database.session() as session:
            self._workbench.activity.record(actor, Action.PASSWORD_CHANGED, actor.username, session=session)
            ended = self._replace(session, actor.user_id, new_hash, actor, keep=actor.session_hash)
        self.tell_ended(ended)

    def set_password(self, actor: Actor, username: str, new: Secret) -> None:
        """Give somebody a new password; every log-in of theirs ends.

        Raises :class:`NotFound`, and :class:`InvalidInput` on ``password``.
        """
        actor.require_admin()
        problem = find_password_problem(new, username)
        if problem:
            raise invalid("password", problem)
        with self._database.read() as session:
            user = self._get_user(session, username)
        new_hash = self._hasher.make_hash(new)
        with self._database.session() as session:
            self._workbench.activity.record(actor, Action.PASSWORD_RESET, user.username, session=session)
            ended = self._replace(session, user.id or 0, new_hash, actor)
        self.tell_ended(ended)

    def issue_reset_link(self, actor: Actor, username: str) -> Secret:
        """Return the path of a page where ``username`` sets a new password: good once, for a day.

        Raises :class:`NotFound`.
        """
        actor.require_admin()
        with self._database.read() as session:
            user = self._get_user(session, username)
        code = self.issue_code(CodePurpose.PASSWORD_RESET, user.id, RESET_LINK)
        self._workbench.activity.record(actor, Action.RESET_LINK_ISSUED, user.username)
        return Secret(f"/nueva-contrasena/{code.reveal()}")

    def find_reset_username(self, code: Secret) -> str | None:
        """Return whose password this link would change, None when it does not work; the link stays good."""
        with self._database.read() as session:
            found = identity.find_code(session, CodePurpose.PASSWORD_RESET.value, hash_code(code), self._now())
            user = identity.find_user(session, found.user_id) if found and found.user_id else None
        return user.username if user and user.active else None

    def reset_password(self, code: Secret, new: Secret, *, ip: str = "") -> str:
        """Set a new password by a link, end every log-in, and return the user name.

        Raises :class:`NotAllowed` (code ``code_invalid``) when the link does not work, and :class:`InvalidInput` on
        ``password``, which leaves the link good.
        """
        username = self.find_reset_username(code)
        if username is None:
            raise NotAllowed("the link does not work", code="code_invalid")
        problem = find_password_problem(new, username)
        if problem:
            raise invalid("password", problem)
        new_hash = self._hasher.make_hash(new)
        with self._database.session() as session:
            user_id = self.consume_code(session, CodePurpose.PASSWORD_RESET, code)
            self._workbench.activity.record(None, Action.PASSWORD_RESET, username, ip=ip, session=session)
            ended = self._replace(session, user_id or 0, new_hash, None, ip=ip)
        self.tell_ended(ended)
        return username

    def _replace(
        self, session: Session, user_id: int, new_hash: str, actor: Actor | None, *, keep: str = "", ip: str = ""
    ) -> list[str]:
        identity.save_password_hash(session, user_id, new_hash)
        self._workbench.keys.revoke_all_of(user_id, session, actor, ip=ip)
        identity.delete_codes_of(session, user_id)
        return revoke_sessions_of(session, user_id, self._now(), keep=keep)
