"""Access tokens: kept in this process's memory, renewed in time, by one process and one thread at once.

A refresh token that comes new is in the vault before the access token beside it is used. Where the vault does not take
it this process holds it and tries again, before it asks the provider anything. What a provider refuses for good is
looked at twice: another process may have renewed meanwhile.
Apart from the grants: those are what people do, this is what happens by itself.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.clock import has_happened
from cgcore.errors import VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import AccessToken, MailAccountDraft
from cgcore.mail.oauth_answers import OAuthFailure, Tokens, facts_of
from cgcore.mail.oauth_client import Client, OAuthProvider, missing_scopes
from cgcore.mail.request import TokenRefused
from cgcore.mail.steps import Leg
from cgcore.process import new_owner
from cgcore.storage import oauth as store
from cgcore.storage.acting import find_acting
from cgcore.vault.secret import Secret
from cgcore.workbench.oauth.grants import GrantState, bond_of
from cgcore.workbench.secrets import oauth_secret

if TYPE_CHECKING:
    from cgcore.mail.oauth import OAuthDoor
    from cgcore.storage.oauth_tables import OauthGrantRow
    from cgcore.workbench.context import Context
    from cgcore.workbench.oauth.clients import Clients

__all__ = ["AccessTokens"]

_EARLY_S = 300.0
_LEASE = timedelta(seconds=30)
_PATIENCE_S = 20.0
_LOOK_EVERY_S = 0.2
_TESTING_DAYS, _TESTING = 7, timedelta(days=8)
_STATES = {
    "oauth_expired": GrantState.NEEDS_LOGIN,
    "oauth_interaction": GrantState.NEEDS_LOGIN,
    "oauth_other_account": GrantState.NEEDS_LOGIN,
    "oauth_account_missing": GrantState.NEEDS_ADMIN,
    "oauth_needs_admin": GrantState.NEEDS_ADMIN,
    "oauth_client_wrong": GrantState.NEEDS_ADMIN,
}


@dataclass(frozen=True, slots=True)
class _Kept:
    """An access token, and the row that it belongs to: a connection that is made anew begins to count anew."""

    token: AccessToken
    row: tuple[datetime, int]
    good_until: float


@dataclass(frozen=True, slots=True)
class _Unkept:
    """What a provider gave at the second ``came`` of our clock, and the vault did not take."""

    tokens: Tokens
    row: tuple[datetime, int]
    came: float


class AccessTokens:
    """The access tokens of this process, by user. ``clock`` counts seconds."""

    def __init__(
        self,
        context: Context,
        *,
        clients: Clients,
        door: Callable[[], OAuthDoor],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context, self._clients, self._door, self._clock = context, clients, door, clock
        self._owner = new_owner()
        self._kept: dict[int, _Kept] = {}
        self._unkept: dict[int, _Unkept] = {}
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def source(self, actor: Actor, draft: MailAccountDraft, leg: Leg) -> _Source:
        """Return what a sign-in of one leg of an account takes its token from; nothing is asked or read yet."""
        return _Source(self, actor.user_id, draft, leg)

    def forget(self, user_id: int) -> None:
        """Let go of what this process holds of a user's connection."""
        self._kept.pop(user_id, None)
        self._unkept.pop(user_id, None)

    def held(self, user_id: int) -> AccessToken | None:
        """Return what this process holds for a user, good or not."""
        kept = self._kept.get(user_id)
        return kept.token if kept is not None else None

    def drop(self, user_id: int) -> None:
        """Let go of a user's access token alone."""
        self._kept.pop(user_id, None)

    def remember(self, user_id: int, row: tuple[datetime, int], access: Secret, expires_in: int) -> None:
        """Take the access token of a connection that has just been made; ``row`` is its beginning and its fence."""
        self.forget(user_id)
        self._kept[user_id] = self._timed(AccessToken(access), row, self._clock(), expires_in)

    def take(self, user_id: int, *, refused: AccessToken | None = None) -> AccessToken:
        """Return a token of a user's that is good for a while, and another one than ``refused``.

        Raises :class:`TokenRefused`.
        """
        with self._locks[user_id]:
            row, client = self._find(user_id)
            kept = self._kept.get(user_id)
            if kept is not None and kept.row == _mark(row) and kept.token != refused and self._is_good(kept):
                return kept.token
            return self._renew(row, client)

    def renew(self, user_id: int) -> None:
        """Renew a user's connection although nobody needs it now, so that it does not end for want of use.

        Raises :class:`TokenRefused`.
        """
        with self._locks[user_id]:
            self._renew(*self._find(user_id))

    def check(self, user_id: int, draft: MailAccountDraft, leg: Leg) -> None:
        """Raise :class:`TokenRefused` where what is stored says that the server of ``leg`` gets no token."""
        row, client = self._find(user_id)
        host = (draft.smtp if leg is Leg.SMTP else draft.imap).host.strip().lower()
        told = {"provider": client.label, "user": draft.user, "connected": row.address}
        if row.provider != draft.auth or row.mailbox.casefold() != draft.user.strip().casefold():
            raise TokenRefused("oauth_not_connected", told)
        if host not in row.hosts:
            # It was given for other servers: who is at this one is asked first.
            raise TokenRefused("oauth_not_connected", {**told, "host": host})
        if missing := missing_scopes(client.scopes_for(leg), row.scopes):
            raise TokenRefused("oauth_scope_missing", {**told, "scopes": " ".join(missing)})
        if row.state == GrantState.NEEDS_LOGIN:
            raise TokenRefused(row.key or "oauth_expired", {**told, **_texts(row.facts)})

    def explain(self, user_id: int, draft: MailAccountDraft, leg: Leg) -> tuple[str, Mapping[str, str]]:
        """Return why a server may have refused a token that is new: it is another account's, or of another hour."""
        user = draft.login(leg)
        try:
            row, client = self._find(user_id)
        except TokenRefused as refused:
            return refused.key, refused.details
        told = {"provider": client.label, "user": user, "connected": row.address}
        if row.address.casefold() != user.strip().casefold():
            return "oauth_other_account", told
        off = self._door().clock_off(client)
        return ("clock_wrong" if off else ""), {**told, **off}

    # ---- Renewal

    def _find(self, user_id: int) -> tuple[OauthGrantRow, Client]:
        with self._context.database.read() as session:
            row = store.find_grant(session, user_id)
            client = store.find_client(session, OAuthProvider(row.provider)) if row else None
        if row is None:
            raise TokenRefused("oauth_not_connected")
        if client is None or client.client_id != row.client_id:
            # Its client was removed, or is another one now: its refresh token is of no use to that.
            raise TokenRefused("oauth_not_connected", {"provider": client.label if client else ""})
        return row, client

    def _renew(self, row: OauthGrantRow, client: Client) -> AccessToken:
        row = self._claim(row)
        try:
            try:
                return self._refresh(row, client)
            except OAuthFailure as failure:
                raise self._lost(row, client, failure) from None
            except VaultError as failure:
                raise TokenRefused("vault_away", {"reason": failure.code}) from None
        finally:
            with self._context.database.session() as session:
                store.release_grant(session, row.user_id, self._owner)

    def _claim(self, row: OauthGrantRow) -> OauthGrantRow:
        """Return the row, as it stands once this process is the one to renew it."""
        ends, pause = self._clock() + _PATIENCE_S, threading.Event()
        while True:
            now = self._context.clock()
            with self._context.database.session() as session:
                mine = store.claim_grant(session, row.user_id, self._owner, now, now + _LEASE)
            if mine:
                return self._find(row.user_id)[0]
            if self._clock() >= ends:
                raise TokenRefused("oauth_unreachable", {"reason": "busy"})
            pause.wait(_LOOK_EVERY_S)

    def _refresh(self, row: OauthGrantRow, client: Client) -> AccessToken:
        late = self._unkept.get(row.user_id)
        if late is not None and late.row == _mark(row):
            kept = self._keep(row, client, late.tokens, late.came)
            if self._is_good(kept):
                return kept.token
            row = self._find(row.user_id)[0]
        secret, token = self._clients.find_proof(client), self._stored(row)
        if token is None:
            raise OAuthFailure("oauth_expired", {"reason": "missing"})
        came = self._clock()
        try:
            tokens = self._door().refresh(client, secret, token)
        except OAuthFailure as failure:
            again = self._stored(row) if failure.key == "oauth_expired" else None
            if again is None or again == token:
                raise
            tokens = self._door().refresh(client, secret, again)
        return self._keep(row, client, tokens, came).token

    def _stored(self, row: OauthGrantRow) -> Secret | None:
        try:
            return self._context.vault.get(oauth_secret(row.user_id), bond=bond_of(row))
        except VaultError as error:
            if error.code not in {"secret_unbound", "secret_misplaced", "record_unreadable"}:
                raise
            return None

    def _keep(self, row: OauthGrantRow, client: Client, tokens: Tokens, came: float) -> _Kept:
        now = self._context.clock()
        if tokens.refresh is not None:
            self._unkept[row.user_id] = _Unkept(tokens, _mark(row), came)
            self._context.vault.set(oauth_secret(row.user_id), tokens.refresh, bond=bond_of(row))
            self._unkept.pop(row.user_id, None)
        values: dict[str, Any] = {
            "refreshed": now,
            "state": GrantState.CONNECTED.value,
            "key": "",
            "facts": {},
            "fence": row.fence + 1,
        }
        if tokens.scopes is not None:
            values["scopes"] = [*tokens.scopes]
        if tokens.refresh_expires_in is not None:
            values["ends"] = now + timedelta(seconds=tokens.refresh_expires_in)
        with self._context.database.session() as session:
            stands = store.renew_grant(session, row.user_id, self._owner, values)
        if not stands:
            # It was ended, or connected anew, while the provider was asked.
            raise TokenRefused("oauth_not_connected", {"provider": client.label})
        kept = self._timed(AccessToken(tokens.access), (row.obtained, row.fence + 1), came, tokens.expires_in)
        self._kept[row.user_id] = kept
        return kept

    def _timed(self, token: AccessToken, row: tuple[datetime, int], came: float, expires_in: int) -> _Kept:
        return _Kept(token, row, came + expires_in - min(_EARLY_S, expires_in / 2))

    def _is_good(self, kept: _Kept) -> bool:
        return self._clock() < kept.good_until

    def _lost(self, row: OauthGrantRow, client: Client, failure: OAuthFailure) -> TokenRefused:
        """Note a refusal that will last, once, and tell the activity log; return it as a sign-in is told."""
        facts = facts_of(failure, client)
        age = self._context.clock() - row.obtained
        young = has_happened(row.obtained, self._context.clock()) and age < _TESTING
        if failure.key == "oauth_expired" and client.provider is OAuthProvider.GOOGLE and young:
            facts["testing_days"] = str(_TESTING_DAYS)
        state = _STATES.get(failure.key)
        self._kept.pop(row.user_id, None)
        if state is not None and (row.state, row.key) != (state.value, failure.key):
            with self._context.database.session() as session:
                values = {"state": state.value, "key": failure.key, "facts": facts}
                # One that was connected anew while the provider was asked is another one, and has not died.
                if store.renew_grant(session, row.user_id, self._owner, values):
                    actor = find_acting(session, row.user_id)
                    self._context.activity.record(actor, Action.OAUTH_LOST, row.address, failure.key, session=session)
        return TokenRefused(failure.key, facts)


@dataclass(frozen=True, slots=True)
class _Source:
    """See :class:`cgcore.mail.account.TokenSource`."""

    tokens: AccessTokens
    user_id: int
    draft: MailAccountDraft
    leg: Leg

    def take(self) -> AccessToken:
        self.tokens.check(self.user_id, self.draft, self.leg)
        return self._judged(self.tokens.held(self.user_id), self.tokens.take(self.user_id))

    def renew(self, refused: AccessToken) -> AccessToken:
        return self._judged(refused, self.tokens.take(self.user_id, refused=refused))

    def _judged(self, before: AccessToken | None, token: AccessToken) -> AccessToken:
        """Return a token; one that is new may allow less than the one before (RFC 6749, 5.1)."""
        if token != before:
            self.tokens.check(self.user_id, self.draft, self.leg)
        return token

    def drop(self) -> None:
        self.tokens.drop(self.user_id)

    def explain(self) -> tuple[str, Mapping[str, str]]:
        return self.tokens.explain(self.user_id, self.draft, self.leg)


def _mark(row: OauthGrantRow) -> tuple[datetime, int]:
    return row.obtained, row.fence


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items()}
