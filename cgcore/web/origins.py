"""What a request may claim about itself: Host, Origin, client address, scheme."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from cgcore.settings import Network, Settings

__all__ = ["AllowedOrigins", "read_headers"]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def read_headers(scope: Any) -> dict[str, str]:
    """Return the headers of an ASGI scope by lower-case name; of a repeated one the first, X-Forwarded-For joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "x-forwarded-for" and name in headers:
            value = f"{headers.pop(name)}, {value}"
        headers.setdefault(name, value)
    return headers


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """The rules of one installation: its public address and the proxies it believes."""

    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> AllowedOrigins:
        """Return the rules that the settings ask for."""
        return cls(settings.public_url, settings.trusted_proxies)

    def allowed_hosts(self) -> frozenset[str]:
        """Return the host names that a request may ask for: loopback, and the public one."""
        public = urlsplit(self.public_url).hostname
        return _LOOPBACK_NAMES | {public} if public else _LOOPBACK_NAMES

    def is_host_allowed(self, host: str) -> bool:
        """Return whether a Host header names this installation; a foreign one may be DNS rebinding."""
        parts = _split_authority(host)
        return parts is not None and parts[0] in self.allowed_hosts()

    def is_origin_allowed(self, origin: str, host: str) -> bool:
        """Return whether an Origin header is this site: the public origin, or the very host and port asked for.

        ``null`` is nobody's. Where the public address is ``https``, its plain namesake does not count.
        """
        public, given = _split_origin(self.public_url), _split_origin(origin)
        if given is None:
            return False
        if public is not None and given == public:
            return True
        asked = _split_authority(host)
        if asked is None or (public is not None and given[1] == public[1] and given[1] not in _LOOPBACK_NAMES):
            return False
        return given[1:] == (asked[0], asked[1] or _DEFAULT_PORTS[given[0]])

    def is_same_site(self, headers: dict[str, str]) -> bool:
        """Return whether a state-changing request comes from our own pages, or from no browser at all.

        A browser always names its origin on these (Fetch, 3.2); where it does not, Sec-Fetch-Site or Referer tell.
        """
        host = headers.get("host", "")
        if "origin" in headers:
            return self.is_origin_allowed(headers["origin"], host)
        if "sec-fetch-site" in headers:
            return headers["sec-fetch-site"] in {"same-origin", "none"}
        return "referer" not in headers or self.is_origin_allowed(headers["referer"], host)

    def is_socket_allowed(self, headers: dict[str, str]) -> bool:
        """Return whether a websocket may open. Browsers always send Origin (RFC 6455, 4.1); a tool may not.

        A tool holds its own cookie and cannot be made to use somebody else's. Anything that looks like a browser
        and sends none is refused.
        """
        if "origin" in headers:
            return self.is_origin_allowed(headers["origin"], headers.get("host", ""))
        looks_like_browser = "mozilla" in headers.get("user-agent", "").lower()
        return not looks_like_browser and not any(name.startswith("sec-fetch-") for name in headers)

    def find_client_ip(self, scope: Any, headers: dict[str, str]) -> str:
        """Return the address a request comes from: the peer's, or what trusted proxies say of it."""
        peer = self._find_peer(scope, headers)
        if not self._is_trusted(peer):
            return peer
        for hop in reversed(_split_hops(headers)):
            peer = hop
            if not self._is_trusted(hop):
                break
        return peer

    def is_secure(self, scope: Any, headers: dict[str, str]) -> bool:
        """Return whether the browser speaks TLS: the public address says so, a trusted proxy does, or we do."""
        if self.public_url.startswith("https://"):
            return True
        if "x-forwarded-proto" not in headers:
            return scope["scheme"] in {"https", "wss"}
        return headers["x-forwarded-proto"] == "https" and self._is_trusted(self._find_peer(scope, headers))

    def _find_peer(self, scope: Any, headers: dict[str, str]) -> str:
        peer = scope["client"][0] if scope.get("client") else ""
        # uvicorn believes X-Forwarded-For from 127.0.0.1 unasked and puts what it finds in the peer's place; there is
        # no setting for it under ``streamlit run``. So a peer that equals the last hop was 127.0.0.1.
        hops = [hop for hop in _split_hops(headers) if hop != "127.0.0.1"]
        return "127.0.0.1" if hops and hops[-1] == peer else peer

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.trusted_proxies)


def _split_hops(headers: dict[str, str]) -> list[str]:
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",")]
    return [_without_port(hop) for hop in hops if hop]


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _split_authority(text: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return host.rstrip("."), port


def _split_origin(text: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname.rstrip("."), port or _DEFAULT_PORTS[parts.scheme]
