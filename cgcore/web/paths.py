"""Our own addresses: which are public, and where a log-in may send the browser on to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

__all__ = [
    "AFTER_CONNECTING",
    "AFTER_CONSENT",
    "AFTER_END",
    "AFTER_NO_CONSENT",
    "CROWDED",
    "ENTER",
    "FILES",
    "FIRST_USE",
    "HEALTH",
    "LEAVE",
    "LOGIN_NOTICES",
    "METRICS",
    "NEW_PASSWORD",
    "STREAMLIT_HEALTH",
    "build_enter_link",
    "find_consent",
    "is_api",
    "is_document",
    "is_public",
    "safe_next",
]

AFTER_END = "/entrar?aviso=fin"
"""Where a browser goes whose log-in has ended: the log-in page, which says so."""

CROWDED = "/demasiadas-pestanas"
"""Where a tab goes that is one too many."""

AFTER_CONNECTING = "/entrar?aviso=conexion"
"""Where a browser goes that comes back from a provider without a log-in: it says so, and nothing is used up."""

AFTER_CONSENT, AFTER_NO_CONSENT = "/entrar?aviso=permiso", "/entrar?aviso=sin-permiso"
"""Where an administrator at the provider ends who was asked to agree for everybody, and who need not be known here."""

LOGIN_NOTICES = {
    "clave": "enter_password_saved",
    "fin": "enter_session_ended",
    "conexion": "enter_connect_again",
    "permiso": "enter_consented",
    "sin-permiso": "enter_not_consented",
}
"""What ``/entrar?aviso=…`` may say: the sentence of each; anything else says nothing."""

MAIL_ACCOUNT = "/cuenta-mail"
"""The page that an attempt to connect begins on."""

OAUTH, OAUTH_END = "/oauth/", "/oauth/fin/"
"""Below the first lies the way to a provider and back; the second, with an attempt's id, says what became of it."""

ENTER, LEAVE, FIRST_USE, HEALTH, NEW_PASSWORD = "/entrar", "/salir", "/primer-uso", "/salud", "/nueva-contrasena/"

STREAMLIT_HEALTH = "/_stcore/health"
"""Where health checks written for any Streamlit app ask, and the browser before it opens a websocket."""

METRICS = "/metrics"
"""Numbers for Prometheus, to this machine alone or on a port of its own."""

FILES = "/media/"
"""Below it Streamlit hands out pictures and downloads."""

_API = "/api/v1/"
_API_SPECIFICATION = _API + "openapi.json"
# The documentation and its files need the cookie; the description of the API itself is public.
_API_BEHIND_GATE = ("docs", "redoc", "assets")

_RESET_LINK = re.compile(re.escape(NEW_PASSWORD) + r"[0-9A-Za-z-]{1,64}")
_NEXT_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
# What a browser asks for on behalf of a page is no place to go to.
_NOT_PLACES = (
    CROWDED,
    ENTER,
    LEAVE,
    FIRST_USE,
    HEALTH,
    METRICS,
    NEW_PASSWORD,
    "/_stcore",
    "/static/",
    FILES,
    "/component/",
    "/api/",
    OAUTH,
)
# As it stands in a header, where all of them together have to stay below 3 kB.
_MAX_NEXT = 1500


def is_document(path: str) -> bool:
    """Return whether ``path`` is one that a browser goes to by itself: nothing that an open page asks for."""
    return not path.startswith(("/_stcore/", "/static/", FILES, "/component/", "/api/")) and path not in (LEAVE, HEALTH)


def find_consent(query: Mapping[str, str]) -> bool | None:
    """Return whether who administers a tenant at Microsoft has agreed for everybody; None where nobody was asked.

    A refusal says ``admin_consent=True`` too, beside its ``error`` (Microsoft identity platform, admin consent).
    """
    if "admin_consent" not in query or "code" in query:
        return None
    return "error" not in query and query["admin_consent"].casefold() == "true"


def is_public(path: str) -> bool:
    """Return whether ``path`` is answered without a log-in: the list is exact."""
    if path in (ENTER, FIRST_USE, HEALTH, _API_SPECIFICATION):
        return True
    return is_api(path) or _RESET_LINK.fullmatch(path) is not None


def is_api(path: str) -> bool:
    """Return whether the REST API answers ``path`` and identifies the caller itself."""
    rest = path.removeprefix(_API)
    if rest == path or ".." in rest.split("/"):
        return False
    return rest.split("/", 1)[0].split(".", 1)[0] not in _API_BEHIND_GATE


def safe_next(target: str) -> str:
    """Return ``target`` when it is a page of ours, else ``/``.

    A log-in that sends people to any address would lend our name to others (CWE-601): one slash at the start, no
    backslash, no control character, no host.
    """
    if (
        not target.startswith("/")
        or target.startswith("//")
        or len(quote(target, safe="", errors="replace")) > _MAX_NEXT
    ):
        return "/"
    if _NEXT_FORBIDDEN.search(target) or target.startswith(_NOT_PLACES):
        return "/"
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else target


def build_enter_link(path: str, query: str) -> str:
    """Return the address of the log-in page that leads back to ``path`` afterwards."""
    target = safe_next(quote(path, safe="/-._~") + (f"?{query}" if query else ""))
    return ENTER if target == "/" else f"{ENTER}?next={quote(target, safe='')}"
