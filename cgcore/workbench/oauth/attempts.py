"""The way to the provider and back: one attempt, bound to the log-in that began it, good for minutes and once.

Apart from the section, as each of its parts: a chapter of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cgcore.errors import FieldProblem, InvalidInput, NotAllowed, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, check_account
from cgcore.mail.account_texts import problem as account_problem
from cgcore.mail.oauth_client import OAuthProvider
from cgcore.storage import oauth as store
from cgcore.storage.oauth_tables import OauthAttemptRow
from cgcore.workbench.oauth.grants import hosts_of

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["ATTEMPT_LIFETIME", "GO", "Attempt", "AttemptState", "Attempts"]

GO = "/oauth/ir/"
"""Where the link of an attempt leads, with its id behind it."""

ATTEMPT_LIFETIME = timedelta(minutes=10)

_KEPT_FOR = timedelta(days=1)
_SEAL = "oauth-attempt"


class AttemptState(StrEnum):
    """How an attempt stands.

    ``open``: the person is at the provider. ``checking``: the browser is back, the code is being exchanged.
    ``connected``: done. ``other_address``: signed in with another account than the mailbox; nothing is connected until
    that is confirmed. ``refused``: it ended, ``key`` says why. ``expired``: nobody came back in time.
    """

    OPEN = "open"
    CHECKING = "checking"
    CONNECTED = "connected"
    OTHER_ADDRESS = "other_address"
    REFUSED = "refused"
    EXPIRED = "expired"

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

    @property
    def path(self) -> str:
        """Where the link «Conectar con …» leads; a plain link in a new tab, never a form (CSP ``form-action``)."""
        return f"{GO}{self.id}"


class Attempts:
    """Use cases of attempts, for the page that begins and follows one."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def begin(self, actor: Actor, provider: OAuthProvider, draft: MailAccountDraft) -> Attempt:
        """Make an attempt to connect the account on the screen, saved or not; it is bound to its address and servers.

        Nothing is asked of anybody yet. Raises :class:`InvalidInput` for an account without user name or outgoing
        server, :class:`NotFound` where the provider is not set up, :class:`NotAllowed` outside a browser's log-in.
        """
        if not actor.session_hash:
            raise NotAllowed("only a browser connects")
        _require_target(draft)
        state = secrets.token_urlsafe(32)
        row = OauthAttemptRow(
            state_digest=digest_state(state),
            provider=provider.value,
            user_id=actor.user_id,
            session_hash=actor.session_hash,
            mailbox=draft.user.strip(),
            hosts=list(hosts_of(draft)),
            sealed=self._seal(
                {"state": state, "nonce": secrets.token_urlsafe(32), "verifier": secrets.token_urlsafe(48)}
            ),
            made=self._context.clock(),
        )
        attempt = _to_attempt(row, row.made)
        with self._context.write_as(actor) as (session, actor):
            client = store.find_client(session, provider)
            if client is None or not client.is_offered_to(draft.user):
                raise NotFound("the provider is not set up")
            store.delete_attempts_before(session, actor.user_id, row.made - _KEPT_FOR)
            store.add_attempt(session, row)
        return attempt

    def find(self, actor: Actor, attempt_id: str) -> Attempt | None:
        """Return how an attempt of the actor's stands; None where there is none of that id. Cheap: for polling."""
        with self._context.read_as(actor) as (session, actor):
            row = store.find_attempt(session, attempt_id)
        if row is None or row.user_id != actor.user_id:
            return None
        return _to_attempt(row, self._context.clock())

    def _seal(self, parts: Mapping[str, str]) -> bytes:
        from cryptography.fernet import Fernet

        key = base64.urlsafe_b64encode(self._context.vault.derive_key(_SEAL))
        return Fernet(key).encrypt(json.dumps(dict(parts)).encode())


def digest_state(state: str) -> str:
    """Return what an attempt is stored under: the SHA-256 of its state, which is also its id."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


def _require_target(draft: MailAccountDraft) -> None:
    wanted = ("user", "smtp_host", "imap_host")
    found = [each for each in check_account(draft) if each.field in wanted and each.blocking]
    if not draft.user.strip():
        found.append(account_problem("user", "empty"))
    if not draft.smtp.host.strip():
        found.append(account_problem("smtp_host", "empty"))
    if found:
        raise InvalidInput(*(FieldProblem(each.field, each.code, each.text) for each in found))


def _to_attempt(row: OauthAttemptRow, now: datetime) -> Attempt:
    state = AttemptState(row.state)
    if state is AttemptState.OPEN and not row.made <= now < row.made + ATTEMPT_LIFETIME:
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
    )
