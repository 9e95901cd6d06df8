"""Pictures and downloads of a page: for the log-in that they were drawn for, and made with the rights of that moment.

Streamlit names a file by its content, gives it to whoever asks, makes a deferred download in whatever session knows its
id, and tells a failure of it in English and with a traceback. So its storage and its handler are replaced by ours. What
is uploaded is copied for every run; ours share its bytes. A run that begins throws away what was not sent yet, and with
it where a file may be uploaded, or stands to be fetched; ours keeps what the browser has asked for and waits for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.proto.ForwardMsg_pb2 import BackendOperationResponse
from streamlit.runtime import app_session, memory_media_file_storage, memory_uploaded_file_manager
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec

from cgcore.errors import CloudGestionError, LoginEnded, NotFound
from cgcore.identity.actor import Actor
from cgcore.workbench import get_workbench
from pages.ui.uploads import OwnUploads

__all__ = [
    "AnsweringQueue",
    "OwnDownloads",
    "OwnFiles",
    "draw_download",
    "find_log_in",
    "guard_files",
    "may_have",
    "share_upload",
]

_log = logging.getLogger(__name__)

# The log-in for which a download is being made.
_made_for: ContextVar[str | None] = ContextVar("made_for", default=None)
# What belongs to no run: the browser asked for it, or is to leave.
_ANSWERS = frozenset({"file_urls_response", "backend_operation_response", "heartbeat_ack", "auth_redirect"})


def draw_download(
    label: str,
    make: Callable[[Actor], str | bytes],
    *,
    file_name: str,
    mime: str,
    key: str,
    icon: str = ":material/download:",
) -> None:
    """Draw a button whose file is made when it is clicked on: ``make`` is told who acts then, and takes nobody."""
    log_in = find_log_in(st.user)
    st.download_button(
        label,
        lambda: _as_bytes(make(_find_present(log_in))),
        file_name=file_name,
        mime=mime,
        icon=icon,
        key=key,
        on_click="ignore",
    )


def guard_files() -> None:
    """Put our storages, handler and queue in the place of Streamlit's. Call it before the app is made."""
    memory_media_file_storage.__dict__["MemoryMediaFileStorage"] = OwnFiles
    memory_uploaded_file_manager.__dict__["MemoryUploadedFileManager"] = OwnUploads
    app_session.__dict__["DeferredFileHandler"] = OwnDownloads
    app_session.__dict__["ForwardMsgQueue"] = AnsweringQueue
    setattr(UploadedFile, "__deepcopy__", share_upload)  # noqa: B010


def share_upload(file: UploadedFile, memo: object) -> UploadedFile:
    """Return a copy of an upload over the same bytes, which come apart where somebody writes.

    Streamlit hands a deep copy to each run: of a file of 25 MB that is as much again, for as long as it is held.
    """
    del memo
    copied = UploadedFile(UploadedFileRec(file.file_id, file.name, file.type, file.getvalue()), file._file_urls)
    copied.seek(file.tell())
    return copied


def may_have(session_hash: str, file: str) -> bool:
    """Return whether a page of this log-in has drawn or made the file that ``/media/`` names ``file``."""
    storage = runtime.get_instance().media_file_mgr._storage if runtime.exists() else None
    # An id has no point: what stands behind one says what kind of file it is.
    return isinstance(storage, OwnFiles) and storage.belongs_to(session_hash, file.partition(".")[0])


def find_log_in(user_info: Any) -> str | None:
    """Return the session hash of the log-in that opened a session, from the header that the gate signed."""
    header = user_info.get("login") if user_info else None
    return header.partition(".")[0] if isinstance(header, str) else None


class OwnFiles(MemoryMediaFileStorage):
    """Streamlit's storage, which also knows for whom each file was kept. Two may have drawn the same one."""

    def __init__(self, media_endpoint: str) -> None:
        super().__init__(media_endpoint)
        self._owners: dict[str, set[str]] = {}

    def load_and_get_id(self, *given: Any, **named: Any) -> str:
        """Keep a file for whoever it is drawn for in this run, or asks for it."""
        file_id = super().load_and_get_id(*given, **named)
        if owner := _find_owner():
            self._owners.setdefault(file_id, set()).add(owner)
        return file_id

    def delete_file(self, file_id: str) -> None:
        """Let go of a file that no session holds any more."""
        super().delete_file(file_id)
        self._owners.pop(file_id, None)

    def belongs_to(self, session_hash: str, file_id: str) -> bool:
        """Return whether a file was kept for this log-in."""
        return session_hash in self._owners.get(file_id, ())


class AnsweringQueue(ForwardMsgQueue):
    """What goes to a tab, where a run that begins clears what the last one drew, and no answer.

    A file that is chosen while a run begins was lost without a word: its browser never heard where to send it.
    """

    def clear(self, retain_lifecycle_msgs: bool = False, fragment_ids_this_run: list[str] | None = None) -> None:
        """Let go of what a run has drawn; of all once it is sent. A run of fragments keeps the answers by itself."""
        asked = [each for each in self._queue if each.WhichOneof("type") in _ANSWERS]
        super().clear(retain_lifecycle_msgs, fragment_ids_this_run)
        if retain_lifecycle_msgs and fragment_ids_this_run is None:
            self._queue.extend(asked)


class OwnDownloads(DeferredFileHandler):
    """Makes a deferred download for the log-in that it was drawn for, while that is open."""

    async def handle(self, request: BackendOperationRequest, session_id: str) -> BackendOperationResponse:
        """Return where the file is, or in Spanish why there is none. A refusal is one line of the log."""
        answer = BackendOperationResponse(request_id=request.request_id)
        try:
            answer.deferred_file.url = await asyncio.to_thread(
                _make, self._get_media_file_mgr(), session_id, request.deferred_file.file_id
            )
        except Exception as error:
            # Streamlit wraps what the function has raised.
            cause = error.__cause__ or error
            if isinstance(cause, CloudGestionError):
                _log.warning("a download was not made (%s)", cause.code)
            else:
                _log.exception("a download could not be made")
            from pages.ui.problems import download_sentence  # the catalogues are not needed before

            answer.error_msg = download_sentence(cause)
        return answer


def _make(manager: MediaFileManager, session_id: str, file_id: str) -> str:
    """Make the file and return its address; in a thread of its own, whose context is a copy."""
    log_in = _log_in_of(session_id)
    drawn = manager._deferred_callables.get(file_id)
    if log_in is None or drawn is None or _log_in_of(drawn["session_id"]) != log_in:
        raise NotFound("no such download in this log-in")
    _made_for.set(log_in)
    return manager.execute_deferred(file_id)


def _as_bytes(made: str | bytes) -> bytes:
    return made.encode() if isinstance(made, str) else made


def _find_present(log_in: str | None) -> Actor:
    actor = get_workbench().identity.sessions.find_actor(log_in) if log_in else None
    if actor is None:
        raise LoginEnded("the log-in that this download was drawn for is over")
    return actor


def _find_owner() -> str | None:
    context = get_script_run_ctx(suppress_warning=True)
    return find_log_in(context.user_info) if context else _made_for.get()


def _log_in_of(session_id: str) -> str | None:
    info = runtime.get_instance()._session_mgr.get_session_info(session_id)
    return find_log_in(info.session._user_info) if info else None
