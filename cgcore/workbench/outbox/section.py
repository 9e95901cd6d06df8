"""The use cases of «Enviar documento»: preview, hand in, look, take back, send again.

Apart from :mod:`cgcore.workbench.core`, as each section: loaded at its first use.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cgcore.activity import Action
from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem, InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.steps import Leg
from cgcore.once import once
from cgcore.outbox.message import AccountState, Message, MessageFilters, NewMessage, Recipient, new_message_name
from cgcore.outbox.pace import Forecast
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import RESENDABLE, State
from cgcore.process import new_owner
from cgcore.runs import Cell
from cgcore.storage import series as series_store
from cgcore.storage.acting import list_acting
from cgcore.storage.bounces import list_notices
from cgcore.storage.outbox import OutboxStore
from cgcore.storage.outbox_bytes import OutboxBytes, hold
from cgcore.storage.outbox_left import count_left
from cgcore.workbench.mail_probes import MailRequests, require_complete
from cgcore.workbench.outbox.compose import (
    Composed,
    Composer,
    DocumentRequest,
    Unsendable,
    check_request,
    request_hash,
)
from cgcore.workbench.outbox.copies import CopyClerk
from cgcore.workbench.outbox.pace import PaceBook
from cgcore.workbench.outbox.preferences import PreferencesSection
from cgcore.workbench.outbox.worker import OutboxWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlmodel import Session

    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRuns
    from cgcore.workbench.oauth.section import OAuthSection
    from cgcore.workbench.sandbox import SandboxSection
    from cgcore.workbench.template_mail import TemplateMail
    from cgcore.workbench.templates import TemplatesSection

__all__ = ["OutboxOverview", "OutboxSection", "Page"]

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, the newest first, and where the next ones begin (``""``: nowhere)."""

    messages: Sequence[Message]
    next: str = ""


@dataclass(frozen=True, slots=True)
class OutboxOverview:
    """How many messages of a user stand where, how many of them were left behind, and how their account stands."""

    counts: Mapping[State, int]
    account: AccountState
    left: int = 0


class OutboxSection:
    """Documents of one installation on their way; each person sees their own."""

    def __init__(
        self,
        context: Context,
        *,
        templates: TemplatesSection,
        template_mail: TemplateMail,
        mail_account: MailAccountSection,
        mail_runs: MailRuns,
        oauth: Callable[[], OAuthSection],
        sandbox: Callable[[], SandboxSection],
    ) -> None:
        self._context = context
        self._template_mail, self._mail_account, self._mail_runs = template_mail, mail_account, mail_runs
        self._composer = Composer(templates)
        self._requests = MailRequests(context, mail_account=mail_account, oauth=oauth, sandbox=sandbox)
        self._store, self._bytes = OutboxStore(context.database), OutboxBytes(context.database)
        self._owner = new_owner()
        self._paces = PaceBook(context, mail_account)
        self.preferences = PreferencesSection(context)

    @once
    def worker(self) -> OutboxWorker:
        """The worker of this process; it begins with :meth:`OutboxWorker.start`."""
        return OutboxWorker(self._context, mail_account=self._mail_account, requests=self._requests)

    def retire(self) -> None:
        """Begin nothing more, and wait for nothing."""
        if "worker" in vars(self):
            self.worker.retire()

    def is_working(self) -> bool:
        """Return whether this process is handing something over."""
        return "worker" in vars(self) and self.worker.is_working()

    def close(self) -> None:
        """Stop the worker, if it was ever asked for."""
        if "worker" in vars(self):
            self.worker.close()

    # ---- In

    def preview(self, actor: Actor, request: DocumentRequest) -> Composed:
        """Return the message as it would go; checks of its text do not stop it.

        Raises :class:`InvalidInput` and :class:`OutboxRefused` (``account_missing``, ``message_too_large``).
        """
        self._check(actor, request)
        composed = self._compose(actor, request, new_message_name(self._context.clock()))
        self._require_room(actor, composed)
        return composed

    def send(self, actor: Actor, request: DocumentRequest, key: str) -> tuple[Message, bool]:
        """Store a message that then goes by itself; return it, and whether it is new.

        The same ``key`` with the same content returns what is there already, also after a restart. All is on the disk
        when this returns. Raises :class:`InvalidInput` (:class:`Unsendable` for the text), and :class:`OutboxRefused`
        for a key that is another message's, or is being stored, for an account that is not set up, and for a message
        that is larger than the server is known to take.
        """
        if not _KEY.fullmatch(key):
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "Idempotency-Key", "idempotency_key_form"))
        self._check(actor, request)
        digest = request_hash(request)
        name = new_message_name(self._context.clock())
        found = self._store.reserve(actor.user_id, key, digest, name, self._owner)
        if found is not None:
            return self._repeated(actor, found, digest), False
        try:
            self._put(actor, request, name, key, digest)
        except BaseException:
            self._store.drop(name)
            raise
        self.wake()
        return self.get(actor, name), True

    def _put(self, actor: Actor, request: DocumentRequest, name: str, key: str, digest: str) -> None:
        message = self.store(actor, request, name, key, digest)
        with self._context.write_as(actor) as (session, actor):
            held = hold(session, message.parts)
            if not held or not self._store.enqueue(session, message, actor.user_id):
                raise OutboxRefused("the storing took too long", code="still_storing")

    def store(self, actor: Actor, request: DocumentRequest, name: str, key: str, digest: str) -> NewMessage:
        """Build a message, which was checked, and store its bytes; nothing is in the queue by that.

        Raises :class:`Unsendable`, and :class:`OutboxRefused` (``account_missing``, ``message_too_large``).
        """
        composed = self._compose(actor, request, name)
        if composed.rendered.errors:
            raise Unsendable(composed.rendered.checks)
        account = self._mail_account.get(actor).draft
        self._require_room(actor, composed)
        whole = hashlib.sha256()
        for piece in (piece for pieces in composed.parts for piece in pieces()):
            whole.update(piece)
        return NewMessage(
            name=name,
            key=key,
            request_hash=digest,
            document_type=request.document_type.value,
            series=request.series,
            number=request.number,
            customer=request.customer,
            subject=composed.rendered.subject,
            sender=composed.sender,
            message_id=composed.message_id,
            size=composed.size,
            sha256=whole.hexdigest(),
            parts=self._bytes.put_all(composed.parts),
            recipients=composed.recipients,
            delay_s=request.delay_s,
            copy_folder=account.sent_folder if account.imap.host else "",
        )

    def _repeated(self, actor: Actor, found: Message, digest: str) -> Message:
        if found.request_hash != digest:
            raise OutboxRefused("the key is another message's", code="idempotency_key_reused")
        if found.state is State.STORING:
            raise OutboxRefused("the first request is being stored", code="still_storing")
        return self.get(actor, found.id)

    def _check(self, actor: Actor, request: DocumentRequest) -> None:
        problems = list(check_request(request))
        if problems:
            raise InvalidInput(*problems)
        with self._context.read_as(actor) as (session, actor):
            series = series_store.find_series(session, request.series)
        if series is None or not series.active or not series.serves(request.document_type):
            raise InvalidInput(
                FieldProblem.of("cgcore.workbench", "series", "unknown_series", name=request.series[:60])
            )

    def _compose(self, actor: Actor, request: DocumentRequest, name: str) -> Composed:
        stored = self._mail_account.get(actor)
        try:
            require_complete(stored.draft, Leg.SMTP)
            address = self._mail_runs.sender_of(actor, stored.draft)
        except InvalidInput:
            raise OutboxRefused("the mail account is not set up", code="account_missing") from None
        if not stored.draft.smtp.host or not stored.can_sign_in:
            raise OutboxRefused("the mail account is not set up", code="account_missing")
        receipt = stored.draft.read_receipt if request.read_receipt is None else request.read_receipt
        own = self._template_mail.own_values(actor)
        now = self._context.clock().astimezone()
        return self._composer.compose(
            actor,
            request,
            name=name,
            address=address,
            sender=stored.draft.sender,
            own=own,
            read_receipt=receipt,
            date=now,
        )

    def _require_room(self, actor: Actor, composed: Composed) -> None:
        limit = self.known_limit(actor)
        if limit and composed.size > limit:
            raise OutboxRefused("larger than the server takes", code="message_too_large")

    def known_limit(self, actor: Actor) -> int:
        """Return what one message may weigh in bytes by the last test of the account, 0 where nobody has told."""
        account = self._mail_account.get(actor).draft
        run = self._mail_runs.find_last(actor, Cell.SMTP)
        if run is None or run.fingerprint != self._mail_runs.fingerprint(actor, Cell.SMTP, account):
            return 0
        told = [int(step.details.get("size_limit", 0) or 0) for step in run.steps]
        return next((limit for limit in reversed(told) if limit), 0)

    # ---- Looking

    def get(self, actor: Actor, name: str) -> Message:
        """Return a message with recipients and tries. Raises :class:`NotFound`."""
        with self._context.read_as(actor) as (session, actor):
            found = self._store.find(session, actor.user_id, name)
            if found is None:
                raise NotFound("no such message")
            return replace(found, notices=tuple(list_notices(session, [name])[name]))

    def list(self, actor: Actor, filters: MessageFilters, *, cursor: str = "", limit: int = 50) -> Page:
        """Return a page of messages. Raises :class:`InvalidInput` for a cursor that is none."""
        if cursor and not re.fullmatch(r"[0-9a-f]{32}", cursor):
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "cursor", "invalid_cursor"))
        limit = max(1, min(limit, _MOST_LISTED))
        with self._context.read_as(actor) as (session, actor):
            found = self._store.list(session, actor.user_id, filters, before=cursor, limit=limit + 1)
        more = len(found) > limit
        return Page(found[:limit], found[limit - 1].id if more else "")

    def read(self, actor: Actor, name: str) -> Iterator[bytes]:
        """Return the bytes of a message, as they go or went, in pieces.

        Raises :class:`NotFound`, and :class:`OutboxRefused` (``bytes_removed``) where they are kept no more.
        """
        return self._bytes.read(self._parts_of(actor, name))

    def read_whole(self, actor: Actor, name: str) -> bytes:
        """Return the bytes of a message at once, for whoever cannot take them in pieces; as :meth:`read`."""
        return self._bytes.read_whole(self._parts_of(actor, name))

    def _parts_of(self, actor: Actor, name: str) -> Sequence[str]:
        message = self.get(actor, name)
        if message.bytes_removed is not None:
            raise OutboxRefused("its time is over", code="bytes_removed")
        return message.parts

    def list_used(self, actor: Actor, document_type: DocumentType) -> frozenset[str]:
        """Return the variables of a document that the actor's texts of a type use."""
        return self._composer.list_used(actor, document_type)

    def forecast(self, actor: Actor, messages: Sequence[int]) -> Forecast:
        """Return how many of so many new messages, each told by its recipients, leave today, and when the last does."""
        return self._paces.forecast(actor, messages)

    def recall_recipients(self, actor: Actor, kind: DocumentType, customer: str) -> Sequence[Recipient]:
        """Return whom the last document of a customer went to, one of this type before any other; nobody is guessed."""

        def look(session: Session, actor: Actor) -> Sequence[Recipient]:
            return self._store.list_last_to(session, actor.user_id, kind.value, customer)

        return self._context.recall(actor, ("outbox", "recipients", kind, customer), look)

    def overview_of(self, actor: Actor) -> OutboxOverview:
        """Return what waits, is held and is unsure."""
        with self._context.read_as(actor) as (session, actor):
            counts = self._store.count_states(session, actor.user_id)
            left = count_left(session, actor.user_id) if counts.get(State.HELD) else 0
            return OutboxOverview(counts, self._store.find_account(session, actor.user_id), left)

    def list_people(self, username: str = "") -> list[Actor]:
        """Return everybody, or the one of that name, as who acts: for the command line, which stands above users."""
        with self._context.database.read() as session:
            return list_acting(session, username)

    # ---- What people change. Each raises NotFound, and OutboxRefused («too_late») where it stands elsewhere by now

    def cancel(self, actor: Actor, name: str) -> Message:
        """Take a message back that waits."""
        return self._change(actor, name, self._store.cancel, Action.DOCUMENT_CANCELLED)

    def skip_rest(self, actor: Actor, name: str) -> Message:
        """End a message that some have already: who has not got it does not get it."""
        return self._change(actor, name, self._store.skip_rest, Action.DOCUMENT_REST_SKIPPED)

    def send_now(self, actor: Actor, name: str) -> Message:
        """End the delay of a message."""
        return self._change(actor, name, self._store.send_now)

    def resend(self, actor: Actor, name: str) -> Message:
        """Send a failed, held or unsure message again: the same bytes, the same Message-ID."""
        return self._change(actor, name, self._store.resend, Action.DOCUMENT_RESENT)

    def resolve_sent(self, actor: Actor, name: str) -> Message:
        """Say of an unsure message that it has left."""
        return self._change(actor, name, self._store.resolve_sent, Action.DOCUMENT_RESOLVED)

    def look_for(self, actor: Actor, name: str) -> Message:
        """Look for an unsure message in the sent folder now; one that lies there has left.

        Where none is chosen for copies, the provider tells which it is. Raises :class:`OutboxRefused`
        (``not_searched``) where it could not be searched, too, and ``looking`` while another one of theirs is looked
        for, by whichever process: a provider locks a mailbox that is entered too often.
        """
        self.get(actor, name)
        clerk = CopyClerk(self._context, self._owner, mail_account=self._mail_account, requests=self._requests)
        searched = clerk.look_now(actor.user_id, name)
        if searched is None:
            raise OutboxRefused("its fate is known", code="too_late")
        if not searched:
            raise OutboxRefused("the folder could not be searched", code="not_searched")
        return self.get(actor, name)

    def resume(self, actor: Actor) -> int:
        """Let everything that is held of the actor go; return how many that were."""
        with self._context.write_as(actor) as (session, actor):
            count = self._store.resume(session, actor.user_id)
            if count:
                self._context.activity.record(actor, Action.SENDING_RESUMED, "", "ok", session=session)
        self.wake()
        return count

    def _change(
        self, actor: Actor, name: str, change: Callable[[Session, int, str], bool], action: Action | None = None
    ) -> Message:
        before = self.get(actor, name)
        with self._context.write_as(actor) as (session, actor):
            done = change(session, actor.user_id, name)
            if done and action:
                told = f"{before.series} {before.number}"
                self._context.activity.record(actor, action, told, "ok", detail=name, session=session)
        if not done and before.bytes_removed is not None and before.state in RESENDABLE:
            raise OutboxRefused("its time is over", code="bytes_removed")
        if not done:
            raise OutboxRefused("it stands elsewhere by now", code="too_late")
        self.wake()
        return self.get(actor, name)

    def wake(self) -> None:
        """Let the worker of this process look at once, if there is one."""
        if "worker" in vars(self):
            self.worker.wake()
