"""Which parts are stored and when somebody last wanted them; and which messages have no bytes any more.

Revision ID: 0013
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add table and column; what is stored already may be let go of in a day, where nothing names it."""
    blobs = op.create_table(
        "outbound_blob",
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("touched", sa.DateTime(timezone=True), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("blob"),
    )
    op.create_index(op.f("ix_outbound_blob_touched"), "outbound_blob", ["touched"])
    op.add_column("outbound_message", sa.Column("bytes_removed", sa.DateTime(timezone=True), nullable=True))
    chunks = sa.table("outbound_chunk", sa.column("blob"))
    # Whether they are whole was never noted: who brings one of them again writes what is missing.
    now, no = sa.literal(datetime.now(UTC), sa.DateTime(timezone=True)), sa.literal(False)  # noqa: FBT003
    op.execute(blobs.insert().from_select(["blob", "touched", "whole"], sa.select(chunks.c.blob, now, no).distinct()))
