"""The trail stays append-only against the two ways round the first triggers.

SQLite replaces a row without asking the delete trigger, PostgreSQL empties a table without asking for its rows.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_CLOSED = {
    "sqlite": (
        "CREATE TRIGGER activity_no_replace BEFORE INSERT ON activity "
        "WHEN EXISTS (SELECT 1 FROM activity WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
    ),
    "postgresql": (
        "CREATE TRIGGER activity_no_truncate BEFORE TRUNCATE ON activity "
        "FOR EACH STATEMENT EXECUTE FUNCTION activity_append_only()"
    ),
}


def upgrade() -> None:
    """Add the trigger of this database."""
    op.execute(_CLOSED[op.get_bind().dialect.name])
