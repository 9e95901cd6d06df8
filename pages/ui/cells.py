"""The notebook cell: its frame, its badge, its states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.runs import INTERRUPTED, Run
from pages.ui.texts import common as texts

__all__ = ["CellState", "cell", "draw_badge", "state_of"]

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


def draw_badge(state: CellState, place: DeltaGenerator | None = None) -> None:
    """Draw the badge of ``state``, here or in ``place``."""
    (place or st).badge(state.label, icon=state.icon, color=state.color)


@contextmanager
def cell(key: str, title: str, state: CellState | None = None) -> Iterator[DeltaGenerator]:
    """Open a cell: a frame with its title and, at the right, a slot for the badge, which is yielded."""
    with st.container(border=True, key=f"cell_{key}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", wrap=False):
            st.markdown(f"**{title}**")
            slot = st.empty()
        if state is not None:
            draw_badge(state, slot)
        yield slot
