"""A line of the trail holds what was changed as codes and values; what it says is made where it is shown.

Lines of earlier versions keep their words: the trail is append-only.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("activity", sa.Column("changes", sa.String(), nullable=False, server_default=sa.text("''")))
