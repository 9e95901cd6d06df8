"""The tables of the outbox. They stand alone: a row that changes its state is slim, and the bytes lie elsewhere.

A state change in the row of a 34 MB message would write all of it again (SQLite), so the bytes are pieces of 256 KB in
a table of their own, under the SHA-256 of the part that they belong to: one PDF for three customers is stored once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field

from cgcore.clock import utc_now
from cgcore.storage.tables import Row, UtcDateTime, metadata

__all__ = [
    "KEPT_OF_MESSAGE",
    "OutboundAttemptRow",
    "OutboundBatchRow",
    "OutboundBlobRow",
    "OutboundChunkRow",
    "OutboundMessageRow",
    "OutboundRecipientRow",
    "OutboxAccountRow",
    "OutboxPreferenceRow",
    "OutboxSlotRow",
    "SavedDocumentRow",
    "metadata",
]


KEPT_OF_MESSAGE = (
    "request_hash", "document_type", "series", "number", "document_key", "customer", "subject", "sender", "message_id",
    "size", "sha256", "copy_folder",
)  # fmt: skip
"""What of a new message its row keeps under the same name."""


class OutboundMessageRow(Row, table=True):
    """A message that leaves by the account of a user, and where it stands (:class:`cgcore.outbox.states.State`).

    ``parts`` are the names of its blobs in their order: their bytes, one after the other, are the message. ``fence``
    grows with each claim, and with each new beginning by a person: a worker that was thought to be gone cannot change
    what others have taken over. ``held_by`` says who lets a held one go: ``account`` or ``person``. ``reason`` is the
    verdict over the last try, as JSON. The copy has columns of its own and never touches ``state``.

    ``document_key`` is what every spelling of series and number has in common.
    ``resent_of`` is the message whose document this one is again, empty for most.
    ``bytes_removed`` is when its bytes were let go of, after the time that they are kept for; the row stays.
    ``batch`` names what it was handed in with, empty for one on its own. A user with messages cannot be
    deleted: there is no cascade.
    """

    __table_args__ = (
        UniqueConstraint("user_id", "idempotency_key"),
        Index(
            "ix_outbound_message_waiting",
            "due",
            "id",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
        Index("ix_outbound_message_user_id_id", "user_id", "id"),
        Index("ix_outbound_message_user_id_accepted", "user_id", "accepted"),
        Index("ix_outbound_message_user_id_document_key", "user_id", "document_key"),
        Index(
            "ix_outbound_message_worked_on",
            "lease_until",
            sqlite_where=text("state IN ('claimed', 'in_flight')"),
            postgresql_where=text("state IN ('claimed', 'in_flight')"),
        ),
        Index(
            "ix_outbound_message_copy",
            "copy_due",
            sqlite_where=text("copy_state = 'pending'"),
            postgresql_where=text("copy_state = 'pending'"),
        ),
        Index(
            "ix_outbound_message_batch",
            "batch",
            sqlite_where=text("batch <> ''"),
            postgresql_where=text("batch <> ''"),
        ),
    )

    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id")
    idempotency_key: str
    request_hash: str
    document_type: str
    series: str = ""
    number: str = ""
    document_key: str = ""
    customer: str = ""
    subject: str = ""
    sender: str = ""
    message_id: str = ""
    size: int = 0
    sha256: str = ""
    parts: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    state: str
    held_by: str = ""
    reason: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    created: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    changed: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    due: datetime = Field(sa_type=UtcDateTime)
    first_tried: datetime | None = Field(default=None, sa_type=UtcDateTime)
    fence: int = 0
    owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = 0
    host: str = ""
    queue_id: str = ""
    accepted: datetime | None = Field(default=None, sa_type=UtcDateTime)
    copy_state: str = "none"
    copy_folder: str = ""
    copy_key: str = ""
    copy_uid: int = 0
    copy_uidvalidity: int = 0
    copy_due: datetime | None = Field(default=None, sa_type=UtcDateTime)
    copy_tries: int = 0
    copy_owner: str = ""
    copy_lease: datetime | None = Field(default=None, sa_type=UtcDateTime)
    # An unknown one is looked for in the sent folder: when next, how often it was, and when last.
    look_due: datetime | None = Field(default=None, sa_type=UtcDateTime)
    looks: int = 0
    looked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    batch: str = ""
    bytes_removed: datetime | None = Field(default=None, sa_type=UtcDateTime)
    resent_of: str = ""


class OutboundBatchRow(Row, table=True):
    """Many documents that were handed in together: every row of the sheet, also those that stayed behind.

    Its messages know it by its id; while it is ``storing`` there are none. ``asked``: it was stopped once because many
    recipients were refused, and is not stopped for that again.
    """

    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True)
    created: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    state: str
    name: str = ""
    owner: str = ""
    lines: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    reason: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    asked: bool = False


class OutboundRecipientRow(Row, table=True):
    """One recipient of a message, ``kind`` to, cc or bcc, and what the server said of them.

    ``part`` numbers the transactions of a message that needs several, by the last one that they were in; it is durable
    before the dot.
    """

    message_id: str = Field(primary_key=True, foreign_key="outbound_message.id", ondelete="CASCADE")
    place: int = Field(primary_key=True)
    address: str
    name: str = ""
    kind: str
    state: str = "pending"
    code: int = 0
    key: str = ""
    reply: str = ""
    part: int = 0


class OutboundAttemptRow(Row, table=True):
    """One try to hand a message over: when, how far it came, and what was said.

    ``taken`` are the recipients that a server has taken it for, also where nobody knows whether it has: what counts
    against the limits of a provider.
    """

    __table_args__ = (
        Index(
            "ix_outbound_attempt_sent",
            "user_id",
            "ended",
            sqlite_where=text("taken > 0"),
            postgresql_where=text("taken > 0"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    message_id: str = Field(foreign_key="outbound_message.id", index=True, ondelete="CASCADE")
    began: datetime = Field(sa_type=UtcDateTime)
    ended: datetime | None = Field(default=None, sa_type=UtcDateTime)
    stage: str = ""
    key: str = ""
    reply: str = ""
    owner: str = ""
    user_id: int = 0
    taken: int = 0


class OutboundChunkRow(Row, table=True):
    """A piece of at most 256 KB of the part whose SHA-256 (hex) is ``blob``; nobody changes one once it is there."""

    blob: str = Field(primary_key=True)
    place: int = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class OutboundBlobRow(Row, table=True):
    """A part that is stored, or being stored (not ``whole`` yet), and when somebody last wanted it.

    A day later it stays only while a message or a draft names it.
    """

    blob: str = Field(primary_key=True)
    touched: datetime = Field(sa_type=UtcDateTime, index=True)
    whole: bool = False


class SavedDocumentRow(Row, table=True):
    """A document that a user has put aside: what was typed, and its files; ``parts`` are their bytes, in their order.

    ``deleted``: it is forgotten a day later, until then it can be taken back.
    """

    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    saved: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    deleted: datetime | None = Field(default=None, sa_type=UtcDateTime)
    fields: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    files: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    parts: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))


class OutboxAccountRow(Row, table=True):
    """How a user's mail account stands as a sender: whether it rests, and how fast it may send.

    ``paused`` with ``paused_until``: by itself until then; without: until a person lets it go. After a rest one
    message goes ahead (``feeler``), the others follow once it has passed. ``halvings`` is how often its provider has
    said «too much», ``halved`` when last, ``ceiling`` how many had left within the hour before the first time; before
    ``not_before`` nothing leaves, for its pace. ``connections`` is how many it may have at once, as whoever served it
    last has found; ``crowdings`` is how often its provider has said that they were too many, ``crowded`` when last.
    ``served`` is when a worker has attended to it last, also without anything to send. ``looking`` is who looks for an
    unsure message in its sent folder because its person has asked, and no longer than ``looking_until``.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id")
    served: datetime = Field(sa_type=UtcDateTime)
    paused: bool = False
    paused_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    feeler: bool = False
    rests: int = 0
    reason: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    account_version: int = 0
    halvings: int = 0
    halved: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ceiling: int = 0
    not_before: datetime | None = Field(default=None, sa_type=UtcDateTime)
    connections: int = 1
    crowdings: int = 0
    crowded: datetime | None = Field(default=None, sa_type=UtcDateTime)
    looking: str = ""
    looking_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class OutboxSlotRow(Row, table=True):
    """One connection of an account, and the process that has it; ``fence`` grows whenever it changes hands.

    An account has as many as were ever open at once; it is free where ``owner`` is empty or the lease is over.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id")
    place: int = Field(primary_key=True)
    owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    fence: int = 0


class OutboxPreferenceRow(Row, table=True):
    """How a user sends: seconds to undo, the adviser's address, and how they are named by document type."""

    user_id: int = Field(primary_key=True, foreign_key="user.id")
    undo_s: int = 10
    adviser: str = ""
    copies: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
