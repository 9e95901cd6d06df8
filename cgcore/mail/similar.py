"""The server that was most likely meant: a known provider's host that differs from the typed one by a slip."""

from __future__ import annotations

import difflib
from functools import cache

from cgcore.mail.steps import Leg

__all__ = ["similar_host"]

_CUTOFF = 0.88  # one or two letters in a name of usual length


def similar_host(host: str, leg: Leg) -> str:
    """Return the host of a known provider that ``host`` nearly is, ``""`` when there is none or it is that host."""
    known = _known_hosts(leg)
    if host in known:
        return ""
    return next(iter(difflib.get_close_matches(host, known, n=1, cutoff=_CUTOFF)), "")


@cache
def _known_hosts(leg: Leg) -> tuple[str, ...]:
    from cgcore.mail.providers import list_providers

    servers = (provider.smtp if leg is Leg.SMTP else provider.imap for provider in list_providers())
    return tuple(dict.fromkeys(server.host for server in servers if server is not None and "{" not in server.host))
