"""API keys: issue, roll, revoke, list, pair. The plaintext is returned once and kept nowhere.

Apart from :mod:`cgcore.workbench.core`, as each section: loaded at its first use.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.api_keys.calls import KeyCalls, fill_days
from cgcore.api_keys.form import build_key, find_parts, new_parts
from cgcore.api_keys.record import (
    ISSUE_ACTION,
    PAIR_ACTION,
    PAIRING_LIFETIME,
    ROLL_ACTION,
    ROLL_GRACE,
    IssuedKey,
    KeyRecord,
    KeyRequest,
    KeyState,
    Pairing,
    build_payload,
    digest_secret,
    problem,
    refuse_too_many,
)
from cgcore.clock import has_happened
from cgcore.errors import InvalidInput, NotAllowed, NotFound
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.once import once
from cgcore.runs import Cell, Run
from cgcore.storage import api_keys as call_store
from cgcore.storage import api_keys as store
from cgcore.vault.secret import Secret
from cgcore.workbench.identity.codes import CodePurpose, Codes
from cgcore.workbench.key_access import KeyAccess, build_check
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.runs import RunSection

__all__ = ["ISSUE_ACTION", "PAIR_ACTION", "ROLL_ACTION", "KeysSection"]

# Long enough to give the app a new key before the old one stops.
_EXPIRY_NOTICE = timedelta(days=14)


class KeysSection:
    """Use cases of API keys. Who acts with a key may touch only that key."""

    def __init__(self, context: Context, *, codes: Codes, runs: RunSection) -> None:
        self._context, self._codes, self._runs = context, codes, runs

    @once
    def access(self) -> KeyAccess:
        """The check of each call."""
        return KeyAccess(self._context)

    def close(self) -> None:
        """Store the last calls."""
        if "access" in vars(self):
            self.access.close()

    def issue(
        self, actor: Actor, grant_id: str, device: str, scopes: Collection[Scope], expires: datetime | None = None
    ) -> IssuedKey:
        """Issue a key against a grant for :data:`ISSUE_ACTION`, which it uses up.

        Raises :class:`InvalidInput` with the wrong fields (the grant stays good), :class:`NotAllowed` without grant.
        """
        now = self._context.clock()
        request = KeyRequest.checked(device, scopes, expires, now=now)
        with self._context.write_as(actor) as (session, actor):
            self._codes.consume_grant(session, actor, grant_id, ISSUE_ACTION)
            refuse_too_many(store.list_keys(session, actor.user_id), now)
            return self._add(session, actor, request, now)

    def roll(self, actor: Actor, grant_id: str, key_id: str) -> IssuedKey:
        """Replace a key of the actor against a grant for :data:`ROLL_ACTION`; the old one lives on for a while.

        Raises :class:`NotFound` when there is no such key or it is revoked.
        """
        with self._context.write_as(actor) as (session, actor):
            self._codes.consume_grant(session, actor, grant_id, ROLL_ACTION)
            return self._roll(session, actor, key_id)

    def roll_own(self, actor: Actor) -> IssuedKey:
        """Replace the key that the actor calls with: holding it is the proof."""
        if not actor.key_id:
            raise NotAllowed("only the holder of a key rolls it without a grant")
        with self._context.write_as(actor) as (session, actor):
            return self._roll(session, actor, actor.key_id)

    def revoke(self, actor: Actor, key_id: str) -> None:
        """Stop a key at once. Revoking a revoked key changes nothing. Raises :class:`NotFound`."""
        if actor.key_id and actor.key_id != key_id:
            raise NotFound("a key sees only itself")
        with self._context.write_as(actor) as (session, actor):
            if store.find_key(session, actor.user_id, key_id) is None:
                raise NotFound("no such key")
            for revoked in store.revoke_keys(session, [key_id], self._context.clock()):
                self._context.activity.record(actor, Action.KEY_REVOKED, revoked, session=session)

    def list_keys(self, actor: Actor) -> list[KeyRecord]:
        """Return the actor's keys, the newest first, revoked ones too. A use that lies ahead counts as none."""
        self.access.flush()
        keys = self._context.recall(actor, "keys", lambda session, who: store.list_keys(session, who.user_id))
        now = self._context.clock()
        return [replace(key, last_used=None) if _is_ahead(key.last_used, now) else key for key in keys]

    def overview(self, actor: Actor) -> OverviewLine:
        """Return the line of Resumen: whether the actor has a key that is heard, and when it ends or was used."""
        now, name = self._context.clock(), SectionName.API_KEY
        keys = self.list_keys(actor)
        alive = [key for key in keys if key.state(now).is_heard]
        if not alive:
            expired = any(key.state(now) is KeyState.EXPIRED for key in keys)
            state = SectionState.WARNING if expired else SectionState.IDLE
            return OverviewLine(name, state, "key_expired" if expired else "key_none")
        # A replaced key is not announced: it ends anyway, and its successor is there.
        lasting = [key for key in alive if key.state(now) is KeyState.ACTIVE]
        ending = min((key.expires for key in lasting if key.expires), default=None)
        if ending is not None and ending - now < _EXPIRY_NOTICE:
            values = {"days": max(0, (ending - now).days)}
            return OverviewLine(name, SectionState.WARNING, "key_expires", values)
        used = max((key.last_used for key in alive if key.last_used), default=None)
        code, at = ("key_used", used) if used else ("key_unused", max(key.created for key in alive))
        return OverviewLine(name, SectionState.OK, code, {"count": len(alive)}, at=at)

    def calls(self, actor: Actor, key_id: str, *, days: int = 14) -> KeyCalls:
        """Return the calls made with a key of the actor. Raises :class:`NotFound`."""
        self.access.flush()
        today = self._context.clock().date()

        def look(session: Session, who: Actor) -> KeyCalls:
            if store.find_key(session, who.user_id, key_id) is None:
                raise NotFound("no such key")
            last = call_store.list_calls(session, key_id)
            counts = call_store.count_by_day(session, key_id, today - timedelta(days=days - 1))
            return KeyCalls(tuple(last), fill_days(counts, today=today, days=days))

        return self._context.recall(actor, ("calls", key_id, days, today), look)

    def start_check(self, actor: Actor, key: Secret, address: str) -> Run:
        """Start «Probar la clave» against the API at ``address``, which must be ours and not a user's word.

        Raises :class:`InvalidInput` for a mistyped key, without a call.
        """
        self._context.require_present(actor)
        parts = find_parts(key.reveal().strip())
        if parts is None:
            raise InvalidInput(problem("key", "typing_error"))
        name = urlsplit(self._context.settings.public_url).hostname or "localhost"
        return self._runs.start(actor, Cell.API_KEY, parts.id, build_check(parts, address, name))

    def pair_start(self, actor: Actor, grant_id: str, address: str) -> Pairing:
        """Open a pairing against a grant for :data:`PAIR_ACTION`; ``address`` is where the device finds the API."""
        with self._context.write_as(actor) as (session, actor):
            self._codes.consume_grant(session, actor, grant_id, PAIR_ACTION)
            self._context.activity.record(actor, Action.PAIRING_CODE_ISSUED, session=session)
            code = self._codes.issue_code(CodePurpose.PAIRING, actor.user_id, PAIRING_LIFETIME, session)
        return Pairing(code, build_payload(address, code), self._context.clock() + PAIRING_LIFETIME)

    def pair_finish(self, code: str, device: str, *, ip: str = "") -> IssuedKey:
        """Exchange a one-time code for a key named after ``device``, with every scope and without an end.

        Raises :class:`InvalidInput`; a wrong name leaves the code good.
        """
        now = self._context.clock()
        request = KeyRequest.checked(device, frozenset(Scope), None, now=now)
        with self._context.database.session() as session:
            owner = self._owner_of_code(session, code, ip)
            refuse_too_many(store.list_keys(session, owner.user_id), now)
            return self._add(session, owner, request, now, action=Action.DEVICE_PAIRED)

    def _owner_of_code(self, session: Session, code: str, ip: str) -> Actor:
        user = self._codes.find_owner(session, CodePurpose.PAIRING, Secret(code))
        try:
            self._codes.consume_code(session, CodePurpose.PAIRING, Secret(code))
        except NotAllowed:
            raise InvalidInput(problem("code", "unknown_code")) from None
        if user is None:
            raise InvalidInput(problem("code", "unknown_code"))
        return Actor(user.id or 0, user.username, user.full_name, user.mail, Role(user.role), ip=ip)

    def _roll(self, session: Session, actor: Actor, key_id: str) -> IssuedKey:
        now = self._context.clock()
        old = store.find_key(session, actor.user_id, key_id, lock=True)
        if old is None or old.state(now) is KeyState.REVOKED:
            raise NotFound("no such key to roll")
        self._drop_unused_successor(session, actor, old, now)
        lifetime = old.expires - old.created if old.expires else None
        again = KeyRequest(old.device, old.scopes, now + lifetime if lifetime else None)
        new = self._add(session, actor, again, now, action=Action.KEY_ROLLED)
        store.replace_key(session, old.id, new.id, retires=now + ROLL_GRACE)
        ends = [moment for moment in (old.expires, old.retires or now + ROLL_GRACE) if moment]
        return IssuedKey(new.key, new.id, min(ends))

    def _drop_unused_successor(self, session: Session, actor: Actor, old: KeyRecord, now: datetime) -> None:
        # Its answer was lost, or nobody wanted it: a key that nobody holds must not stay good.
        if old.replaced_by:
            for key_id in store.revoke_keys(session, [old.replaced_by], now):
                self._context.activity.record(actor, Action.KEY_REVOKED, key_id, session=session)

    def _add(
        self, session: Session, actor: Actor, request: KeyRequest, now: datetime, *, action: Action = Action.KEY_ISSUED
    ) -> IssuedKey:
        parts = new_parts()
        key = build_key(parts)
        record = KeyRecord(
            id=parts.id,
            user_id=actor.user_id,
            device=request.device,
            last4=key.reveal()[-4:],
            scopes=request.scopes,
            created=now,
            expires=request.expires,
        )
        store.add_key(session, record, digest_secret(parts.secret, self.access.pepper))
        self._context.activity.record(actor, action, parts.id, detail=request.device, session=session)
        return IssuedKey(key, parts.id)


def _is_ahead(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and not has_happened(moment, now)
