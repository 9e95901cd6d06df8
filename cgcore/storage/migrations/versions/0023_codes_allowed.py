"""Connecting by a code is for the clients for which an administrator has switched it on.

Revision ID: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the column; off for the clients that there are, but for those that have no other way."""
    op.add_column("oauth_client", sa.Column("codes", sa.Boolean(), nullable=False, server_default=sa.text("false")))
