"""How long what guards a log-in lasts; every limit stands here and nowhere else (source: OWASP ASVS 5.0, V7)."""

from __future__ import annotations

from datetime import timedelta

__all__ = [
    "FIRST_USE_CODE",
    "GRANT",
    "RESET_LINK",
    "SESSION_ABSOLUTE",
    "SESSION_IDLE",
    "SESSION_SEEN_EVERY",
]

SESSION_IDLE = timedelta(minutes=30)
"""A log-in ends when nothing was asked with it for this long."""

SESSION_ABSOLUTE = timedelta(hours=12)
"""A log-in ends this long after it began, used or not."""

SESSION_SEEN_EVERY = timedelta(seconds=30)
"""``last_seen`` is written at most this often, so that a rerun of a page costs no write."""

GRANT = timedelta(minutes=5)
"""How long the password asked again is good for its one action."""

FIRST_USE_CODE = timedelta(hours=24)
"""How long the code of the console creates the first administrator."""

RESET_LINK = timedelta(hours=24)
"""How long a link to a new password works."""
