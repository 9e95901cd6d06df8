"""The way to the provider and back: one attempt, bound to the log-in that began it, good for minutes and once.

Apart from the section, as each of its parts: a chapter of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cgcore.errors import FieldProblem, InvalidInput, NotAllowed, NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, check_account
from cgcore.mail.account_texts import problem as account_problem
from cgcore.mail.oauth_answers import OAuthFailure, Person, Tokens, facts_of, failure_of
from cgcore.mail.oauth_client import Client, OAuthProvider, Way, missing_scopes, redirect_uri
from cgcore.mail.oauth_paths import GO
from cgcore.once import once
from cgcore.storage import oauth as store
from cgcore.storage.oauth_tables import OauthAttemptRow
from cgcore.vault.secret import Secret
from cgcore.workbench.oauth.grants import Connected, Grants, NewGrant, hosts_of
from cgcore.workbench.secrets import oauth_pending_secret

if TYPE_CHECKING:
    from cryptography.fernet import Fernet
    from sqlmodel import Session

    from cgcore.mail.oauth import OAuthDoor
    from cgcore.workbench.context import Context
    from cgcore.workbench.oauth.clients import Clients

__all__ = [
    "ATTEMPT_LIFETIME",
    "Attempt",
    "AttemptState",
    "AttemptUnknown",
    "Attempts",
    "require_target",
    "to_attempt",
]

ATTEMPT_LIFETIME = timedelta(minutes=10)

_KEPT_FOR = timedelta(days=1)
_CONFIRMED_WITHIN = timedelta(minutes=30)


class AttemptState(StrEnum):
    """How an attempt stands.

    ``open``: the person is at the provider. ``checking``: the browser is back, the code is being exchanged.
    ``connected``: done. ``other_address``: signed in with another account than the mailbox; nothing is connected until
    that is confirmed. ``refused``: it ended, ``key`` says why. ``expired``: nobody came back in time. ``cancelled``:
    its owner has ended it, or their log-in.
    """

    OPEN = "open"
    CHECKING = "checking"
    CONNECTED = "connected"
    OTHER_ADDRESS = "other_address"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_waiting(self) -> bool:
        """Whether it may still change by itself: a page looks again."""
        return self in (AttemptState.OPEN, AttemptState.CHECKING)


def _no_facts() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt as its owner sees it. ``mailbox`` is the account's user name that it is for.

    ``address``: who signed in at the provider, once that is known. ``key`` and ``facts``: the diagnosis of one that
    was refused (``oauth_denied``, ``oauth_scope_missing`` with ``scopes``, ``oauth_needs_admin`` …).
    """

    id: str
    provider: OAuthProvider
    mailbox: str
    state: AttemptState
    made: datetime
    address: str = ""
    key: str = ""
    facts: Mapping[str, Any] = field(default_factory=_no_facts)
    hosts: tuple[str, ...] = ()
    way: Way = Way.LINK

    @property
    def path(self) -> str:
        """Where the link «Conectar con …» leads; a plain link in a new tab, never a form (CSP ``form-action``)."""
        return f"{GO}{self.id}"


class AttemptUnknown(NotFound):
    """Nobody has begun this: no such state, or another log-in's; nothing is done, and nothing used up."""

    code = "attempt_unknown"


class Attempts:
    """Use cases of attempts: the page begins and follows one, the two addresses carry it out."""

    def __init__(self, context: Context, *, clients: Clients, grants: Grants, door: Callable[[], OAuthDoor]) -> None:
        self._context, self._clients, self._grants, self._door = context, clients, grants, door

    def begin(self, actor: Actor, provider: OAuthProvider, draft: MailAccountDraft) -> Attempt:
        """Make an attempt to connect the account on the screen, saved or not; it is bound to its address and servers.

        Nothing is asked of anybody yet. Raises :class:`InvalidInput` for an account without user name or outgoing
        server, :class:`NotFound` where the provider is not set up, :class:`NotAllowed` outside a browser's log-in.
        """
        if not actor.session_hash:
            raise NotAllowed("only a browser connects")
        require_target(draft)
        state = secrets.token_urlsafe(32)
        parts = {"state": state, "nonce": secrets.token_urlsafe(32), "verifier": secrets.token_urlsafe(48)}
        row = OauthAttemptRow(
            state_digest=digest_state(state),
            provider=provider.value,
            user_id=actor.user_id,
            session_hash=actor.session_hash,
            mailbox=draft.user.strip(),
            hosts=list(hosts_of(draft)),
            sealed=self.seal(parts),
            made=self._context.clock(),
        )
        attempt = to_attempt(row, row.made)
        with self._context.write_as(actor) as (session, actor):
            client = store.find_client(session, provider)
            if client is None or Way.LINK not in client.ways or not client.is_offered_to(draft.user):
                raise NotFound("the provider is not set up")
            self.add(session, row)
        return attempt

    def find(self, actor: Actor, attempt_id: str) -> Attempt | None:
        """Return how an attempt of the actor's stands; None where there is none of that id. Cheap: for polling."""
        with self._context.read_as(actor) as (session, actor):
            row = store.find_attempt(session, attempt_id)
        if row is None or row.user_id != actor.user_id:
            return None
        return to_attempt(row, self._context.clock())

    def leave(self, actor: Actor, attempt_id: str, base: str) -> str | Attempt:
        """Return where the browser goes to log in at the provider, or the attempt where it can go nowhere any more.

        ``base`` is the product's own address as the browser reaches it. A second click leads there again. What keeps
        the provider from being asked ends the attempt. Raises :class:`AttemptUnknown`.
        """
        row, client = self._find_own(actor, attempt_id)
        attempt = to_attempt(row, self._context.clock())
        if attempt.way is not Way.LINK:
            raise AttemptUnknown("no link leads there")
        if attempt.state is not AttemptState.OPEN:
            return attempt
        if client is None:
            return self.conclude(row, AttemptState.REFUSED, "oauth_client_wrong")
        uri, parts = redirect_uri(base, client.provider), self.unseal(row)
        try:
            url = self._door().authorization_url(client, redirect_uri=uri, login_hint=row.mailbox, **parts)
        except OAuthFailure as failure:
            return self.conclude(row, AttemptState.REFUSED, failure.key, facts_of(failure, client))
        with self._context.write_as(actor) as (session, _):
            store.note_redirect(session, row.state_digest, uri)
        return url

    def come_back(self, actor: Actor, provider: OAuthProvider, answer: Mapping[str, str]) -> Attempt:
        """Carry out what the provider has answered (RFC 6749, 4.1.2), and return how the attempt stands.

        ``answer`` is the query: ``code`` or ``error``, with ``state``. Whoever comes a second time is told what became
        of the first. Blocks while the provider is asked. Raises :class:`AttemptUnknown` for a state that this log-in
        has not begun: nothing is used up.
        """
        row, client = self._find_own(actor, digest_state(answer.get("state", "")), provider)
        now = self._context.clock()
        attempt = to_attempt(row, now)
        if attempt.state is not AttemptState.OPEN:
            return attempt
        with self._context.write_as(actor) as (session, actor):
            is_first = store.use_attempt(session, row.state_digest, now)
        if not is_first:
            return self.find(actor, attempt.id) or attempt
        if client is None:
            return self.conclude(row, AttemptState.REFUSED, "oauth_client_wrong")
        return self.carry_out(actor, client, row, lambda: self._redeem(client, row, answer))

    def confirm(self, actor: Actor, attempt_id: str) -> Connected:
        """Connect the mailbox with the other account that has signed in: a shared mailbox, on purpose.

        Raises :class:`NotFound` where nothing waits to be confirmed, or no longer.
        """
        row, client = self._find_own(actor, attempt_id)
        pending, name = None, oauth_pending_secret(actor.user_id)
        if (
            row.state == AttemptState.OTHER_ADDRESS
            and self._context.clock() < (row.used or row.made) + _CONFIRMED_WITHIN
        ):
            with suppress(VaultError):
                pending = self._context.vault.get(name, bond={"attempt": row.state_digest})
        if pending is None or client is None:
            raise AttemptUnknown("nothing to confirm")
        connected = self._grants.connect(actor, client, _new_grant(row, pending, row.facts))
        self._context.vault.delete(name)
        self.conclude(row, AttemptState.CONNECTED, facts={"address": connected.address})
        return connected

    def carry_out(
        self, actor: Actor, client: Client, row: OauthAttemptRow, redeem: Callable[[], tuple[Tokens, Person]]
    ) -> Attempt:
        """Connect the actor with what ``redeem`` returns, and return how the attempt stands. Part of both ways."""
        try:
            return self._keep(actor, client, row, *redeem())
        except OAuthFailure as failure:
            return self.conclude(row, AttemptState.REFUSED, failure.key, facts_of(failure, client))
        except VaultError:
            return self.conclude(row, AttemptState.REFUSED, "vault")
        except BaseException:
            self.conclude(row, AttemptState.REFUSED, "broken")
            raise

    def _redeem(self, client: Client, row: OauthAttemptRow, answer: Mapping[str, str]) -> tuple[Tokens, Person]:
        if "error" in answer:
            raise failure_of(answer["error"], answer.get("error_description", ""))
        door, parts = self._door(), self.unseal(row)
        door.check_issuer(client, answer.get("iss", ""))
        return door.redeem(
            client,
            self._clients.find_proof(client),
            redirect_uri=row.redirect_uri,
            code=answer.get("code", ""),
            verifier=parts["verifier"],
            nonce=parts["nonce"],
        )

    def _keep(self, actor: Actor, client: Client, row: OauthAttemptRow, tokens: Tokens, person: Person) -> Attempt:
        granted = client.scopes if tokens.scopes is None else tokens.scopes
        if missing := missing_scopes(client.mail_scopes, granted):
            raise OAuthFailure("oauth_scope_missing", {"scopes": " ".join(missing)})
        if tokens.refresh is None:
            raise OAuthFailure("oauth_scope_missing", {"scopes": "offline_access"})
        mailbox = row.mailbox.casefold()
        own = next((each for each in person.addresses if each.casefold() == mailbox), "")
        facts = {
            "address": own or next(iter(person.addresses), person.subject),
            "subject": person.subject,
            "scopes": [*granted],
            "ends_in": tokens.refresh_expires_in,
        }
        if not own:
            name, bond = oauth_pending_secret(actor.user_id), {"attempt": row.state_digest}
            self._context.vault.set(name, tokens.refresh, bond=bond)
            return self.conclude(row, AttemptState.OTHER_ADDRESS, "oauth_other_account", facts)
        new = _new_grant(row, tokens.refresh, facts)
        self._grants.connect(actor, client, replace(new, access=tokens.access, expires_in=tokens.expires_in))
        return self.conclude(row, AttemptState.CONNECTED, facts={"address": facts["address"]})

    def _find_own(
        self, actor: Actor, attempt_id: str, provider: OAuthProvider | None = None
    ) -> tuple[OauthAttemptRow, Client | None]:
        with self._context.read_as(actor) as (session, actor):
            row = store.find_attempt(session, attempt_id)
            if (
                row is None
                or row.user_id != actor.user_id
                or not hmac.compare_digest(row.session_hash, actor.session_hash)
                or provider not in (None, OAuthProvider(row.provider))
            ):
                raise AttemptUnknown("not begun in this log-in")
            return row, store.find_client(session, OAuthProvider(row.provider))

    def add(self, session: Session, row: OauthAttemptRow) -> None:
        """Store a new attempt; those of its owner's that nobody asks about any more go. Part of both ways."""
        store.delete_attempts_before(session, row.user_id, row.made - _KEPT_FOR)
        store.add_attempt(session, row)

    def conclude(
        self, row: OauthAttemptRow, state: AttemptState, key: str = "", facts: Mapping[str, Any] | None = None
    ) -> Attempt:
        """Note how an attempt stands now, and return it. Part of both ways."""
        with self._context.database.session() as session:
            concluded = store.conclude_attempt(session, row.state_digest, state.value, key, facts or {})
        return to_attempt(concluded, self._context.clock())

    def seal(self, parts: Mapping[str, str]) -> bytes:
        """Return what an attempt needs until its end, encrypted with a key of the vault's."""
        return self._sealer.encrypt(json.dumps(dict(parts)).encode())

    @once
    def _sealer(self) -> Fernet:
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(self._context.vault.derive_key("oauth-attempt")))

    def unseal(self, row: OauthAttemptRow) -> dict[str, str]:
        """Return what was sealed. Raises :class:`AttemptUnknown`."""
        from cryptography.fernet import InvalidToken

        try:
            return json.loads(self._sealer.decrypt(row.sealed))
        except InvalidToken:
            # Another master key since: as good as never begun.
            raise AttemptUnknown("sealed with another key") from None


def _new_grant(row: OauthAttemptRow, refresh: Secret, facts: Mapping[str, Any]) -> NewGrant:
    return NewGrant(
        refresh=refresh,
        subject=str(facts["subject"]),
        address=str(facts["address"]),
        mailbox=row.mailbox,
        hosts=tuple(row.hosts),
        scopes=tuple(facts["scopes"]),
        ends_in=facts["ends_in"],
    )


def digest_state(state: str) -> str:
    """Return what an attempt is stored under: the SHA-256 of its state, which is also its id."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


def require_target(draft: MailAccountDraft) -> None:
    """Raise :class:`InvalidInput` for an account that lacks what a connection is made for."""
    wanted = ("user", "smtp_host", "imap_host")
    found = [each for each in check_account(draft) if each.field in wanted and each.blocking]
    if not draft.user.strip():
        found.append(account_problem("user", "empty"))
    if not draft.smtp.host.strip():
        found.append(account_problem("smtp_host", "empty"))
    if found:
        raise InvalidInput(*(FieldProblem(each.field, each.code, each.text) for each in found))


def to_attempt(row: OauthAttemptRow, now: datetime) -> Attempt:
    """Return a row as its owner sees it at ``now``."""
    state = AttemptState(row.state)
    if state is AttemptState.OPEN and not row.made <= now < (row.expires or row.made + ATTEMPT_LIFETIME):
        state = AttemptState.EXPIRED
    return Attempt(
        id=row.state_digest,
        provider=OAuthProvider(row.provider),
        mailbox=row.mailbox,
        state=state,
        made=row.made,
        address=str(row.facts.get("address", "")),
        key=row.key,
        facts=dict(row.facts),
        hosts=tuple(row.hosts),
        way=Way.LINK if row.expires is None else Way.CODE,
    )
