"""The mail providers we know, found by id, by address domain, by MX or by server name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from cgcore.mail.provider_table import MxFilter, PasswordKind, Provider, Server, load_table

__all__ = [
    "MxFilter",
    "PasswordKind",
    "Provider",
    "Server",
    "find_mx_filter",
    "find_provider",
    "find_provider_by_domain",
    "find_provider_by_host",
    "find_provider_by_mx",
    "get_provider",
    "list_providers",
]

# Their customers' own domains end in these (NAME.onmicrosoft.com); every other address domain matches whole.
_TENANT_DOMAINS = ("onmicrosoft.com", "awsapps.com")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def list_providers() -> tuple[Provider, ...]:
    """Return every provider, in the order of the table."""
    return load_table()[0]


def find_provider(provider_id: str) -> Provider | None:
    """Return the provider with this id, ``None`` when there is none."""
    return _by_id().get(provider_id)


def get_provider(provider_id: str) -> Provider:
    """Return the provider with this id; an unknown id is a ``KeyError``."""
    return _by_id()[provider_id]


def find_provider_by_domain(domain: str) -> Provider | None:
    """Return the provider whose own address domain this is (the part behind the @), ``None`` when there is none."""
    name = _name(domain)
    for provider in list_providers():
        if name in provider.domains:
            return provider
        if any(name.endswith(f".{suffix}") for suffix in _TENANT_DOMAINS if suffix in provider.domains):
            return provider
    return None


def find_provider_by_mx(host: str) -> Provider | None:
    """Return the provider that an MX host name belongs to, the longest suffix winning; ``None`` for a stranger."""
    return _longest_match(host, list_providers())


def find_mx_filter(host: str) -> MxFilter | None:
    """Return the filter that an MX host name belongs to, ``None`` when it is none."""
    return _longest_match(host, load_table()[1])


def find_provider_by_host(host: str) -> Provider | None:
    """Return the first provider that offers this server name, alternatives included; ``None`` for a stranger.

    A placeholder in front of the provider's own domain matches anything; a name that ends in the customer's domain
    (``mail.{domain}``) tells nothing and is not looked at.
    """
    name = _name(host)
    if not name:
        return None
    for pattern, provider in _hosts():
        if pattern.fullmatch(name):
            return provider
    return None


def _longest_match(host: str, owners: Iterable[Any]) -> Any:
    name = _name(host)
    found = [(suffix, owner) for owner in owners for suffix in owner.mx_suffixes if _suffix(suffix).search(name)]
    return max(found, key=lambda pair: len(pair[0]))[1] if found else None


@cache
def _suffix(suffix: str) -> re.Pattern[str]:
    return re.compile(r"(?:^|\.)" + r"[^.]*".join(map(re.escape, suffix.split("*"))) + r"$")


@cache
def _hosts() -> tuple[tuple[re.Pattern[str], Provider], ...]:
    return tuple(
        (re.compile(r"[\w-]+".join(map(re.escape, _PLACEHOLDER.split(server.host)[::2]))), provider)
        for provider in list_providers()
        for server in provider.servers
        if not server.host.endswith("}")
    )


@cache
def _by_id() -> Mapping[str, Provider]:
    return {provider.id: provider for provider in list_providers()}


def _name(host: str) -> str:
    return host.strip().rstrip(".").lower()
