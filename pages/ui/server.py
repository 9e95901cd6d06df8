"""What the assembly asks of Streamlit's server: its address, its host names, and the message that ends a tab."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from cgcore.server_facts import ServerFacts

__all__ = ["WANTED_MODULES", "admit_hosts", "build_farewell", "find_address", "find_framed_pages", "read_facts"]

# The browser's modules of the elements that nearly every page has.
WANTED_MODULES = ("Button", "ButtonGroup", "Expander", "Popover", "Selectbox", "TextInput")
_EVERY_ADDRESS = ("", "0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104  compared, not listened on


def find_address() -> str:
    """Return where a browser on this machine reaches the app. The port is known once the server listens."""
    address = config.get_option("server.address") or ""
    host = "localhost" if address in _EVERY_ADDRESS else address
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    return f"{scheme}://{host}:{config.get_option('server.port')}"


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
