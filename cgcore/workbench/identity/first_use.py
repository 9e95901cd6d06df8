"""The first administrator: by a code from the console, or by ``CG_ADMIN_USER`` and ``CG_ADMIN_PASSWORD``."""

from __future__ import annotations

from cgcore.activity import Action
from cgcore.errors import NotAllowed, Throttled
from cgcore.identity.actor import Role
from cgcore.identity.throttle import FIRST_USE_CODE, source_key
from cgcore.identity.tokens import hash_code
from cgcore.storage import identity
from cgcore.storage.database import take_change_lock
from cgcore.storage.identity import forgive, reserve
from cgcore.vault.secret import Secret
from cgcore.workbench.identity.accounts import AccountUseCases, NewUser
from cgcore.workbench.identity.codes import CodePurpose, CodeUseCases
from cgcore.workbench.identity.sessions import LoginResult, SessionUseCases

__all__ = ["FirstUse"]


class FirstUse(SessionUseCases, AccountUseCases, CodeUseCases):
    """There is no default user and no default password."""

    def first_use_needed(self) -> bool:
        """Return whether nobody can log in yet, because there is no user at all."""
        with self._database.read() as session:
            return not identity.has_users(session)

    def create_configured_admin(self) -> bool:
        """Create the administrator that the settings name, when there is no user; return whether it was done.

        Raises :class:`InvalidInput` when name or password is not good enough.
        """
        settings = self._workbench.settings
        password = Secret(settings.admin_password.get_secret_value())
        if not (settings.admin_user and password) or not self.first_use_needed():
            return False
        row = self._build_user(NewUser(settings.admin_user, password, role=Role.ADMIN))
        with self._database.session() as session:
            take_change_lock(session)
            added = not identity.has_users(session) and identity.add_user(session, row)
            if added:
                self._workbench.activity.record(None, Action.USER_ADDED, row.username, session=session)
        return added

    def renew_first_use_code(self) -> Secret | None:
        """Return a new code for the console when there is no user and no earlier code that still works, else None."""
        with self._database.read() as session:
            if identity.has_users(session) or identity.has_live_code(session, CodePurpose.FIRST_USE.value, self._now()):
                return None
        return self.issue_first_use_code()

    def issue_first_use_code(self) -> Secret:
        """Return a new code that creates the first administrator within a day."""
        return self.issue_code(CodePurpose.FIRST_USE, None, FIRST_USE_CODE)

    def first_use(
        self, code: Secret, username: str, password: Secret, *, ip: str = "", user_agent: str = ""
    ) -> LoginResult:
        """Create the first administrator and log them in. Of several at once, one succeeds.

        Raises :class:`NotAllowed`, code ``first_use_done`` when there is a user or ``code_invalid``;
        :class:`InvalidInput` on ``username`` or ``password``, which leaves the code good; :class:`Throttled`.
        """
        self._check_code(code, ip)
        row = self._build_user(NewUser(username, password, role=Role.ADMIN))
        with self._database.session() as session:
            # A second tab waits here, and then sees the first one's user.
            take_change_lock(session)
            if identity.has_users(session):
                raise NotAllowed("there is a user already", code="first_use_done")
            self.consume_code(session, CodePurpose.FIRST_USE, code)
            self._store_user(session, row)
            result = self._begin(session, row, ip, user_agent)
            self._workbench.activity.record(result.actor, Action.USER_ADDED, row.username, session=session)
        return result

    def _check_code(self, code: Secret, ip: str) -> None:
        now, source = self._now(), source_key(ip)
        with self._database.session() as session:
            outcome = reserve(session, [source] if source else [], now)
            needed = not identity.has_users(session)
            found = identity.find_code(session, CodePurpose.FIRST_USE.value, hash_code(code), now)
            if not isinstance(outcome, list):
                raise Throttled((outcome - now).total_seconds())
            if found or not needed:
                forgive(session, outcome, account="")
        if not needed:
            raise NotAllowed("there is a user already", code="first_use_done")
        if found is None:
            raise NotAllowed("the code does not work", code="code_invalid")
