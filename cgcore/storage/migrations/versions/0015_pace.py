"""How fast an account sends: what has left, what its provider has said «too much» to, and what a batch has asked.

Revision ID: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the columns; what was accepted before counts as one recipient each."""
    for name in ("user_id", "taken"):
        op.add_column("outbound_attempt", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE outbound_attempt SET taken = CASE WHEN key = '' THEN 1 ELSE 0 END,"
        " user_id = (SELECT user_id FROM outbound_message WHERE outbound_message.id = outbound_attempt.message_id)"
    )
    where = sa.text("taken > 0")
    op.create_index(
        "ix_outbound_attempt_sent",
        "outbound_attempt",
        ["user_id", "ended"],
        sqlite_where=where,
        postgresql_where=where,
    )
    for name in ("halvings", "ceiling"):
        op.add_column("outbox_account", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for name in ("halved", "not_before"):
        op.add_column("outbox_account", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    no = sa.text("false")
    op.add_column("outbound_batch", sa.Column("asked", sa.Boolean(), nullable=False, server_default=no))
