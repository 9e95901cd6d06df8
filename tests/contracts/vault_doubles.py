"""Keyrings that misbehave, each in one way."""

from __future__ import annotations

import threading

from keyring.errors import KeyringError, PasswordDeleteError

from cgcore.vault.memory import MemoryKeyring

__all__ = [
    "Forgetful",
    "Indiscreet",
    "Lying",
    "OutOfReach",
    "Raising",
    "Shrinking",
    "Silent",
    "Truncating",
    "TurnsRaising",
]


class Forgetful(MemoryKeyring):
    """Says yes and keeps nothing, as keyring's null backend does."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Do nothing."""


class Truncating(MemoryKeyring):
    """Keeps the first 1000 characters."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep the beginning."""
        super().set_password(service, username, password[:1000])


class Shrinking(MemoryKeyring):
    """Proves itself, and once ``broken`` is set gives back the first 20 characters."""

    broken = False

    def get_password(self, service: str, username: str) -> str | None:
        """Return the beginning once broken."""
        value = super().get_password(service, username)
        return value[:20] if value is not None and self.broken else value


class Raising(MemoryKeyring):
    """Raises at every write; the text of the error quotes the value, as real ones have done."""

    def set_password(self, service: str, username: str, password: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise KeyringError(f"cannot write {password}")


class TurnsRaising(MemoryKeyring):
    """Proves itself, and raises afterwards as soon as ``broken`` is set."""

    broken = False

    def set_password(self, service: str, username: str, password: str) -> None:
        """Refuse once broken."""
        if self.broken:
            raise OSError(1783, f"CredWrite {password}")
        super().set_password(service, username, password)


class Indiscreet(MemoryKeyring):
    """Proves itself, and once ``broken`` is set every read raises an error that quotes the value."""

    broken = False

    def get_password(self, service: str, username: str) -> str | None:
        """Refuse once broken."""
        value = super().get_password(service, username)
        if self.broken:
            raise RuntimeError(f"cannot decode {value}")
        return value


class Lying(MemoryKeyring):
    """Proves itself, and once ``lies`` is set answers every read with another value."""

    lies = False

    def get_password(self, service: str, username: str) -> str | None:
        """Return another value."""
        value = super().get_password(service, username)
        return value if value is None or not self.lies else value[:-1] + "?"


class Silent(MemoryKeyring):
    """Once ``silent`` is set no call returns before ``release`` is."""

    def __init__(self, entries: dict[tuple[str, str], str]) -> None:
        super().__init__(entries)
        self.silent = False
        self.release = threading.Event()
        self.calls = 0

    def get_password(self, service: str, username: str) -> str | None:
        """Wait, then answer."""
        self.calls += 1
        if self.silent:
            self.release.wait(30)
        return super().get_password(service, username)


class OutOfReach(MemoryKeyring):
    """Raises what a locked or headless keyring raises."""

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
        """Refuse."""
        raise EOFError

    def delete_password(self, service: str, username: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise PasswordDeleteError("locked")
