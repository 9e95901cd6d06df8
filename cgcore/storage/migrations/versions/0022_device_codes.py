"""Connecting by a code: what an attempt needs to be asked for, and a client that has no secret.

Revision ID: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the columns; attempts under way are of the other way, clients have a secret."""
    op.add_column("oauth_attempt", sa.Column("expires", sa.DateTime(timezone=True), nullable=True))
    op.add_column("oauth_attempt", sa.Column("due", sa.DateTime(timezone=True), nullable=True))
    op.add_column("oauth_attempt", sa.Column("interval_s", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("oauth_client", sa.Column("public", sa.Boolean(), nullable=False, server_default=sa.text("false")))
