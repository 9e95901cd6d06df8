"""The mail providers we know, from ``providers.toml``, found by id, address domain, MX or server name."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from cgcore.mail.account import Security
from cgcore.mail.steps import Leg

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
    "load_table",
    "similar_host",
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
    """Return the provider that an MX host name belongs to, the longest suffix winning; ``None`` for an unknown one."""
    return _longest_match(host, list_providers())


def find_mx_filter(host: str) -> MxFilter | None:
    """Return the filter that an MX host name belongs to, ``None`` when it is none."""
    return _longest_match(host, load_table()[1])


def find_provider_by_host(host: str) -> Provider | None:
    """Return the first provider that offers this server name, alternatives included; ``None`` for an unknown one.

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


class PasswordKind(StrEnum):
    """What a provider takes as password."""

    PASSWORD = "password"  # noqa: S105  (the kind, not a secret)
    APP_PASSWORD = "app_password"  # noqa: S105
    OAUTH2 = "oauth2"
    API_KEY = "api_key"
    SMTP_CREDENTIALS = "smtp_credentials"
    AUTH_CODE = "auth_code"
    DEVICE_PASSWORD = "device_password"  # noqa: S105
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Server:
    """A server to propose. ``host`` may hold ``{domain}``, ``{domain_dashed}``, ``{server}`` or ``{region}``."""

    host: str
    port: int
    security: Security

    @property
    def is_complete(self) -> bool:
        """Whether the host is a name as it stands, without a placeholder."""
        return "{" not in self.host

    def for_domain(self, domain: str) -> Server:
        """Return the server with the user's domain filled in; other placeholders stay."""
        host = self.host.replace("{domain_dashed}", domain.replace(".", "-")).replace("{domain}", domain)
        return Server(host, self.port, self.security)


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. The fields are explained at the head of ``providers.toml``.

    ``smtp`` and ``imap`` are ``None`` when not offered or not known. ``saves_sent_copy`` is ``None`` when unknown.
    ``confidence`` is A to C or M; C and M are only candidates for a live probe.
    """

    id: str
    name: str
    domains: tuple[str, ...]
    mx_suffixes: tuple[str, ...]
    smtp: Server | None
    smtp_alternatives: tuple[Server, ...]
    imap: Server | None
    imap_alternatives: tuple[Server, ...]
    username_form: str
    imap_username_form: str
    fixed_username: str
    password_kind: PasswordKind
    oauth2: bool
    imap_off_by_default: bool
    saves_sent_copy: bool | None
    sent_folder: str
    notes: str
    incompatible: bool
    confidence: str
    source: str
    checked: str

    @property
    def servers(self) -> tuple[Server, ...]:
        """Every server of the provider, the proposed ones first."""
        proposed = tuple(server for server in (self.smtp, self.imap) if server)
        return proposed + self.smtp_alternatives + self.imap_alternatives


@dataclass(frozen=True, slots=True)
class MxFilter:
    """A filter in front of a mailbox: such an MX does not tell who keeps the mailbox."""

    name: str
    mx_suffixes: tuple[str, ...]


@cache
def load_table() -> tuple[tuple[Provider, ...], tuple[MxFilter, ...]]:
    """Return the providers and the filters of the table, in its order."""
    data = tomllib.loads(files("cgcore.mail").joinpath("providers.toml").read_text("utf-8"))
    filters = tuple(MxFilter(row["name"], tuple(row["mx_suffixes"])) for row in data["mx_filter"])
    return tuple(_provider(row) for row in data["provider"]), filters


def _provider(row: Mapping[str, Any]) -> Provider:
    given = dict(row)
    saves = given.pop("saves_sent_copy")
    return Provider(
        smtp=_server(given.pop("smtp")),
        imap=_server(given.pop("imap")),
        smtp_alternatives=_servers(given.pop("smtp_alternatives")),
        imap_alternatives=_servers(given.pop("imap_alternatives", ())),
        domains=tuple(given.pop("domains")),
        mx_suffixes=tuple(given.pop("mx_suffixes")),
        imap_username_form=given.pop("imap_username_form", ""),
        fixed_username=given.pop("fixed_username", ""),
        imap_off_by_default=given.pop("imap_off_by_default", False),
        saves_sent_copy=saves if isinstance(saves, bool) else None,
        notes=given.pop("notes_es"),
        password_kind=PasswordKind(given.pop("password_kind")),
        **given,
    )


def _servers(rows: Iterable[Mapping[str, Any]]) -> tuple[Server, ...]:
    return tuple(server for row in rows if (server := _server(row)))


def _server(row: Mapping[str, Any]) -> Server | None:
    return Server(row["host"], row["port"], Security(row["security"])) if row else None


_CUTOFF = 0.88  # one or two letters in a name of usual length


def similar_host(host: str, leg: Leg) -> str:
    """Return the host of a known provider that ``host`` nearly is, ``""`` when there is none or it is that host."""
    known = _known_hosts(leg)
    if host in known:
        return ""
    return next(iter(difflib.get_close_matches(host, known, n=1, cutoff=_CUTOFF)), "")


@cache
def _known_hosts(leg: Leg) -> tuple[str, ...]:

    servers = (provider.smtp if leg is Leg.SMTP else provider.imap for provider in list_providers())
    return tuple(dict.fromkeys(server.host for server in servers if server is not None and "{" not in server.host))
