"""Documents that are handed in together.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table, and to each message what it was handed in with."""
    op.create_table(
        "outbound_batch",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_outbound_batch_user_id"), "outbound_batch", ["user_id"])
    op.add_column("outbound_message", sa.Column("batch", sa.String(), nullable=False, server_default=""))
    where = sa.text("batch <> ''")
    op.create_index("ix_outbound_message_batch", "outbound_message", ["batch"], sqlite_where=where, postgresql_where=where)
