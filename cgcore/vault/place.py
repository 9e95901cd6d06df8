"""Where secrets live, as a value to show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["PlaceKind", "VaultPlace"]


class PlaceKind(StrEnum):
    """The three answers to "where do secrets live?"."""

    OS_KEYRING = "os_keyring"
    ENCRYPTED = "encrypted"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class VaultPlace:
    """Where secrets live.

    ``name`` is the keyring's own name; ``location`` the folder or table of the encrypted records. ``reason`` is the
    code of why the system's keyring is not used, or of why nothing can be kept at all.
    """

    kind: PlaceKind
    name: str = ""
    location: str = ""
    reason: str = ""

    @property
    def is_working(self) -> bool:
        """Whether a secret can be kept now."""
        return self.kind is not PlaceKind.BLOCKED
