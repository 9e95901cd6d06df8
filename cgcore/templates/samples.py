"""Sample documents for the preview, one of them made of everything that breaks templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cgcore.templates.texts import section

__all__ = ["Sample", "list_samples"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A document to try a template with; ``values`` holds what differs from the variables' own samples."""

    key: str
    label: str
    values: Mapping[str, str]


def list_samples() -> tuple[Sample, ...]:
    """Return the samples, the ordinary one first."""
    return tuple(Sample(entry["key"], entry["label"], entry["values"]) for entry in section("samples"))
