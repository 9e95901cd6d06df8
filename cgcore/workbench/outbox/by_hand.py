"""What a person says or does about a document that was sent: it went another way; it goes once more, as a new message.

Apart from :mod:`cgcore.workbench.outbox.section`: nothing of it changes how a message leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from email.utils import format_datetime
from typing import TYPE_CHECKING

from cgcore.activity import Action
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.message import make_message_id
from cgcore.mail.outgoing import renew_fields
from cgcore.mail.reports import OWN_HEADER
from cgcore.outbox.message import Message, NewMessage, Recipient, new_message_name
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import State
from cgcore.process import new_owner
from cgcore.storage import outbox_by_hand as store
from cgcore.storage.outbox import OutboxStore
from cgcore.storage.outbox_bytes import OutboxBytes, hold
from cgcore.workbench.outbox.compose import DocumentRequest, check_request, read_recipients, request_hash

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.outbox.section import OutboxSection

__all__ = ["ByHand"]


class ByHand:
    """Use cases of a person over documents that left, or went another way."""

    def __init__(self, context: Context, *, outbox: OutboxSection) -> None:
        self._context, self._outbox = context, outbox
        self._store, self._bytes = OutboxStore(context.database), OutboxBytes(context.database)
        self._owner = new_owner()

    def note_sent(self, actor: Actor, request: DocumentRequest, key: str) -> Message:
        """Note that a document has reached its customer another way: no mail leaves, and addresses may be missing.

        Raises :class:`InvalidInput`, and :class:`OutboxRefused` (``idempotency_key_reused``).
        """
        problems = [found for found in check_request(request) if (found.field, found.code) != ("to", "empty")]
        if problems:
            raise InvalidInput(*problems)
        name = new_message_name(self._context.clock())
        message = NewMessage(
            name, key, request_hash(request), request.document_type.value, request.series, request.number,
            request.customer, "", "", "", 0, "", (), read_recipients(request), 0.0, "",
        )  # fmt: skip
        told = f"{request.series} {request.number}"
        with self._context.write_as(actor) as (session, actor):
            if not store.add_noted(session, message, actor.user_id):
                raise OutboxRefused("the key is another message's", code="idempotency_key_reused")
            self._context.activity.record(actor, Action.DOCUMENT_RESOLVED, told, "ok", detail=name, session=session)
        return self._outbox.get(actor, name)

    def mark_sent(self, actor: Actor, name: str) -> Message:
        """Note that a held or refused message has reached its people another way; it is not sent any more.

        Raises :class:`NotFound`, and :class:`OutboxRefused` (``too_late``).
        """
        before = self._outbox.get(actor, name)
        told = f"{before.series} {before.number}"
        with self._context.write_as(actor) as (session, actor):
            if not store.mark_sent(session, actor.user_id, name):
                raise OutboxRefused("it stands elsewhere by now", code="too_late")
            self._context.activity.record(actor, Action.DOCUMENT_RESOLVED, told, "ok", detail=name, session=session)
        return self._outbox.get(actor, name)

    def send_again(self, actor: Actor, name: str, key: str, *, delay_s: float = 0.0) -> Message:
        """Send the document of a message that has left once more: to the same people, as a new message of today.

        The same ``key`` is the same new message. Raises :class:`NotFound`, and :class:`OutboxRefused` (``too_late``
        for one that has not left, ``bytes_removed``, ``still_storing``).
        """
        origin = self._outbox.get(actor, name)
        if origin.bytes_removed is not None:
            raise OutboxRefused("its time is over", code="bytes_removed")
        if origin.state is not State.SENT or not origin.parts:
            raise OutboxRefused("it has not left by mail", code="too_late")
        new, digest = new_message_name(self._context.clock()), hashlib.sha256(f"again {name}".encode()).hexdigest()
        found = self._store.reserve(actor.user_id, key, digest, new, self._owner)
        if found is not None:
            return self._outbox.get(actor, found.id)
        try:
            message = self._renew(origin, new, key, digest, delay_s)
            told = f"{origin.series} {origin.number}"
            with self._context.write_as(actor) as (session, actor):
                if not hold(session, message.parts) or not self._store.enqueue(session, message, actor.user_id):
                    raise OutboxRefused("the storing took too long", code="still_storing")
                store.note_origin(session, new, name)
                self._context.activity.record(actor, Action.DOCUMENT_RESENT, told, "ok", detail=new, session=session)
        except BaseException:
            self._store.drop(new)
            raise
        self._outbox.wake()
        return self._outbox.get(actor, new)

    def _renew(self, origin: Message, name: str, key: str, digest: str, delay_s: float) -> NewMessage:
        head, *others = origin.parts
        message_id = make_message_id(origin.sender)
        now = self._context.clock().astimezone()
        before = b"".join(self._bytes.read([head]))
        renewed = renew_fields(before, {"Message-ID": message_id, "Date": format_datetime(now), OWN_HEADER: name})
        blob, size = self._bytes.put(lambda: (renewed,))
        whole = hashlib.sha256(renewed)
        for piece in self._rest(others):
            whole.update(piece)
        return NewMessage(
            name, key, digest, origin.document_type, origin.series, origin.number, origin.customer, origin.subject,
            origin.sender, message_id, origin.size - len(before) + size, whole.hexdigest(), (blob, *others),
            [Recipient(each.address, each.kind, each.name) for each in origin.recipients], delay_s, origin.copy_folder,
        )  # fmt: skip

    def _rest(self, parts: list[str]) -> Iterator[bytes]:
        return self._bytes.read(parts)
