"""Where secrets live: the operating system's keyring, or our own encrypted one."""

from __future__ import annotations

from cgcore.vault.guard import VaultLimits
from cgcore.vault.secret import Secret
from cgcore.vault.selection import PlaceKind, VaultPlace
from cgcore.vault.stores import Bond, Kept
from cgcore.vault.vault import Vault

__all__ = ["Bond", "Kept", "PlaceKind", "Secret", "Vault", "VaultLimits", "VaultPlace"]
