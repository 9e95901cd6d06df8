"""How mail of an account presents itself: its name, where answers go, a copy for oneself.

Revision ID: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns; until somebody fills them in, mail presents itself as before."""
    for name in ("sender_name", "reply_to"):
        op.add_column("mail_account", sa.Column(name, sa.String(), nullable=False, server_default=""))
    no = sa.text("false")
    op.add_column("mail_account", sa.Column("copy_to_self", sa.Boolean(), nullable=False, server_default=no))
