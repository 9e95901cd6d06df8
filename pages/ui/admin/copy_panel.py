"""Copia: the whole configuration as one file, out and in."""

from __future__ import annotations

from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from pages.ui.portable import draw_portable

__all__ = ["CopyPanel"]


class CopyPanel:
    """The panel of one run; it has nothing to save."""

    can_save = False
    wants_save = False
    forms = ()

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor

    def changed(self) -> int:
        """Return 0: there is no draft."""
        return 0

    def save(self) -> bool:
        """Return False: there is nothing to store."""
        return False

    def reset(self) -> None:
        """Do nothing: there is no draft."""

    def draw(self) -> None:
        """Draw export and import."""
        draw_portable(self._workbench, self._actor, "administration")
