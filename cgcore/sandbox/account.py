"""The values that the sandbox hands out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cgcore.vault.secret import Secret

__all__ = [
    "AUTHORITY_SECRET",
    "CA_FILE",
    "HOST",
    "SENT_FOLDER",
    "SandboxAccount",
    "SandboxLimits",
    "SandboxPorts",
    "StoredMessage",
    "sandbox_secret",
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
