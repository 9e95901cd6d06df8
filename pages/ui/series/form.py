"""The draft of default series: one choice a type, ``""`` where nothing of one's own is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgcore.documents import DOCUMENT_TYPES, DocumentType
from cgcore.series.kinds import type_label
from cgcore.series.overview import Defaults
from pages.ui.editing import Form
from pages.ui.series.target import Target

__all__ = ["DefaultsForm"]

_LABELS = {entry.code.value: type_label(entry.code) for entry in DOCUMENT_TYPES}


class DefaultsForm(Form):
    """The draft of one target."""

    def __init__(self, page: str, target: Target, stored: Defaults) -> None:
        super().__init__(page, target.form_prefix, _values(stored.as_choices()), stored.version, _LABELS)

    def changed_choices(self) -> dict[DocumentType, str | None]:
        """Return the choices that differ from what is stored; None takes the own choice away."""
        return {DocumentType(name): self.value(name) or None for name in self.changed()}

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return the types whose choice differs from ``stored``."""
        return super().differences(_values(stored))


def _values(choices: Mapping[str, Any]) -> dict[str, str]:
    return {entry.code.value: choices.get(entry.code.value) or "" for entry in DOCUMENT_TYPES}
