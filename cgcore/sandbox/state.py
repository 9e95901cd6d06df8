"""What outlives a restart: the ports, and which log-in belongs to which user. No secret is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cgcore.vault.records import make_private_folder, write_atomically
from cgcore.vault.secret import Secret

__all__ = [
    "AUTHORITY_SECRET",
    "CA_FILE",
    "HOST",
    "SENT_FOLDER",
    "SandboxAccount",
    "SandboxLimits",
    "SandboxPorts",
    "SandboxState",
    "StoredMessage",
    "choose_login",
    "load_state",
    "sandbox_secret",
    "save_state",
]

# An address, not a name: what "localhost" means is up to the machine.
HOST = "127.0.0.1"
SENT_FOLDER = "Enviados"
CA_FILE = "ca.pem"
AUTHORITY_SECRET = "sandbox-authority/1"  # noqa: S105  the name of one in the vault


@dataclass(frozen=True, slots=True)
class SandboxPorts:
    """The four ports: SMTP and IMAP, each with STARTTLS and with TLS from the first byte."""

    smtp_starttls: int
    smtp_ssl: int
    imap_starttls: int
    imap_ssl: int

    def __iter__(self) -> Iterator[int]:
        """Yield the ports in the order of the fields."""
        return iter((self.smtp_starttls, self.smtp_ssl, self.imap_starttls, self.imap_ssl))


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """The largest message (bytes), and what one account keeps: messages and bytes, the oldest dropped beyond."""

    message_bytes: int = 25 * 1024 * 1024
    account_messages: int = 200
    account_bytes: int = 100 * 1024 * 1024
    account_folders: int = 50


@dataclass(frozen=True, slots=True)
class SandboxAccount:
    """What a mail program needs for one account. ``ca_file`` holds the certificate (PEM) to verify the servers with."""

    user: str
    password: Secret
    host: str
    ports: SandboxPorts
    ca_file: Path
    sent_folder: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message as it lies in the account's inbox; ``id`` is its IMAP UID."""

    id: int
    received: datetime
    raw: bytes


def sandbox_secret(user_id: int) -> str:
    """Return the vault's name of the password of a user's account."""
    return f"sandbox/{user_id}"


_FILE = "sandbox.json"
_DOMAIN = "pruebas.example"  # reserved for examples by RFC 2606: never anybody's


@dataclass(frozen=True, slots=True)
class SandboxState:
    """The ports of the last run, None before the first, and the user id of each log-in name."""

    ports: SandboxPorts | None = None
    logins: dict[str, int] = field(default_factory=dict[str, int])


def load_state(folder: Path) -> SandboxState:
    """Return the state kept in ``folder``; a missing or damaged file is a fresh start."""
    try:
        stored: Any = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        ports = SandboxPorts(**stored["ports"]) if stored["ports"] else None
        return SandboxState(ports, {str(login): int(user_id) for login, user_id in stored["logins"].items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return SandboxState()


def save_state(folder: Path, state: SandboxState) -> None:
    """Write ``state`` to ``folder``, which is made private where missing. Raises :class:`OSError`."""
    make_private_folder(folder)
    write_atomically(folder / _FILE, json.dumps(asdict(state), ensure_ascii=False, indent=1).encode())


def choose_login(logins: dict[str, int], user_id: int, address: str) -> str:
    """Return the log-in name for a user: their address, with their id where somebody else has that address already."""
    local, at, domain = address.strip().rpartition("@")
    if not (at and local and domain):
        return f"usuario-{user_id}@{_DOMAIN}"
    login = f"{local}@{domain}"
    return login if logins.get(login, user_id) == user_id else f"{local}+{user_id}@{domain}"
