"""A draft in the session: seeded once from what is stored, read on every run, compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.errors import InvalidInput
from pages.ui.problems import draw_problems

__all__ = ["FieldForm"]


class FieldForm:
    """Reads and writes the widgets of one object, each at ``<prefix>_<field>``.

    ``stored`` maps each field to its value; ``labels`` names the fields on screen, for the choice after a stale save.
    """

    def __init__(self, prefix: str, stored: Mapping[str, Any], version: int, labels: Mapping[str, str]) -> None:
        self._prefix, self._stored, self._version, self._labels = prefix, stored, version, labels
        if self._version_key not in st.session_state:
            self.reset()
        for name, value in stored.items():
            st.session_state.setdefault(self.key(name), value)

    def key(self, name: str) -> str:
        """Return the widget key of a field."""
        return f"{self._prefix}_{name}"

    @property
    def name(self) -> str:
        """What tells this draft from others of its page."""
        return self._prefix

    @property
    def version(self) -> int:
        """The version that the draft was read at."""
        return st.session_state[self._version_key]

    def value(self, name: str) -> Any:
        """Return what a field holds now."""
        return st.session_state[self.key(name)]

    def values(self) -> dict[str, Any]:
        """Return what every field holds now."""
        return {name: self.value(name) for name in self._stored}

    def changed(self) -> list[str]:
        """Return the fields that differ from what is stored."""
        return [name for name, value in self._stored.items() if self.value(name) != value]

    def reset(self) -> None:
        """Take what is stored; only before the widgets are drawn."""
        for name, value in self._stored.items():
            st.session_state[self.key(name)] = value
        st.session_state[self._version_key] = self._version
        st.session_state.pop(self._refused_key, None)

    def accept_version(self, version: int) -> None:
        """Keep the draft, based on ``version`` from now on."""
        st.session_state[self._version_key] = version

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return label, own value and stored value of each field that differs from ``stored``."""
        return [
            (self._labels[name], _shown(self.value(name)), _shown(stored.get(name)))
            for name in self._stored
            if name in self._labels and self.value(name) != stored.get(name)
        ]

    @property
    def is_refused(self) -> bool:
        """Whether a save was refused, and nothing was changed since."""
        refused = st.session_state.get(self._refused_key)
        return refused is not None and refused[1] == self.values()

    def refuse(self, refused: InvalidInput) -> None:
        """Remember why a save was refused, together with the values that were refused."""
        st.session_state[self._refused_key] = (refused.problems, self.values())

    def problems_under(self, field: str, *, widget: str = "") -> None:
        """Draw what was refused about ``field``, until the value of its ``widget`` (by default itself) is changed."""
        problems, values = st.session_state.get(self._refused_key, ((), {}))
        name = widget or field
        stands = values.get(name) == st.session_state.get(self.key(name))
        draw_problems(problems if stands else (), field)

    @property
    def _version_key(self) -> str:
        return f"{self._prefix}_seeded_version"

    @property
    def _refused_key(self) -> str:
        return f"{self._prefix}_refused"


def _shown(value: Any) -> str:
    return "–" if value in (None, "") else str(value)
