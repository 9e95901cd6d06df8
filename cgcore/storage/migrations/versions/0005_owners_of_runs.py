"""A run has an owner that is heard of while it goes on, and a cell has one run at a time.

What has no end now belongs to a process of the version before, which is gone.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_INTERRUPTED = '{"key": "interrupted", "stage": "", "ms": 0, "values": {}}'


def upgrade() -> None:
    """Add the columns, close what is open, and let the table take one open run for each user and cell."""
    for name, kind, default in (("owner", sa.String(), "''"), ("beats", sa.Integer(), "0")):
        op.add_column("probe_run", sa.Column(name, kind, nullable=False, server_default=sa.text(default)))
    runs = sa.table(
        "probe_run",
        sa.column("verdict", sa.JSON),
        sa.column("finished"),
        sa.column("started"),
    )
    no_verdict = sa.or_(runs.c.verdict.is_(None), sa.cast(runs.c.verdict, sa.String) == "null")
    interrupted = sa.cast(sa.literal_column(f"'{_INTERRUPTED}'"), sa.JSON) if _is_postgres() else _quoted()
    op.execute(runs.update().where(no_verdict).values(verdict=interrupted))
    op.execute(runs.update().where(runs.c.finished.is_(None)).values(finished=runs.c.started))
    op.create_index(
        "ux_probe_run_running",
        "probe_run",
        ["user_id", "cell"],
        unique=True,
        sqlite_where=sa.text("finished IS NULL"),
        postgresql_where=sa.text("finished IS NULL"),
    )


def _is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _quoted() -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{_INTERRUPTED}'")
