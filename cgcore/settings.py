"""The ``CG_*`` environment as one frozen value."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from platformdirs import user_config_path, user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cgcore.errors import InvalidSettings

__all__ = ["Network", "Settings", "describe_problems", "find_unsafe", "load_settings"]

Network = IPv4Network | IPv6Network

_APP = "cloud-gestion"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Of a network that is nobody's in the internet any size is one's own to trust; of others, what a big proxy service has.
_OWN_NETWORKS = (
    *map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")),
    *map(ip_network, ("127.0.0.0/8", "fc00::/7", "fe80::/10")),
)
_WIDEST = {4: 12, 6: 28}
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# What comes out of pydantic in words of ours; the rest is «other».
_CODES = {"bool_parsing": "switch", "bool_type": "switch", "literal_error": "choice", "path_type": "path"}
_OWN_CODES = frozenset({"networks", "address", "address_part", "address_port", "resolver", "path", "place"})
_NetworkList = Annotated[tuple[Network, ...], NoDecode]


class Settings(BaseSettings):
    """Every setting of the product; each is the variable of the same name with ``CG_`` in front (see README)."""

    model_config = SettingsConfigDict(env_prefix="CG_", frozen=True, extra="ignore", env_ignore_empty=True)

    data_dir: Path = Field(default_factory=lambda: user_data_path(_APP))
    config_dir: Path = Field(default_factory=lambda: user_config_path(_APP))
    database_url: str = ""
    admin_user: str = ""
    admin_password: SecretStr = SecretStr("")
    master_key: SecretStr = SecretStr("")
    master_key_file: Path | None = None
    sandbox: Literal["on", "off", ""] = ""
    outbox: Literal["on", "off"] = "on"
    outbox_keep_days: int = Field(default=90, ge=0, le=36_500)
    send_per_hour: int = Field(default=0, ge=0, le=100_000)
    mail_allow_private: _NetworkList = ()
    public_url: str = ""
    trusted_proxies: _NetworkList = ()
    production: bool = False
    demo: bool = False
    dns_server: str = ""
    ispdb: bool = False
    log: Literal["text", "json"] = "text"
    metrics: str = ""
    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    ssl_cert_file: str = Field(default="", validation_alias="SSL_CERT_FILE")

    @field_validator("mail_allow_private", "trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
        except ValueError:
            raise PydanticCustomError("networks", "networks") from None

    @field_validator("public_url", mode="after")
    @classmethod
    def _normalise_address(cls, value: str) -> str:
        return _read_address(value.strip()) if value.strip() else ""

    @field_validator("metrics", mode="after")
    @classmethod
    def _check_place(cls, value: str) -> str:
        if value and not re.fullmatch(r"(\[[0-9a-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", value):
            raise PydanticCustomError("place", "place")
        return value

    @field_validator("dns_server", mode="after")
    @classmethod
    def _check_resolver(cls, value: str) -> str:
        if value and _read_host_and_port(value) is None:
            raise PydanticCustomError("resolver", "resolver")
        return value

    @field_validator("data_dir", "config_dir", "master_key_file", mode="after")
    @classmethod
    def _complete_path(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            path = value.expanduser().absolute()
        except (RuntimeError, OSError):
            raise PydanticCustomError("path", "path") from None
        if "\0" in str(path) or len(str(path)) > 4000 or any(len(part) > 255 for part in path.parts):
            raise PydanticCustomError("path", "path")
        return path

    @property
    def sandbox_on(self) -> bool:
        """Whether the embedded test mailbox may be started: on by default, off by default in production."""
        return self.demo or self.sandbox == "on" or (self.sandbox == "" and not self.production)

    @property
    def secure(self) -> bool:
        """Whether browsers reach the product by TLS."""
        return self.public_url.startswith("https://")

    @property
    def metrics_place(self) -> tuple[str, int] | None:
        """Where metrics are told besides the loopback address, None for nowhere."""
        host, _, port = self.metrics.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

    @property
    def has_given_key(self) -> bool:
        """Whether the master key is one that somebody has chosen, and not a file of our own."""
        return bool(self.master_key.get_secret_value() or self.master_key_file)

    @property
    def has_replicas(self) -> bool:
        """Whether other processes may serve the same database: never beside one that is a file of SQLite."""
        return not self.resolved_database_url().startswith("sqlite")

    def resolved_database_url(self) -> str:
        """Return the SQLAlchemy URL: the given one (PostgreSQL by psycopg 3), else SQLite in ``data_dir``."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'cloud-gestion.db'}"
        for prefix in ("postgresql://", "postgres://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url.removeprefix(prefix)
        return self.database_url


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process; ``overrides`` win over the environment (tests, command line).

    What cannot be understood is an :class:`InvalidSettings`. It names the variables and never their values, which may
    hold secrets.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        found = {str(part["loc"][0]): _code_of(part["type"]) for part in error.errors(include_input=False)}
    raise InvalidSettings({_variable(name): code for name, code in sorted(found.items())})


def describe_problems(error: InvalidSettings) -> list[str]:
    """Return a sentence for each variable that cannot be understood."""
    from cgcore.texts import sentence

    return [sentence("cgcore", f"settings.{code}", name=name) for name, code in error.problems.items()]


def find_unsafe(settings: Settings) -> list[str]:
    """Return the codes of settings that can be understood and are not safe; in production more is asked for."""
    found = {
        "wide_proxies": bool(_find_wide(settings.trusted_proxies)),
        "wide_private": bool(_find_wide(settings.mail_allow_private)),
        "no_public_url": settings.production and not settings.public_url,
        "plain_public_url": settings.production and _is_plain(settings.public_url),
    }
    return [code for code, is_so in found.items() if is_so]


def _find_wide(networks: tuple[Network, ...]) -> list[Network]:
    """Return those that hold more of the internet than any proxy or house has to itself."""
    return [each for each in networks if each.prefixlen < _WIDEST[each.version] and not _is_own(each)]


def _is_plain(public_url: str) -> bool:
    # On this machine itself plain HTTP goes over no line.
    return public_url.startswith("http://") and urlsplit(public_url).hostname not in _LOOPBACK


def _is_own(network: Network) -> bool:
    return any(own.version == network.version and own.supernet_of(network) for own in _OWN_NETWORKS)  # pyright: ignore[reportArgumentType]


def _code_of(kind: str) -> str:
    return kind if kind in _OWN_CODES else _CODES.get(kind, "other")


def _variable(name: str) -> str:
    return name.upper() if name.upper() == "SSL_CERT_FILE" else f"CG_{name.upper().removeprefix('CG_')}"


def _read_address(text: str) -> str:
    """Return scheme, host and port of an address as a browser writes them in ``Origin`` (RFC 6454, section 6.2)."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise PydanticCustomError("address_port", "address_port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise PydanticCustomError("address", "address")
    if _has_more(text, parts):
        raise PydanticCustomError("address_part", "address_part")
    if port == 0 or parts.netloc.endswith(":"):
        raise PydanticCustomError("address_port", "address_port")
    host = _read_host(parts.hostname)
    if host is None:
        raise PydanticCustomError("address", "address")
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}" + (f":{port}" if port and port != usual else "")


def _has_more(text: str, parts: SplitResult) -> bool:
    return "@" in parts.netloc or parts.path not in ("", "/") or "?" in text or "#" in text


def _read_host(host: str) -> str | None:
    """Return a host as it travels: an address, or a name in ASCII (UTS 46); None for what is neither."""
    try:
        address = ip_address(host)
        scoped = isinstance(address, IPv6Address) and address.scope_id
        return None if scoped or address.is_unspecified else str(address)
    except ValueError:
        pass
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    labels = host.lower().rstrip(".").split(".")
    # A name whose last label is a number is an address that is none (WHATWG URL, 3.5).
    fits = len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    return ".".join(labels) if fits else None


def _read_host_and_port(text: str) -> tuple[str, int] | None:
    """Return ``host:port`` or ``[v6]:port``; port 53 where there is none."""
    has_port = "]:" in text or text.count(":") == 1
    name, _, port = text.rpartition(":") if has_port else (text, "", "53")
    host = _read_host(name.strip("[]"))
    number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0
    return (host, number) if host and 0 < number < 65536 else None
