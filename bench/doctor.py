"""The mail doctor: explained texts a second."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

from bench.figures import Figure
from cgcore.mail.diagnosis.diagnose import explain_reply

_DATA = Path(__file__).parents[1] / "tests" / "data"
_FILES = ("server_replies.toml", "replies_more.toml", "replies_by_class.toml")
_ROUNDS = 3


def run() -> list[Figure]:
    """Return the figures."""
    return [_explained()]


def _explained() -> Figure:
    """Each text once a round, so that nothing is remembered of the one before; the best round counts."""
    rows = [row for name in _FILES for row in tomllib.loads((_DATA / name).read_text("utf-8"))["reply"]]

    def once() -> float:
        began = time.process_time()
        for row in rows:
            explain_reply(row["text"], protocol=row["protocol"], stage=row["stage"], provider=row["provider"])
        return time.process_time() - began

    once()
    best = min(once() for _ in range(_ROUNDS))
    return Figure(
        "explain: texts a second", len(rows) / best, 5000, at_least=True, note=f"{len(rows)} replies, CPU of one core"
    )
