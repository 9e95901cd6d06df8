"""The facade: one :class:`Workbench` per process, and the use cases of pages, API and command line."""

from __future__ import annotations

from cgcore.workbench.core import Workbench, get_workbench, open_workbench

__all__ = ["Workbench", "get_workbench", "open_workbench"]
