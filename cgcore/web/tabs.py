"""Whose each open tab is: what the web asks Streamlit about its sessions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["TABS_PER_USER", "Requester", "Tabs", "find_requester", "with_requester"]

TABS_PER_USER = 30
"""How many tabs of one person may be open: each holds a connection, and what its page has drawn."""

_KEY = "cg.requester"


@dataclass(frozen=True, slots=True)
class Requester:
    """Who the gate let a request through for: the log-in, and the user whose it is."""

    session_hash: str
    user_id: int
    is_admin: bool = False


class Tabs(Protocol):
    """Streamlit's sessions. One is made for each tab, and named by an id that its browser and its files carry."""

    def find_owner(self, tab: str) -> str | None:
        """Return the session hash of the log-in that opened ``tab``; None for one that is unknown or gone."""
        ...

    def may_have(self, session_hash: str, file: str) -> bool:
        """Return whether a page of this log-in has drawn the picture or made the download that ``/media/`` names so."""
        ...

    def draws_uploader(self, tab: str) -> bool:
        """Return whether the page in ``tab`` shows an uploader now."""
        ...

    def list_uploads(self) -> Mapping[tuple[str, str], int]:
        """Return the size of each uploaded file that is kept, by tab and file. Those of ended tabs are let go."""
        ...

    def list_shown_uploads(self, tab: str) -> Collection[str]:
        """Return the files that the uploaders of ``tab`` hold."""
        ...

    def begin_upload(self, tab: str, file: str) -> None:
        """Note that the browser sends a file."""
        ...

    def end_upload(self, tab: str, file: str) -> None:
        """Note that the file has come, or that it does not come: it was refused, cancelled or cut."""
        ...

    def drop_upload(self, tab: str, file: str) -> None:
        """Let go of one uploaded file."""
        ...


def with_requester(scope: Any, requester: Requester) -> Any:
    """Return the scope with the one it is for, as the gate hands it on."""
    return {**scope, _KEY: requester}


def find_requester(scope: Any) -> Requester | None:
    """Return the one whom the gate let through, or None on a public path. No client can set it: it is no header."""
    return scope.get(_KEY)
