"""Who looks into a sent folder because a person has asked: one at a time, over all processes.

Revision ID: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the columns; nobody is looking."""
    op.add_column("outbox_account", sa.Column("looking", sa.String(), nullable=False, server_default=""))
    op.add_column("outbox_account", sa.Column("looking_until", sa.DateTime(timezone=True), nullable=True))
