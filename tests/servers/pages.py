"""Pages driven without a browser: AppTest from the router, signed in as somebody, over a workbench of the test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor, Role
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from pages.ui import identity as page_identity

__all__ = ["PASSWORD", "open_page", "panel", "record_downloads", "save", "sign_in", "words"]

ROOT = Path(__file__).parents[2]
assert page_identity  # imported first, so that it takes the real function and not that of a test
PASSWORD = Secret("una frase bastante larga")


def sign_in(workbench: Workbench, name: str, role: Role = Role.USER) -> Actor:
    """Add a user and log them in."""
    root = Actor(0, "", role=Role.ADMIN)
    workbench.identity.accounts.add_user(root, NewUser(name, PASSWORD, full_name=name.title(), role=role))
    return workbench.identity.sessions.log_in(name, PASSWORD).actor


def open_page(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, actor: Actor | None, script: str) -> AppTest:
    """Return the page ``script`` as ``actor`` sees it; None is somebody whom the gate does not vouch for."""
    for name, module in list(sys.modules.items()):
        # Each module that has taken the function by name has a reference of its own.
        if name.startswith(("pages.", "cgcore.workbench")) and hasattr(module, "get_workbench"):
            monkeypatch.setattr(module, "get_workbench", lambda: workbench)
    app = AppTest.from_file(str(ROOT / "pages/workbench.py"), default_timeout=30)
    if actor is not None:
        app.user = {"login": workbench.identity.sessions.sign_identity(actor.session_hash)}
    app.run()
    if actor is not None:
        app.switch_page(script).run()
    return app


def words(page: AppTest) -> str:
    """Every text in sight."""
    elements = (*page.markdown, *page.caption, *page.error, *page.warning, *page.info)
    return "\n".join(str(element.value) for element in elements)


def panel(page: AppTest, name: str) -> AppTest:
    """Go to a panel of Administración."""
    return page.segmented_control("administration_panel").set_value(name).run()


def save(page: AppTest) -> AppTest:
    """Press Guardar."""
    return page.button("administration_save").click().run()


def record_downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """Return what makes the file of each button to download, by its name, as it was drawn last."""
    offered: dict[str, Callable[[], bytes]] = {}
    draw = st.download_button

    def note(label: str, data: Any, **named: Any) -> bool:
        offered[named["file_name"]] = data
        return draw(label, data, **named)

    monkeypatch.setattr(st, "download_button", note)
    return offered
