"""A user with messages in the outbox: its two sides without any server, or a whole house with an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.outbox.judgement import Outcome
from cgcore.outbox.message import (
    Attempt,
    Claimed,
    Message,
    MessageFilters,
    NewMessage,
    Recipient,
    Result,
    Slot,
    new_message_name,
)
from cgcore.outbox.pace import Pace
from cgcore.outbox.states import Kind, RecipientState, State
from cgcore.process import new_owner
from cgcore.storage.database import Database
from cgcore.storage.outbox import OutboxStore
from cgcore.storage.outbox_queue import OutboxQueue
from cgcore.storage.outbox_tables import (
    OutboundAttemptRow,
    OutboundMessageRow,
    OutboundRecipientRow,
    OutboxAccountRow,
    OutboxSlotRow,
)
from cgcore.storage.tables import UserRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.house import add_series, add_user

__all__ = ["BEGAN", "REASON", "House", "Shelf", "build_result", "finish", "furnish_sender"]

_ANY_PACE = Pace()
_EVA = Recipient("eva@example.com", Kind.TO)
_LEO = Recipient("leo@example.com", Kind.BCC)
REASON: Mapping[str, Any] = {"key": "sending_quota", "stage": "final", "ms": 1, "values": {"leg": "smtp"}}
BEGAN = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Shelf:
    """A user, and the rows of their messages."""

    def __init__(self, database: Database) -> None:
        self.database, self.store = database, OutboxStore(database)
        with database.session() as session:
            row = UserRow(username="ana", username_key="ana")
            session.add(row)
            session.flush()
            self.user = row.id or 0

    def get(self, name: str) -> Message:
        with self.database.read() as session:
            found = self.store.find(session, self.user, name)
        assert found is not None
        return found

    def set(self, name: str, **values: Any) -> None:
        with self.database.session() as session:
            session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.id) == name).values(**values))


class House(Shelf):
    """A user with messages, and the two sides of the outbox."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.slot = Slot(self.user, 0, 0)

    def put(self, key: str = "k", *, delay_s: float = 0.0) -> str:
        name = new_message_name(datetime.now(UTC))
        assert self.store.reserve(self.user, key, "hash", name, "me") is None
        message = NewMessage(
            name, key, "hash", "sales_invoice", "F", "7", "Talleres Ruiz", "Adjunto Factura F 7", "ana@example.com",
            f"<{name}@example.com>", 3, "sha", ("blob",), (_EVA, _LEO), delay_s, "Sent",
        )  # fmt: skip
        with self.database.session() as session:
            assert self.store.enqueue(session, message, self.user)
        return name

    def put_many(self, count: int) -> None:
        """Put so many into the queue, in one transaction but for the first."""
        name = self.put("many")
        with self.database.session() as session:
            row = session.get_one(OutboundMessageRow, name).model_dump()
            for number in range(1, count):
                copy: dict[str, Any] = row | {"id": f"{name[:26]}{number:06x}", "idempotency_key": f"many {number}"}
                session.add(OutboundMessageRow(**copy))
                session.flush()
                session.add(OutboundRecipientRow(message_id=copy["id"], place=0, address=_EVA.address, kind="to"))

    def queue(self, owner: str = "") -> OutboxQueue:
        return OutboxQueue(self.database, owner or new_owner())

    def claim(self, queue: OutboxQueue) -> list[Claimed]:
        return self.take(queue) if self.enter(queue) else []

    def enter(self, queue: OutboxQueue) -> bool:
        """Take a connection of the account, where there is one to be had."""
        slot = queue.claim_slot()
        self.slot = slot or self.slot
        return slot is not None

    def take(self, queue: OutboxQueue, *, pace: Pace = _ANY_PACE) -> list[Claimed]:
        """Take messages for the connection that was taken last."""
        return list(queue.claim_messages(self.slot, pace=pace))

    def leave(self, queue: OutboxQueue) -> None:
        queue.leave(self.slot)

    def set_slots(self, **values: Any) -> None:
        with self.database.session() as session:
            session.exec(update(OutboxSlotRow).values(**values))

    def set_account(self, **values: Any) -> None:
        with self.database.session() as session:
            session.exec(update(OutboxAccountRow).values(**values))

    def age(self, name: str, by: timedelta) -> None:
        """Let the tries of a message be longer ago."""
        row = OutboundAttemptRow
        with self.database.session() as session:
            session.exec(update(row).where(col(row.message_id) == name).values(ended=datetime.now(UTC) - by))

    def account(self) -> OutboxAccountRow:
        with self.database.read() as session:
            return session.get_one(OutboxAccountRow, self.user)

    def states(self) -> list[State]:
        with self.database.read() as session:
            return [message.state for message in self.store.list(session, self.user, MessageFilters())][::-1]


def build_result(claimed: Claimed, outcome: Outcome, **more: Any) -> Result:
    told = [Recipient(r.address, r.kind, "", RecipientState.ACCEPTED, 250, "", "250 ok") for r in claimed.recipients]
    return Result(claimed, outcome, Attempt(BEGAN, stage="final", reply="250 ok"), told, **more)


def finish(queue: OutboxQueue, claimed: Claimed, outcome: Outcome, **more: Any) -> bool:
    return queue.turn(build_result(claimed, outcome, **more)).done


def furnish_sender(workbench: Workbench, smtp: int, imap: int) -> Actor:
    """Furnish a house, and return ana, whose account is at servers on these ports."""
    admin = add_user(workbench, "admin", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    ana = replace(add_user(workbench, "ana"), mail="ana@example.com")
    sending, filing = (ServerDraft("127.0.0.1", port, Security.NONE) for port in (smtp, imap))
    draft = MailAccountDraft("ana@example.com", Secret("correcto-Caballo.9"), sending, filing, sent_folder="Sent")
    workbench.mail_account.save(ana, draft, version=0)
    return ana
