"""What a provider lets one account send, from ``pace.toml``.

Apart from :mod:`cgcore.mail.providers`, which finds the provider: who only tests an account needs nothing of this.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cgcore.mail.addresses import domain_of
from cgcore.mail.providers import find_provider_by_domain, find_provider_by_host

__all__ = ["ProviderPace", "find_pace", "load_paces"]

_SURE = frozenset({"A", "B"})
# Two products behind one server name: whose own address it is not is a customer of the other.
_FOR_OWN_DOMAINS = {"gmail": "google_workspace"}


@dataclass(frozen=True, slots=True)
class ProviderPace:
    """What may leave in a minute, an hour, 24 hours (0: not known), and to how many recipients one message."""

    id: str
    per_minute: int = 0
    per_hour: int = 0
    per_day: int = 0
    counts: str = "messages"
    recipients: int = 0
    connections: int = 1
    confidence: str = "M"

    @property
    def by_recipient(self) -> bool:
        """Whether each recipient of a message counts."""
        return self.counts == "recipients"


def find_pace(host: str, address: str) -> ProviderPace | None:
    """Return the pace of the server that is used, for an account of this address; ``None`` where nobody knows it."""
    provider = find_provider_by_host(host)
    if provider is None:
        return None
    name = provider.id
    if name in _FOR_OWN_DOMAINS and find_provider_by_domain(domain_of(address)) is not provider:
        name = _FOR_OWN_DOMAINS[name]
    found = load_paces().get(name)
    return found if found is not None and found.confidence in _SURE else None


@cache
def load_paces() -> Mapping[str, ProviderPace]:
    """Return every row of the table, by the provider's id, those that nobody is sure of among them."""
    text = files("cgcore.mail").joinpath("pace.toml").read_text("utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)["pace"]
    return {row["id"]: ProviderPace(**row) for row in rows}
