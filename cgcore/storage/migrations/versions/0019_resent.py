"""Which message is another one's document, sent again.

Revision ID: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column."""
    op.add_column("outbound_message", sa.Column("resent_of", sa.String(), nullable=False, server_default=""))
