"""The notebook cell: its frame, its badge, its states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Literal

import streamlit as st

from cgcore.runs import INTERRUPTED, Run
from pages.ui.texts import common as texts

__all__ = ["CellHead", "CellState", "cell", "draw_badge", "state_of"]

_APART = "\N{EN SPACE}"
_Color = Literal["gray", "blue", "green", "red", "orange", "violet"]


class CellState(Enum):
    """The states of a cell: word, colour and icon always go together."""

    IDLE = ("gray", "radio_button_unchecked")
    RUNNING = ("blue", "progress_activity")
    PASSED = ("green", "check_circle")
    FAILED = ("red", "error")
    INTERRUPTED = ("orange", "stop_circle")
    STALE = ("orange", "sync_problem")
    UNSAVED = ("violet", "edit")
    BLOCKED = ("gray", "block")

    def __init__(self, color: _Color, icon: str) -> None:
        self.color: _Color = color
        self.icon = f":material/{icon}:"

    @property
    def label(self) -> str:
        """Its word."""
        return texts["STATES"][self.name.lower()]


def state_of(run: Run | None, fingerprint: str | None = None) -> CellState:
    """Return the state that ``run`` gives a cell whose inputs now have ``fingerprint`` (``None``: not compared)."""
    if run is None:
        return CellState.IDLE
    if run.is_running:
        return CellState.RUNNING
    if fingerprint is not None and run.fingerprint != fingerprint:
        return CellState.STALE
    if run.verdict is not None and run.verdict.key == INTERRUPTED:
        return CellState.INTERRUPTED
    return CellState.FAILED if run.failed else CellState.PASSED


def draw_badge(state: CellState) -> None:
    """Draw the badge of ``state``."""
    st.badge(state.label, icon=state.icon, color=state.color)


class CellHead:
    """The title of a cell and the badge of its state, in one element: each one costs as much as all it holds."""

    def __init__(self, title: str, state: CellState | None) -> None:
        self._title, self._state = title, state
        self._place = st.markdown(self._words())

    def show(self, state: CellState) -> None:
        """Let the badge be that of ``state``."""
        if state is not self._state:
            self._state = state
            self._place.markdown(self._words())

    def _words(self) -> str:
        if self._state is None:
            return f"**{self._title}**"
        return f"**{self._title}**{_APART}:{self._state.color}-badge[{self._state.icon} {self._state.label}]"


@contextmanager
def cell(key: str, title: str, state: CellState | None = None) -> Iterator[CellHead]:
    """Open a cell: a frame with its title, and its state where it has one; the head is yielded."""
    with st.container(border=True, key=f"cell_{key}"):
        yield CellHead(title, state)
