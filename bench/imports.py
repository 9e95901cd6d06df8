"""What importing the facade costs."""

from __future__ import annotations

import subprocess
import sys

from bench.figures import Figure, median_ratio


def run() -> list[Figure]:
    """Return the time of ``import cgcore.workbench`` against the import of SQLModel alone, each in a new process."""
    ratio, note = median_ratio(lambda: _import("cgcore.workbench"), lambda: _import("sqlmodel"), rounds=5)
    return [Figure("import cgcore.workbench / import sqlmodel", ratio, 1.5, note=note)]


def _import(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
