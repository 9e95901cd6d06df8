"""Codes of series are in their composed form (NFC), and their keys take neither case nor width into account.

A pair that only differs in how a letter is composed stays as it is: documents may bear either.

Revision ID: 0007
"""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_series = sa.table(
    "series",
    *(sa.column(name) for name in ("code", "code_key", "name", "active", "kind", "version")),
)
_REFERRING = ("series_number", "company_series", "series_default")


def upgrade() -> None:
    """Compose the codes, wherever they stand, and write the keys anew."""
    connection = op.get_bind()
    rows = connection.execute(sa.select(_series).order_by(_series.c.code)).mappings().all()
    codes = {row["code"] for row in rows}
    for row in rows:
        composed = unicodedata.normalize("NFC", row["code"])
        if composed != row["code"] and composed not in codes:
            # A referred key cannot change in place: the row is copied, what refers to it follows, the old one goes.
            connection.execute(sa.insert(_series).values({**row, "code": composed, "code_key": f"{composed}\n"}))
            for name in _REFERRING:
                referring = sa.table(name, sa.column("series_code"))
                changed = sa.update(referring).where(referring.c.series_code == row["code"])
                connection.execute(changed.values(series_code=composed))
            connection.execute(sa.delete(_series).where(_series.c.code == row["code"]))
    keys = set(connection.execute(sa.select(_series.c.code_key)).scalars())
    for code, old in connection.execute(sa.select(_series.c.code, _series.c.code_key)).all():
        key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", code).casefold())
        if key != old and key not in keys:
            connection.execute(sa.update(_series).where(_series.c.code == code).values(code_key=key))
            keys.add(key)
