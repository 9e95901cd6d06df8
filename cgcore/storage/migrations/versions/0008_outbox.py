"""The outbox: messages with their recipients and tries, the bytes in pieces apart, and how each account stands.

The table before was never written to. On PostgreSQL the pieces are kept as they are: encoded files do not shrink.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Put the new tables in place of the old one."""
    op.drop_table("outbound_message")
    op.create_table(
        "outbound_message",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("document_type", sa.String(), nullable=False),
        sa.Column("series", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("held_by", sa.String(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_tried", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("queue_id", sa.String(), nullable=False),
        sa.Column("accepted", sa.DateTime(timezone=True), nullable=True),
        sa.Column("copy_state", sa.String(), nullable=False),
        sa.Column("copy_folder", sa.String(), nullable=False),
        sa.Column("copy_key", sa.String(), nullable=False),
        sa.Column("copy_uid", sa.Integer(), nullable=False),
        sa.Column("copy_uidvalidity", sa.Integer(), nullable=False),
        sa.Column("copy_due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("copy_tries", sa.Integer(), nullable=False),
        sa.Column("copy_owner", sa.String(), nullable=False),
        sa.Column("copy_lease", sa.DateTime(timezone=True), nullable=True),
        sa.Column("look_due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("looked", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id", "idempotency_key"),
    )
    where = sa.text("copy_state = 'pending'")
    op.create_index("ix_outbound_message_copy", "outbound_message", ["copy_due"], sqlite_where=where, postgresql_where=where)
    op.create_index("ix_outbound_message_user_id_id", "outbound_message", ["user_id", "id"])
    where = sa.text("state = 'queued'")
    op.create_index("ix_outbound_message_waiting", "outbound_message", ["due", "id"], sqlite_where=where, postgresql_where=where)
    where = sa.text("state IN ('claimed', 'in_flight')")
    op.create_index("ix_outbound_message_worked_on", "outbound_message", ["lease_until"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "outbound_recipient",
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reply", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["outbound_message.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "place"),
    )
    op.create_table(
        "outbound_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("began", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reply", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["outbound_message.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_outbound_attempt_message_id"), "outbound_attempt", ["message_id"])
    op.create_table(
        "outbound_chunk",
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("blob", "place"),
    )
    op.create_table(
        "outbox_account",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("served", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("feeler", sa.Boolean(), nullable=False),
        sa.Column("rests", sa.Integer(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=True),
        sa.Column("account_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("user_id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE outbound_chunk ALTER COLUMN data SET STORAGE EXTERNAL")
