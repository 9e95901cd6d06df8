"""What users have allowed: who is connected, as whom, for which servers; how that ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.errors import NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.oauth_answers import OAuthFailure
from cgcore.mail.oauth_client import Client, OAuthProvider
from cgcore.storage import oauth as store
from cgcore.storage.acting import find_acting
from cgcore.storage.oauth_tables import OauthGrantRow
from cgcore.storage.outbox_rests import look_again
from cgcore.vault.secret import Secret
from cgcore.workbench.secrets import oauth_secret

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.mail.oauth import OAuthDoor
    from cgcore.workbench.context import Context

__all__ = ["Connected", "Disconnected", "Ended", "GrantState", "Grants", "NewGrant", "hosts_of"]

_CLOSE_S = 6.0


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
    """What a user has just allowed. ``ends_in``: seconds, where the provider says that it will end by itself.

    ``access`` came with it, and is good for ``expires_in`` seconds.
    """

    refresh: Secret
    subject: str
    address: str
    mailbox: str
    hosts: tuple[str, ...]
    scopes: tuple[str, ...]
    ends_in: int | None = None
    access: Secret | None = None
    expires_in: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that has just been ended here; its token is still to be forgotten and revoked.

    ``client`` is the one by which it was made, where that is still there, and ``secret`` the client's. ``token`` has
    been taken out of the vault already.
    """

    user_id: int
    provider: OAuthProvider
    bond: Mapping[str, str]
    client: Client | None = None
    secret: Secret | None = None
    token: Secret | None = None


class Grants:
    """Use cases of connections. Each user has one at most."""

    def __init__(
        self,
        context: Context,
        *,
        find_secret: Callable[[Client], Secret | None],
        forget: Callable[[int], None],
        remember: Callable[[int, tuple[datetime, int], Secret, int], None],
        door: Callable[[], OAuthDoor],
    ) -> None:
        self._context, self._find_secret, self._door = context, find_secret, door
        self._forget, self._remember = forget, remember
        self._revoking: list[threading.Thread] = []

    def connect(self, actor: Actor, client: Client, new: NewGrant) -> Connected:
        """Keep what the actor has allowed, in place of what there was. Part of an attempt.

        What there was with another account is revoked. Messages that waited for a connection may go. Raises
        :class:`VaultError`; then nothing has changed.
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
        mine, left = bond_of(row), None
        try:
            with self._context.write_as(actor) as (session, actor):
                old = store.find_grant(session, actor.user_id, lock=True)
                row.fence = fence = old.fence + 1 if old else 1
                if old is not None and bond_of(old) != mine:
                    left = self._take(self._ended(session, old))
                before, swapped = vault.swap(name, new.refresh, bond=mine), True
                store.put_grant(session, row)
                look_again(session, [actor.user_id])
                self._context.activity.record(actor, Action.OAUTH_CONNECTED, new.address, session=session)
        except BaseException:
            if swapped:
                with suppress(VaultError):
                    vault.put_back(name, before)
            raise
        self._forget(actor.user_id)
        if new.access is not None:
            self._remember(actor.user_id, (now, fence), new.access, new.expires_in)
        if left is not None:
            self._tell_soon([left])
        return connected

    def connection(self, actor: Actor) -> Connected | None:
        """Return the actor's connection, working or not; None where there is none.

        One whose client was taken away, or is another one since, works no more: it is to be made anew.
        """
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
        ended = self._ended(session, row)
        store.delete_grant(session, actor.user_id)
        self._context.activity.record(actor, Action.OAUTH_DISCONNECTED, row.address, session=session)
        return ended

    def end_for(self, session: Session, actor: Actor, user_id: int) -> Ended | None:
        """End somebody's connection in the caller's transaction, because of what ``actor`` does there.

        Who had it finds a line of its own: what has been done to them stands in another's trail.
        """
        row = store.find_grant(session, user_id, lock=True)
        if row is None:
            return None
        ended = self._ended(session, row)
        store.delete_grant(session, user_id)
        whose = find_acting(session, user_id) or actor
        self._context.activity.record(whose, Action.OAUTH_LOST, row.address, "oauth_not_connected", session=session)
        return ended

    def end_later(self, session: Session, actor: Actor, user_id: int) -> Callable[[], None]:
        """Do the same; return what forgets the token once the transaction stands, for who knows nothing of it."""
        ended = self.end_for(session, actor, user_id)
        return lambda: self.revoke_soon([ended] if ended is not None else [])

    def end_by(self, session: Session, actor: Actor, client: Client) -> Sequence[Ended]:
        """End every connection by a client that ``actor`` is taking away, in the caller's transaction."""
        found = [row.user_id for row in store.list_grants(session, client.provider)]
        ended = [self.end_for(session, actor, user_id) for user_id in found]
        return tuple(each for each in ended if each is not None)

    def end_unless_for(self, session: Session, actor: Actor, draft: MailAccountDraft) -> Ended | None:
        """End the actor's connection where the account that is saved is another one than it was made for."""
        row = store.find_grant(session, actor.user_id, lock=True)
        if row is None or (row.provider == draft.auth and row.mailbox.casefold() == draft.user.strip().casefold()):
            return None
        return self.end(session, actor)

    def revoke(self, ended: Ended) -> bool:
        """Forget the token of a connection that has ended, and tell the provider; return whether it has agreed."""
        return self._tell(self._drop(ended))

    def revoke_soon(self, ended: Iterable[Ended]) -> None:
        """Forget at once, and tell the provider without anybody waiting for it."""
        self._tell_soon([self._drop(each) for each in ended])

    def close(self) -> None:
        """Give what is being told to providers the time of an answer."""
        ends = time.monotonic() + _CLOSE_S
        for thread in self._revoking:
            thread.join(max(0.0, ends - time.monotonic()))

    def _ended(self, session: Session, row: OauthGrantRow) -> Ended:
        bond = bond_of(row)
        client = store.find_client(session, OAuthProvider(row.provider))
        if client is None or client.client_id != row.client_id:
            return Ended(row.user_id, OAuthProvider(row.provider), bond)
        secret = None
        with suppress(VaultError):
            secret = self._find_secret(client)
        return Ended(row.user_id, client.provider, bond, client, secret)

    def _take(self, ended: Ended) -> Ended:
        """Return it with its token. One that stands in another bond is of a connection that was made meanwhile."""
        with suppress(VaultError):
            token = self._context.vault.get(oauth_secret(ended.user_id), bond=ended.bond)
            return replace(ended, token=token)
        return ended

    def _drop(self, ended: Ended) -> Ended:
        """Take its token out of the vault, and let go of what came of it."""
        self._forget(ended.user_id)
        taken = self._take(ended)
        if taken.token is not None:
            # A vault that is away keeps what nobody asks for any more.
            with suppress(VaultError):
                self._context.vault.delete(oauth_secret(ended.user_id))
        return taken

    def _tell(self, ended: Ended) -> bool:
        if ended.token is None or ended.client is None or (ended.secret is None and not ended.client.public):
            return False
        try:
            return self._door().revoke(ended.client, ended.secret, ended.token)
        except OAuthFailure:
            return False

    def _tell_soon(self, ended: Sequence[Ended]) -> None:
        if not ended:
            return
        thread = threading.Thread(target=lambda: [self._tell(each) for each in ended], name="oauth-revoke", daemon=True)
        self._revoking = [each for each in self._revoking if each.is_alive()] + [thread]
        thread.start()


_MANAGED_AT = {
    OAuthProvider.GOOGLE: "https://myaccount.google.com/connections",
    OAuthProvider.MICROSOFT: "https://myaccount.microsoft.com/",
}


def _find_connected(session: Session, actor: Actor) -> Connected | None:
    row = store.find_grant(session, actor.user_id)
    if row is None:
        return None
    client, connected = store.find_client(session, OAuthProvider(row.provider)), to_connected(row)
    if client is None or client.client_id != row.client_id:
        return replace(connected, state=GrantState.NEEDS_LOGIN, key="oauth_not_connected", facts={})
    return connected


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
