"""How long what guards a log-in lasts, and how long a guesser waits (source: OWASP ASVS 5.0, V6 and V7)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from cgcore.clock import has_happened

__all__ = [
    "FIRST_USE_CODE",
    "FORGET_AFTER",
    "GRANT",
    "LONGEST_WAIT",
    "RESET_LINK",
    "SESSION_ABSOLUTE",
    "SESSION_IDLE",
    "SESSION_SEEN_EVERY",
    "ThrottleKey",
    "account_key",
    "delay_after",
    "is_login_open",
    "source_key",
]

LONGEST_WAIT = timedelta(minutes=5)
"""Nobody waits longer than this, whatever is stored."""

FORGET_AFTER = timedelta(hours=1)
"""Failures older than this no longer count."""


@dataclass(frozen=True, slots=True)
class ThrottleKey:
    """Whose failures are counted, and how many are free: one slip on an account, a few from a shared address."""

    name: str
    free: int


def account_key(username_key: str) -> ThrottleKey:
    """Return the key of an account, known or not. Hashed: a password typed into the wrong field is not stored."""
    return ThrottleKey("account:" + hashlib.sha256(username_key.encode("utf-8", "surrogatepass")).hexdigest(), free=1)


def source_key(ip: str) -> ThrottleKey | None:
    """Return the key of the source ``ip``: an IPv4 address, or the /64 of an IPv6 one, which is one connection.

    None where the source is not known.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    text = str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
    return ThrottleKey("source:" + text, free=4)


def delay_after(failures: int, free: int) -> timedelta:
    """Return the wait after the failure number ``failures``: none while free, then 1, 2, 4… s, 5 min at most."""
    beyond = failures - free
    if beyond <= 0:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(beyond - 1, 16)), LONGEST_WAIT)


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


def is_login_open(*, created: datetime, last_seen: datetime, expires: datetime, now: datetime) -> bool:
    """Return whether a log-in is within its lifetime, whichever way the clock has been set meanwhile."""
    return (
        has_happened(created, now) and has_happened(last_seen, now) and now < expires and now - last_seen < SESSION_IDLE
    )
