"""What two spellings of a document have in common stands beside it: so one that was handed in is found again.

Revision ID: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cgcore.outbox.matching import join_key

revision = "0025"
down_revision = "0024"

_message = sa.table(
    "outbound_message", *(sa.column(name, sa.String()) for name in ("id", "series", "number", "document_key"))
)


def upgrade() -> None:
    """Add the column and its index, and write the keys of what is there."""
    op.add_column("outbound_message", sa.Column("document_key", sa.String(), nullable=False, server_default=""))
    connection = op.get_bind()
    named = sa.select(_message.c.series, _message.c.number).where(_message.c.number != "").distinct()
    for series, number in connection.execute(named).all():
        same = (_message.c.series == series, _message.c.number == number)
        connection.execute(sa.update(_message).where(*same).values(document_key=join_key(series, number)))
    op.create_index("ix_outbound_message_user_id_document_key", "outbound_message", ["user_id", "document_key"])
