"""Names a part that a machine lacks: skipped by hand, a failure in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["leave_out"]


def leave_out(part: str) -> NoReturn:
    """Skip the running test because ``part`` is not installed; with ``CI=true`` fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"left out, and CI leaves nothing out: {part} is not installed", pytrace=False)
    pytest.skip(f"left out: {part} is not installed")
