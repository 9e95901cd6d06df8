"""The ``CG_*`` environment as one frozen value."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["Network", "Settings", "load_settings"]

Network = IPv4Network | IPv6Network

_APP = "cloud-gestion"
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
    mail_allow_private: _NetworkList = ()
    public_url: str = ""
    trusted_proxies: _NetworkList = ()
    production: bool = False
    dns_server: str = ""
    ssl_cert_file: str = Field(default="", validation_alias="SSL_CERT_FILE")

    @field_validator("mail_allow_private", "trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())

    @property
    def sandbox_on(self) -> bool:
        """Whether the embedded test mailbox may be started: on by default, off by default in production."""
        return self.sandbox == "on" or (self.sandbox == "" and not self.production)

    @property
    def secure(self) -> bool:
        """Whether browsers reach the product by TLS."""
        return self.public_url.startswith("https://")

    def resolved_database_url(self) -> str:
        """Return the SQLAlchemy URL: the given one (PostgreSQL by psycopg 3), else SQLite in ``data_dir``."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'cloud-gestion.db'}"
        for prefix in ("postgresql://", "postgres://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url.removeprefix(prefix)
        return self.database_url


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process; ``overrides`` win over the environment (tests, command line)."""
    return Settings(**overrides)
