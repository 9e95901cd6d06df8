"""What users have allowed: who is connected, as whom, for which servers; how that ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.errors import CloudGestionError, NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.oauth_answers import OAuthFailure
from cgcore.mail.oauth_client import Client, OAuthProvider
from cgcore.storage import oauth as store
from cgcore.storage.oauth_tables import OauthGrantRow
from cgcore.vault.secret import Secret
from cgcore.workbench.secrets import oauth_secret

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.mail.oauth import OAuthDoor
    from cgcore.workbench.context import Context
    from cgcore.workbench.oauth.clients import Clients

__all__ = ["Connected", "Disconnected", "Ended", "GrantState", "Grants", "NewGrant", "hosts_of"]


class GrantState(StrEnum):
    """How a connection stands: it works; the user has to connect anew; the administrator has something to do first."""

    CONNECTED = "connected"
    NEEDS_LOGIN = "needs_login"
    NEEDS_ADMIN = "needs_admin"


def _no_facts() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Connected:
    """Who is connected: ``address`` is the account at the provider, ``mailbox`` the user name that it signs in for.

    The two differ where a shared mailbox was confirmed. ``hosts`` are the only servers that a token goes to.
    ``ends``: when the provider has said that it will end (Google's testing mode). ``key`` and ``facts`` are the
    diagnosis where ``state`` is not :attr:`GrantState.CONNECTED`.
    """

    provider: OAuthProvider
    address: str
    mailbox: str
    hosts: tuple[str, ...]
    scopes: tuple[str, ...]
    since: datetime
    refreshed: datetime
    ends: datetime | None = None
    state: GrantState = GrantState.CONNECTED
    key: str = ""
    facts: Mapping[str, Any] = field(default_factory=_no_facts)

    @property
    def works(self) -> bool:
        """Whether nothing is known against it; what the administrator has to mend heals by itself."""
        return self.state is not GrantState.NEEDS_LOGIN

    def as_json(self) -> dict[str, Any]:
        """Return what the API shows of it as ``connected``."""
        return {"address": self.address, "since": self.since.isoformat(), "scopes": [*self.scopes]}

    def is_for(self, draft: MailAccountDraft) -> bool:
        """Return whether this is the connection of the account: the same mailbox, and no other server."""
        same = draft.user.strip().casefold() == self.mailbox.casefold()
        return same and set(hosts_of(draft)) <= set(self.hosts)


@dataclass(frozen=True, slots=True)
class Disconnected:
    """What became of a connection that was ended: ``revoked`` says whether the provider was told and has agreed.

    Where it was not, ``manage_url`` is where the user removes the permission by hand, ``""`` where that is not known.
    """

    provider: OAuthProvider
    revoked: bool
    manage_url: str = ""


def hosts_of(draft: MailAccountDraft) -> tuple[str, ...]:
    """Return the servers of an account, each once, in small letters."""
    hosts = (draft.smtp.host.strip().lower(), draft.imap.host.strip().lower())
    return tuple(dict.fromkeys(host for host in hosts if host))


@dataclass(frozen=True, slots=True)
class NewGrant:
    """What a user has just allowed. ``ends_in``: seconds, where the provider says that it will end by itself."""

    refresh: Secret
    subject: str
    address: str
    mailbox: str
    hosts: tuple[str, ...]
    scopes: tuple[str, ...]
    ends_in: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that has just been ended here; its token is still to be forgotten and revoked."""

    user_id: int
    provider: OAuthProvider
    bond: Mapping[str, str]


class Grants:
    """Use cases of connections. Each user has one at most."""

    def __init__(
        self, context: Context, *, clients: Clients, forget: Callable[[int], None], door: Callable[[], OAuthDoor]
    ) -> None:
        self._context, self._clients, self._forget, self._door = context, clients, forget, door

    def connect(self, actor: Actor, client: Client, new: NewGrant) -> Connected:
        """Keep what the actor has allowed, in place of what there was. Part of an attempt.

        Raises :class:`VaultError`; then nothing has changed.
        """
        vault, name = self._context.vault, oauth_secret(actor.user_id)
        now = self._context.clock()
        row = OauthGrantRow(
            user_id=actor.user_id,
            provider=client.provider.value,
            client_id=client.client_id,
            subject=new.subject,
            address=new.address,
            mailbox=new.mailbox,
            hosts=list(new.hosts),
            scopes=list(new.scopes),
            obtained=now,
            refreshed=now,
            ends=now + timedelta(seconds=new.ends_in) if new.ends_in else None,
        )
        connected, swapped, before = to_connected(row), False, None
        try:
            with self._context.write_as(actor) as (session, actor):
                old = store.find_grant(session, actor.user_id, lock=True)
                row.fence = old.fence + 1 if old else 1
                before, swapped = vault.swap(name, new.refresh, bond=bond_of(row)), True
                store.put_grant(session, row)
                self._context.activity.record(actor, Action.OAUTH_CONNECTED, new.address, session=session)
        except BaseException:
            if swapped:
                with suppress(VaultError):
                    vault.put_back(name, before)
            raise
        return connected

    def connection(self, actor: Actor) -> Connected | None:
        """Return the actor's connection, working or not; None where there is none."""
        return self._context.recall(actor, "oauth_grant", _find_connected)

    def disconnect(self, actor: Actor) -> Disconnected:
        """End the actor's connection: told to the provider where that exists, forgotten here whatever it answers.

        May take as long as the provider's answer, five seconds at most. The account stays as it is, and signs in no
        more until it is connected anew or has a password. Raises :class:`NotFound`.
        """
        with self._context.write_as(actor) as (session, actor):
            ended = self.end(session, actor)
        if ended is None:
            raise NotFound("nobody is connected")
        revoked = self.revoke(ended)
        page = "" if revoked else _MANAGED_AT.get(ended.provider, "")
        return Disconnected(ended.provider, revoked=revoked, manage_url=page)

    def end(self, session: Session, actor: Actor) -> Ended | None:
        """End the actor's connection in the caller's transaction; :meth:`revoke` what is returned once that stands."""
        row = store.find_grant(session, actor.user_id, lock=True)
        if row is None:
            return None
        ended = Ended(actor.user_id, OAuthProvider(row.provider), bond_of(row))
        store.delete_grant(session, actor.user_id)
        self._context.activity.record(actor, Action.OAUTH_DISCONNECTED, row.address, session=session)
        return ended

    def end_unless_for(self, session: Session, actor: Actor, draft: MailAccountDraft) -> Ended | None:
        """End the actor's connection where the account that is saved is another one than it was made for."""
        row = store.find_grant(session, actor.user_id, lock=True)
        if row is None or (row.provider == draft.auth and row.mailbox.casefold() == draft.user.strip().casefold()):
            return None
        return self.end(session, actor)

    def revoke(self, ended: Ended) -> bool:
        """Forget the token of a connection that has ended, and tell the provider; return whether it has agreed."""
        vault, name = self._context.vault, oauth_secret(ended.user_id)
        self._forget(ended.user_id)
        token = None
        with suppress(VaultError):
            token = vault.get(name, bond=ended.bond)
        if token is not None:
            # One that stands in another bond is of a connection that was made meanwhile.
            vault.delete(name)
        with self._context.database.read() as session:
            client = store.find_client(session, ended.provider)
        secret = self._clients.find_secret(client) if client else None
        if token is None or client is None or secret is None or client.client_id != ended.bond["client"]:
            return False
        try:
            return self._door().revoke(client, secret, token)
        except OAuthFailure:
            return False

    def revoke_soon(self, ended: Ended) -> None:
        """Do the same without anybody waiting for the provider."""
        threading.Thread(target=self._revoke_quietly, args=(ended,), name="oauth-revoke", daemon=True).start()

    def _revoke_quietly(self, ended: Ended) -> None:
        with suppress(CloudGestionError):
            self.revoke(ended)


_MANAGED_AT = {
    OAuthProvider.GOOGLE: "https://myaccount.google.com/connections",
    OAuthProvider.MICROSOFT: "https://myaccount.microsoft.com/",
}


def _find_connected(session: Session, actor: Actor) -> Connected | None:
    row = store.find_grant(session, actor.user_id)
    return to_connected(row) if row else None


def to_connected(row: OauthGrantRow) -> Connected:
    """Return what a row holds."""
    return Connected(
        provider=OAuthProvider(row.provider),
        address=row.address,
        mailbox=row.mailbox,
        hosts=tuple(row.hosts),
        scopes=tuple(row.scopes),
        since=row.obtained,
        refreshed=row.refreshed,
        ends=row.ends,
        state=GrantState(row.state),
        key=row.key,
        facts=dict(row.facts),
    )


def bond_of(row: OauthGrantRow) -> dict[str, str]:
    """Return what a refresh token is kept with: it is of this client, this account there, and this row."""
    return {"provider": row.provider, "client": row.client_id, "subject": row.subject}
