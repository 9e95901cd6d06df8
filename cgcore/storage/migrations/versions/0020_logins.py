"""A user name for each server of an account that signs in with a token.

Revision ID: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns; until somebody fills them in, both servers are told the user of the account."""
    for name in ("smtp_login", "imap_login"):
        op.add_column("mail_account", sa.Column(name, sa.String(), nullable=False, server_default=""))
