"""A key at the one moment when it is whole, and what must be granted for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cgcore.vault.secret import Secret

__all__ = ["ISSUE_ACTION", "PAIR_ACTION", "ROLL_ACTION", "IssuedKey"]

# What a grant must be for: each lets one new key come into being.
ISSUE_ACTION = "api_key_issue"
ROLL_ACTION = "api_key_roll"
PAIR_ACTION = "api_key_pair"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, shown once. ``old_expires``: until when the key it replaces is still heard, if it replaces one."""

    key: Secret
    id: str
    old_expires: datetime | None = None
