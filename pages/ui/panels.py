"""The way to one panel of «Administración» from another page, and where it arrives."""

from __future__ import annotations

from collections.abc import Container, Mapping
from enum import StrEnum

import streamlit as st

__all__ = ["PANEL", "PROVIDER", "AdminPanel", "draw_way", "parameters", "take_way"]

PANEL = "administration_panel"
PROVIDER = "administration_oauth_provider"
_PARAMETERS = {"panel": PANEL, "provider": PROVIDER}


class AdminPanel(StrEnum):
    """The panels, in the order of the page."""

    COMPANY = "company"
    SERIES = "series"
    USERS = "users"
    SIGN_IN = "sign_in"
    COPY = "copy"


def parameters(panel: AdminPanel, provider: str = "") -> dict[str, str]:
    """Return the parameters of a link to ``panel``, at ``provider`` where it is that of the providers."""
    return {"panel": panel.value, **({"provider": provider} if provider else {})}


def draw_way(panel: AdminPanel, label: str, *, icon: str = ":material/arrow_forward:", provider: str = "") -> None:
    """Draw the link to ``panel``."""
    st.page_link("administration.py", label=label, icon=icon, query_params=parameters(panel, provider))


def take_way(known: Mapping[str, Container[str]]) -> None:
    """Open what the address asks for, once: what is chosen afterwards holds. ``known`` are the values of each key."""
    for name, key in _PARAMETERS.items():
        if (asked := st.query_params.get(name)) is not None:
            del st.query_params[name]
            if asked in known[key]:
                st.session_state[key] = asked
