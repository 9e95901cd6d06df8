"""Files on their way: chosen in a tab, and not yet in any run of its page.

A browser tells a page of its files when all of them have arrived. What is sent before that leaves without them, and
nothing says so; a page that sends files asks here first. Only the browser knows how far it is: behind a proxy that
takes a file whole, or where others go first, it is not here at all until it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFileRec, UploadFileUrlInfo

__all__ = ["OwnUploads", "begin_page", "count_coming", "forget_coming"]

_PAGE = "uploads_page"
# Between two signs of a file that comes: asked for, sent, here, handed to the page. Later, its browser gave it up.
_BETWEEN_S = 600.0


def count_coming() -> int:
    """Return how many files of this tab are on their way, as this run sees it: what it was given is here."""
    manager, session_id = _find_manager()
    return manager.count_coming(session_id) if manager else 0


def forget_coming() -> None:
    """Wait for no file any more that is on its way to this tab."""
    manager, session_id = _find_manager()
    if manager:
        manager.forget_coming(session_id)


def begin_page(name: str) -> None:
    """Wait for no file whose uploader has gone: that of another page of this tab."""
    if st.session_state.get(_PAGE) != name:
        st.session_state[_PAGE] = name
        forget_coming()


def _find_manager() -> tuple[OwnUploads | None, str]:
    context = get_script_run_ctx()
    manager = context.uploaded_file_mgr if context else None
    return (manager, context.session_id) if context and isinstance(manager, OwnUploads) else (None, "")


@dataclass(slots=True)
class _Coming:
    since: float
    senders: int = 0


class OwnUploads(MemoryUploadedFileManager):
    """Streamlit's uploads, which also know what was asked for and has not come to the page."""

    def __init__(self, upload_endpoint: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(upload_endpoint)
        self._clock = clock
        self._coming: dict[tuple[str, str], _Coming] = {}
        self._coming_lock = threading.Lock()

    def count_coming(self, session_id: str) -> int:
        """Return how many files of a tab are on their way."""
        with self._coming_lock:
            self._forget_old()
            return sum(session == session_id for session, _ in self._coming)

    def begin_upload(self, session_id: str, file_id: str) -> None:
        """Note that the browser sends a file that it has asked for, for as long as it takes."""
        with self._coming_lock:
            if (coming := self._coming.get((session_id, file_id))) is not None:
                coming.senders += 1

    def end_upload(self, session_id: str, file_id: str) -> None:
        """Note that a file has come, or that it does not come: refused, cancelled, cut."""
        with self._coming_lock:
            coming = self._coming.get((session_id, file_id))
            if coming is None:
                return
            coming.since, coming.senders = self._clock(), coming.senders - 1
            if not coming.senders and file_id not in self.file_storage.get(session_id, ()):
                del self._coming[session_id, file_id]

    def get_upload_urls(self, session_id: str, file_names: Sequence[str]) -> list[UploadFileUrlInfo]:
        """Return where the browser sends its files to: from here on they are on their way."""
        places = super().get_upload_urls(session_id, file_names)
        self.expect(session_id, [place.file_id for place in places])
        return places

    def expect(self, session_id: str, file_ids: Sequence[str]) -> None:
        """Note that files are on their way to a tab."""
        with self._coming_lock:
            self._forget_old()
            self._coming |= {(session_id, file_id): _Coming(self._clock()) for file_id in file_ids}

    def forget_coming(self, session_id: str) -> None:
        """Wait for no file of a tab any more."""
        with self._coming_lock:
            self._coming = {place: file for place, file in self._coming.items() if place[0] != session_id}

    def get_files(self, session_id: str, file_ids: Sequence[str]) -> list[UploadedFileRec]:
        """Return the files that a run was given."""
        self._forget(session_id, file_ids)
        return super().get_files(session_id, file_ids)

    def remove_file(self, session_id: str, file_id: str) -> None:
        """Let go of a file."""
        self._forget(session_id, [file_id])
        super().remove_file(session_id, file_id)

    def remove_session_files(self, session_id: str) -> None:
        """Let go of the files of a tab that has ended."""
        self.forget_coming(session_id)
        super().remove_session_files(session_id)

    def _forget(self, session_id: str, file_ids: Sequence[str]) -> None:
        with self._coming_lock:
            for file_id in file_ids:
                self._coming.pop((session_id, file_id), None)

    def _forget_old(self) -> None:
        oldest = self._clock() - _BETWEEN_S
        self._coming = {place: file for place, file in self._coming.items() if file.senders or file.since >= oldest}
