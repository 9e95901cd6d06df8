"""What outlives a restart: the ports, and which log-in belongs to which user. No secret is in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cgcore.sandbox.account import SandboxPorts
from cgcore.vault.files import make_private_folder, write_atomically

__all__ = ["SandboxState", "choose_login", "load_state", "save_state"]

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
