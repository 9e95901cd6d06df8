"""The one place of the browser session where a fresh key or pairing code stands, as long as its dialog is open."""

from __future__ import annotations

import streamlit as st

from cgcore.api_keys.issued import IssuedKey
from cgcore.api_keys.pairing import Pairing

__all__ = ["forget", "held_key", "held_pairing", "hold"]

_HELD = "api_key_held"


def hold(value: IssuedKey | Pairing) -> None:
    """Keep ``value`` for the dialog that the next run opens."""
    st.session_state[_HELD] = value


def held_key() -> IssuedKey | None:
    """Return the key whose dialog is open."""
    value = st.session_state.get(_HELD)
    return value if isinstance(value, IssuedKey) else None


def held_pairing() -> Pairing | None:
    """Return the pairing whose dialog is open."""
    value = st.session_state.get(_HELD)
    return value if isinstance(value, Pairing) else None


def forget() -> None:
    """Drop what is held: the dialog closes, or the user has gone to another page."""
    st.session_state.pop(_HELD, None)
