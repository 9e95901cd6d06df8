"""Several connections for one account, each with the process that has it; several transactions for one message.

Revision ID: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the table and what an account may have; who served an account until now is not carried over."""
    op.create_table(
        "outbox_slot",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("user_id", "place"),
    )
    with op.batch_alter_table("outbox_account") as account:
        account.drop_column("owner")
        account.drop_column("lease_until")
        account.add_column(sa.Column("connections", sa.Integer(), nullable=False, server_default="1"))
        account.add_column(sa.Column("crowdings", sa.Integer(), nullable=False, server_default="0"))
        account.add_column(sa.Column("crowded", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbound_recipient", sa.Column("part", sa.Integer(), nullable=False, server_default="0"))
