"""The clients that administrators register with providers, and to whom a provider is offered.

Apart from the section, as each of its parts: a chapter of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cgcore.activity import Action, Change
from cgcore.errors import InvalidInput, NotFound, StaleVersion, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account_texts import problem as account_problem
from cgcore.mail.oauth_answers import OAuthFailure, facts_of
from cgcore.mail.oauth_client import (
    Client,
    ClientDraft,
    OAuthProvider,
    Way,
    check_client_draft,
    consent_link,
    redirect_uri,
)
from cgcore.storage import oauth as store
from cgcore.storage.database import take_change_lock
from cgcore.storage.outbox_rests import look_again
from cgcore.vault.secret import Secret
from cgcore.workbench.secrets import oauth_client_secret

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.mail.oauth import OAuthDoor
    from cgcore.workbench.context import Context
    from cgcore.workbench.oauth.grants import Grants

__all__ = ["ClientCheck", "Clients", "Offer"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider that somebody may sign in with at their mail servers."""

    provider: OAuthProvider
    label: str
    ways: tuple[Way, ...] = (Way.LINK,)


@dataclass(frozen=True, slots=True)
class ClientCheck:
    """What «Probar» of a client found: ``key`` is a key of the diagnosis, ``""`` where all is well.

    ``values`` are what its sentence names (``provider``, ``code`` and ``trace`` of the provider's own words).
    """

    key: str = ""
    values: tuple[tuple[str, str], ...] = ()


class Clients:
    """Use cases of clients: everybody is offered them, administrators register them."""

    def __init__(self, context: Context, *, grants: Callable[[], Grants], door: Callable[[], OAuthDoor]) -> None:
        self._context, self._grants, self._door = context, grants, door

    def list(self, actor: Actor) -> Sequence[Client]:
        """Return every registered client, without secrets; for administrators."""
        return self._context.recall(
            actor, "oauth_clients", lambda session, _: tuple(store.list_clients(session)), admin=True
        )

    def find(self, actor: Actor, provider: OAuthProvider) -> Client | None:
        """Return the client of one provider; for administrators."""
        return next((each for each in self.list(actor) if each.provider is provider), None)

    def save(self, actor: Actor, draft: ClientDraft, *, version: int) -> Client:
        """Store a client that was read at ``version`` (0: there was none), and return it.

        ``draft.secret`` ``None`` keeps the stored one. Works at once on every process that runs. Raises
        :class:`InvalidInput` with every wrong field, :class:`StaleVersion` and :class:`VaultError`.
        """
        actor.require_admin()
        draft = _trimmed(draft)
        problems = check_client_draft(draft)
        if problems:
            raise InvalidInput(*problems)
        vault, name = self._context.vault, oauth_client_secret(draft.provider)
        swapped, before = False, None
        try:
            with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
                stored = store.find_client(session, draft.provider, lock=True)
                self._require_current(stored, draft, version)
                if draft.secret is not None:
                    before, swapped = vault.swap(name, draft.secret, bond=_bond(draft)), True
                client = self._put(session, actor, stored, draft)
        except BaseException:
            if swapped:
                with suppress(VaultError):
                    vault.put_back(name, before)
            raise
        if draft.public:
            # A vault that is away keeps what nobody asks for any more.
            with suppress(VaultError):
                self._drop_secret(draft.provider)
        return client

    def remove(self, actor: Actor, provider: OAuthProvider) -> None:
        """Remove a client and its secret; who was connected by it is disconnected. Raises :class:`NotFound`."""
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            client = store.find_client(session, provider, lock=True)
            if client is None:
                raise NotFound("no such client")
            ended = self._grants().end_by(session, actor, client)
            store.delete_client(session, provider)
            self._context.activity.record(actor, Action.OAUTH_CLIENT_REMOVED, client.label, session=session)
        self._grants().revoke_soon(ended)
        self._drop_secret(provider)

    def has_secret(self, actor: Actor, client: Client) -> bool:
        """Return whether the vault holds the secret of a client; for administrators. Raises :class:`VaultError`."""
        with self._context.read_as(actor, admin=True):
            return self.find_secret(client) is not None

    def count_connected(self, actor: Actor, provider: OAuthProvider) -> int:
        """Return how many users are connected by a provider; for administrators, before they remove it."""
        return self._context.recall(
            actor, ("oauth_count", provider), lambda session, _: len(store.list_grants(session, provider)), admin=True
        )

    def list_ending(self, actor: Actor) -> Sequence[tuple[Client, int]]:
        """Return the clients whose secret ends soon or has ended, each with the days left; for administrators."""
        today = self._context.clock().date()
        return tuple((each, each.days_left(today) or 0) for each in self.list(actor) if each.ends_soon(today))

    def consent_request(self, actor: Actor, provider: OAuthProvider, base: str) -> str:
        """Return what whoever is refused sends to the administrator at the provider, ``""`` where it is not set up.

        Microsoft has a link for it; elsewhere the client is allowed by its id. ``base`` is the product's own address.
        """
        clients = self._context.recall(actor, "oauth_offers", lambda session, _: tuple(store.list_clients(session)))
        client = next((each for each in clients if each.provider is provider), None)
        if client is None:
            return ""
        by_link = provider is OAuthProvider.MICROSOFT
        return consent_link(client, redirect_uri(base, provider)) if by_link else client.client_id

    def check(self, actor: Actor, provider: OAuthProvider) -> ClientCheck:
        """Ask a provider whether it describes itself and takes the client's id and secret; for administrators.

        Nobody is connected by it. Blocks while the provider is asked. Raises :class:`NotFound` and :class:`VaultError`.
        """
        client = self.find(actor, provider)
        if client is None:
            raise NotFound("no such client")
        try:
            self._door().check(client, self.find_proof(client))
        except OAuthFailure as failure:
            return ClientCheck(failure.key, tuple(facts_of(failure, client).items()))
        return ClientCheck()

    def offered_for(self, actor: Actor, address: str) -> Sequence[Offer]:
        """Return the providers of «Forma de entrar» besides the password, for the mailbox ``address``."""
        clients = self._context.recall(actor, "oauth_offers", lambda session, _: tuple(store.list_clients(session)))
        return tuple(Offer(each.provider, each.label, each.ways) for each in clients if each.is_offered_to(address))

    def find_secret(self, client: Client) -> Secret | None:
        """Return the secret of a client, None where the vault holds none for it. For the door, never for a page."""
        try:
            return self._context.vault.get(oauth_client_secret(client.provider), bond=_bond(client))
        except VaultError as error:
            if error.code not in {"secret_unbound", "secret_misplaced", "record_unreadable"}:
                raise
            return None

    def find_proof(self, client: Client) -> Secret | None:
        """Return what a client shows at the provider, None for one that has nothing to show. For the door.

        Raises :class:`OAuthFailure` where there should be a secret and is none, and :class:`VaultError`.
        """
        secret = None if client.public else self.find_secret(client)
        if secret is None and not client.public:
            raise OAuthFailure("oauth_client_wrong", {"reason": "secret"})
        return secret

    def _drop_secret(self, provider: OAuthProvider) -> None:
        """Remove a secret that no client needs, unless another administrator has saved one since. Raises as a vault."""
        with self._context.database.session() as session:
            take_change_lock(session)
            stored = store.find_client(session, provider, lock=True)
            if stored is None or stored.public:
                self._context.vault.delete(oauth_client_secret(provider))

    def _require_current(self, stored: Client | None, draft: ClientDraft, version: int) -> None:
        if (stored.version if stored else 0) != version:
            raise StaleVersion(stored.version if stored else 0, stored.as_json() if stored else {})
        if draft.public:
            return
        if draft.secret is None and (stored is None or _bond(stored) != _bond(draft) or not self.find_secret(stored)):
            # A secret goes to the provider and the client that it was typed for, and nowhere else.
            raise InvalidInput(account_problem("secret", "empty"))

    def _put(self, session: Session, actor: Actor, stored: Client | None, draft: ClientDraft) -> Client:
        now = self._context.clock()
        client = Client(
            provider=draft.provider,
            client_id=draft.client_id,
            tenant=draft.tenant,
            issuer=draft.issuer,
            name=draft.name,
            domains=draft.domains,
            scope=draft.scope,
            secret_ends=draft.secret_ends,
            public=draft.public,
            codes=draft.codes,
            version=(stored.version if stored else 0) + 1,
            updated=now,
        )
        store.put_client(session, client, now)
        # What a wrong or lapsed secret has held goes ahead, without anybody's click.
        look_again(session, [row.user_id for row in store.list_grants(session, draft.provider)])
        old, new = (stored.as_json() if stored else {}), client.as_json()
        changed = [Change(f"oauth.{name}") for name in new if old.get(name) != new[name]]
        changed += [Change("oauth.secret")] if draft.secret is not None else []
        self._context.activity.record(actor, Action.OAUTH_CLIENT_SAVED, client.label, changes=changed, session=session)
        return client


def _trimmed(draft: ClientDraft) -> ClientDraft:
    """Return a draft without what no provider takes: blanks around values, fields of other providers."""
    own = draft.provider is OAuthProvider.CUSTOM
    public = draft.public and draft.provider is not OAuthProvider.GOOGLE
    return replace(
        draft,
        client_id=draft.client_id.strip(),
        secret=Secret(draft.secret.reveal().strip()) if draft.secret is not None and not public else None,
        tenant=draft.tenant.strip() if draft.provider is OAuthProvider.MICROSOFT else "",
        issuer=draft.issuer.strip() if own else "",
        name=draft.name.strip() if own else "",
        domains=tuple(dict.fromkeys(each.strip().lower().lstrip("@") for each in draft.domains if each.strip())),
        scope=" ".join(draft.scope.split()) if own else "",
        secret_ends=None if public else draft.secret_ends,
        public=public,
        codes=draft.codes and draft.provider is not OAuthProvider.GOOGLE,
    )


def _bond(client: Client | ClientDraft) -> dict[str, str]:
    return {"client": client.client_id, "issuer": client.issuer, "tenant": client.tenant}
