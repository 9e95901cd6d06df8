"""The section itself. Apart from its package, whose names are types: who hands in what to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgcore.once import once
from cgcore.workbench.oauth.attempts import Attempts
from cgcore.workbench.oauth.clients import Clients
from cgcore.workbench.oauth.codes import CodePoller, Codes
from cgcore.workbench.oauth.grants import Grants
from cgcore.workbench.oauth.keep_alive import KeepAlive
from cgcore.workbench.oauth.tokens import AccessTokens

if TYPE_CHECKING:
    from cgcore.mail.oauth import OAuthDoor
    from cgcore.workbench.context import Context

__all__ = ["OAuthSection"]


class OAuthSection:
    """Signing in at mail servers with what a provider gives, in place of a password."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @once
    def clients(self) -> Clients:
        """What administrators register, and to whom it is offered."""
        return Clients(self._context, grants=lambda: self.grants, door=lambda: self._door)

    @once
    def grants(self) -> Grants:
        """Who is connected."""
        return Grants(
            self._context,
            find_secret=lambda client: self.clients.find_secret(client),
            forget=lambda user: self.tokens.forget(user),
            remember=lambda user, row, access, life: self.tokens.remember(user, row, access, life),
            door=lambda: self._door,
        )

    @once
    def tokens(self) -> AccessTokens:
        """Access tokens, for whoever signs in at a mail server."""
        return AccessTokens(self._context, clients=self.clients, door=lambda: self._door)

    @once
    def keep_alive(self) -> KeepAlive:
        """Renews what nobody uses, before it ends for that."""
        return KeepAlive(self._context, self.tokens)

    def start(self) -> None:
        """Begin what goes on by itself; once."""
        self.keep_alive.start()
        self.code_poller.start()

    def close(self) -> None:
        """Stop what goes on by itself."""
        for name in ("keep_alive", "code_poller", "grants"):
            if name in vars(self):
                vars(self)[name].close()

    @once
    def attempts(self) -> Attempts:
        """Ways to a provider and back."""
        return Attempts(self._context, clients=self.clients, grants=self.grants, door=lambda: self._door)

    @once
    def codes(self) -> Codes:
        """Codes that are typed at a provider."""
        return Codes(
            self._context,
            clients=self.clients,
            attempts=self.attempts,
            door=lambda: self._door,
            wake=lambda: self.code_poller.wake(),
        )

    @once
    def code_poller(self) -> CodePoller:
        """Asks for those codes."""
        return CodePoller(lambda: self.codes.work_once())

    @once
    def _door(self) -> OAuthDoor:
        from cgcore.mail.oauth import OAuthDoor
        from cgcore.mail.request import environment_from

        environment = environment_from(self._context.settings)
        return OAuthDoor(lambda: environment, lambda: self._context.clock())
