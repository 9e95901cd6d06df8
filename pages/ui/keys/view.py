"""What every part of «API Key» draws from: who is there, the workbench, and where the API answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cgcore.api_keys.record import KeyRecord
from cgcore.identity.actor import Actor
from cgcore.texts import write
from cgcore.workbench import Workbench
from pages.ui.moments import viewer_zone
from pages.ui.server import find_own_address, find_shown_address

__all__ = ["KeysPage", "moment_ahead"]


@dataclass(frozen=True)
class KeysPage:
    """One run of the page."""

    workbench: Workbench
    actor: Actor

    @cached_property
    def keys(self) -> list[KeyRecord]:
        """The user's keys, the newest first."""
        return self.workbench.keys.list_keys(self.actor)

    @property
    def address(self) -> str:
        """Where other applications reach the API."""
        return (self.workbench.settings.public_url or find_shown_address()).rstrip("/") + "/api/v1"

    @property
    def own_address(self) -> str:
        """Where this process reaches itself."""
        return find_own_address()


def moment_ahead(moment: datetime | None) -> str:
    """Return a moment to come in the viewer's zone: «24/11/2026 18:02»."""
    return write(moment.astimezone(viewer_zone())) if moment is not None else ""
