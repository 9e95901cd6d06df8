"""What the assembly asks of Streamlit's server: its address, its host names, and the message that ends a tab."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from cgcore.server_facts import PLACE_HEADER, ServerFacts

__all__ = [
    "WANTED_MODULES",
    "admit_hosts",
    "build_farewell",
    "find_address",
    "find_framed_pages",
    "find_own_address",
    "find_shown_address",
    "read_facts",
]

# The browser's modules of the elements that nearly every page has.
WANTED_MODULES = ("Button", "ButtonGroup", "Expander", "Popover", "Selectbox", "TextInput")
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


def build_farewell(path: str) -> bytes:
    """Return the websocket message that sends the browser to ``path``: the one Streamlit ends its own log-ins with."""
    message = ForwardMsg()
    message.auth_redirect.url = path
    return message.SerializeToString()


def find_framed_pages() -> list[Path]:
    """Return the pages that components show in a frame of ours: the editor's. Found, not imported."""
    editor = find_spec("streamlit_quill")
    folders = (editor.submodule_search_locations or []) if editor else []
    return [Path(folder) / "frontend" / "build" / "index.html" for folder in folders]
