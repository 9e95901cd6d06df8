"""The table of mail providers, ``providers.toml`` beside this module, as typed values."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from cgcore.mail.account import Security

__all__ = ["MxFilter", "PasswordKind", "Provider", "Server", "load_table"]


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
