"""The REST API at ``/api/v1``."""

from __future__ import annotations

from cgcore.web.api.app import build_api

__all__ = ["build_api"]
