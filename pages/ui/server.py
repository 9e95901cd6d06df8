"""What the assembly asks of Streamlit: the server's address and host names, its sessions, the message that ends one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from streamlit import config, runtime
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.session_manager import SessionManager
from streamlit.runtime.state.session_state import Serialized, Value
from streamlit.runtime.uploaded_file_manager import UploadedFile

from cgcore.server_facts import PLACE_HEADER, ServerFacts
from pages.ui.files import find_log_in, may_have
from pages.ui.uploads import OwnUploads

__all__ = [
    "ADMIN_PAGES",
    "FIRST_PAGE",
    "PAGES",
    "WANTED_MODULES",
    "StreamlitTabs",
    "admit_hosts",
    "build_last_message",
    "find_address",
    "find_base_address",
    "find_framed_pages",
    "find_own_address",
    "find_shown_address",
    "read_facts",
    "tell_failure",
]

# The addresses of the pages that the router registers; the first is at «/».
FIRST_PAGE = "resumen"
ADMIN_PAGES = frozenset({"administracion"})
PAGES = ADMIN_PAGES | {
    "actividad",
    "api-key",
    "bandeja-de-pruebas",
    "cuenta-mail",
    "enviar-documento",
    "mi-usuario",
    "series-por-defecto",
    "valores-por-defecto",
}
# The browser's modules of the elements that nearly every page has, and of the link to the log-in page: when that one
# is drawn, there is no log-in to load anything with.
WANTED_MODULES = ("Button", "ButtonGroup", "Expander", "Html", "Popover", "Selectbox", "TextInput")
_UPLOADER = "file_uploader_state_value"
_EVERY_ADDRESS = ("", "0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104  compared, not listened on


def find_address() -> str:
    """Return where a browser on this machine reaches the app. The port is known once the server listens."""
    address = config.get_option("server.address") or ""
    host = "localhost" if address in _EVERY_ADDRESS else address
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    return f"{scheme}://{host}:{config.get_option('server.port')}"


def find_shown_address() -> str:
    """Return where the browser of this page reaches the app: the host and port that it asked the gate for."""
    return _with_scheme(st.context.headers.get("Host"))


def find_base_address() -> str:
    """Return the same, with the one name of this machine that providers of sign-in take for it."""
    return find_shown_address().replace("//127.0.0.1", "//localhost").replace("//[::1]", "//localhost")


def find_own_address() -> str:
    """Return where this process answers, for a page that it draws: the socket that the browser came in by.

    The gate tells it, so it holds however the server was started: uvicorn knows nothing of Streamlit's port, and
    where that leads another program may listen. Never the browser's word, which could name any port.
    """
    return _with_scheme(st.context.headers.get(PLACE_HEADER))


def _with_scheme(place: str | None) -> str:
    address = find_address()
    return f"{address.partition(':')[0]}://{place}" if place else address


def read_facts() -> ServerFacts:
    """Return how the server was started, for the checks of production. No address at all means every one."""
    return ServerFacts(
        address=config.get_option("server.address") or "0.0.0.0",  # noqa: S104  told, not listened on
        cors=config.get_option("server.enableCORS"),
        xsrf=config.get_option("server.enableXsrfProtection"),
        tls=bool(config.get_option("server.sslCertFile")),
        workers=int(os.environ.get("WEB_CONCURRENCY") or 1),
    )


def admit_hosts(hosts: Iterable[str]) -> None:
    """Let Streamlit's own check of the Host header, on websockets, agree with the gate's."""
    config.set_option("server.allowedHosts", sorted(hosts))


def build_last_message(path: str) -> bytes:
    """Return the websocket message that sends the browser to ``path``: the one Streamlit ends its own log-ins with."""
    message = ForwardMsg()
    message.auth_redirect.url = path
    return message.SerializeToString()


def tell_failure(error: Exception) -> bool:
    """Tell whoever sees a page that a run of it has failed. What draws it loads with the pages, not with the server."""
    from pages.ui import problems

    return problems.tell_failure(error)


class StreamlitTabs:
    """Streamlit's sessions, as ``cgcore.web.tabs`` asks for them: nobody else in the process knows whose each one is.

    Streamlit keeps the identity header of the handshake that made a session, and resumes it for that identity only.
    """

    def find_owner(self, tab: str) -> str | None:
        """Return the session hash of the log-in that opened the session, from the header that the gate signed."""
        session = _find_session(tab)
        return find_log_in(session._user_info) if session else None

    def may_have(self, session_hash: str, file: str) -> bool:
        """Return whether a page of this log-in has drawn the picture or made the download."""
        return may_have(session_hash, file)

    def draws_uploader(self, tab: str) -> bool:
        """Return whether the last run of the session drew an uploader."""
        session = _find_session(tab)
        return session is not None and bool(_list_uploaders(session))

    def list_uploads(self) -> Mapping[tuple[str, str], int]:
        """Return the size of each file kept. A session that was not resumed leaves its files behind: they go here."""
        if not runtime.exists():
            return {}
        manager, sessions = _uploads(), _sessions()
        alive = {info.session.id for info in sessions.list_sessions()}
        for tab in set(manager.file_storage) - alive:
            manager.remove_session_files(tab)
        return {
            (tab, file): len(record.data)
            for tab, records in list(manager.file_storage.items())
            for file, record in list(records.items())
        }

    def list_shown_uploads(self, tab: str) -> Collection[str]:
        """Return the ids of the files that widgets of the session hold."""
        session = _find_session(tab)
        states = _list_uploaders(session) if session else []
        return {file for state in states for file in _list_files(state)}

    def begin_upload(self, tab: str, file: str) -> None:
        """Tell the pages of a file that comes."""
        _uploads().begin_upload(tab, file)

    def end_upload(self, tab: str, file: str) -> None:
        """Tell the pages that it has come, or does not come."""
        _uploads().end_upload(tab, file)

    def drop_upload(self, tab: str, file: str) -> None:
        """Let go of a file."""
        _uploads().remove_file(tab, file)


def _sessions() -> SessionManager:
    return runtime.get_instance()._session_mgr


def _find_session(tab: str) -> AppSession | None:
    info = _sessions().get_session_info(tab) if runtime.exists() else None
    return info.session if info else None


def _uploads() -> OwnUploads:
    manager = runtime.get_instance().uploaded_file_mgr
    if not isinstance(manager, OwnUploads):
        raise TypeError("uploads are kept by our own storage")
    return manager


def _list_uploaders(session: AppSession) -> list[object]:
    """Return the state of each uploader that is drawn, read without a touch: what is read properly is changed by it."""
    known = session.session_state
    # A run drops the states of what it has not drawn, and keeps the descriptions.
    states = {**known._old_state, **known._new_widget_state.states}
    described = list(known._new_widget_state.widget_metadata.values())
    return [states[each.id] for each in described if each.value_type == _UPLOADER and each.id in states]


def _list_files(state: object) -> list[str]:
    if isinstance(state, Serialized):
        return [info.file_id for info in state.value.file_uploader_state_value.uploaded_file_info]
    value = state.value if isinstance(state, Value) else state
    files = value if isinstance(value, list) else [value]
    return [file.file_id for file in files if isinstance(file, UploadedFile)]


def find_framed_pages() -> list[Path]:
    """Return the pages that components show in a frame of ours: the editor's. Found, not imported."""
    editor = find_spec("streamlit_quill")
    folders = (editor.submodule_search_locations or []) if editor else []
    return [Path(folder) / "frontend" / "build" / "index.html" for folder in folders]
