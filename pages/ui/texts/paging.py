"""Texts of long lists."""

from __future__ import annotations

PREVIOUS = "Anteriores"
NEXT = "Siguientes"
PAGE = "Página {number}"
