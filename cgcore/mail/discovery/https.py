"""One document by HTTPS, for discovery: every hop through the target policy, small, and within a deadline.

Stands alone because nothing else in the product fetches from the web. Proxy variables are ignored, names go
through the environment's resolver, certificates are verified, and no cookie or credential exists here.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from cgcore.mail.addresses import encode_host
from cgcore.mail.network.policy import is_public, unwrap
from cgcore.mail.network.public_suffix import is_own
from cgcore.mail.network.sockets import Channel, Deadline, FloodError, SocketLike, connect_any
from cgcore.mail.network.tls import verifying_context
from cgcore.mail.request import ProbeEnvironment

__all__ = ["MAX_BODY", "MAX_REDIRECTS", "Fetched", "Outcome", "fetch"]

MAX_BODY = 64 * 1024
MAX_REDIRECTS = 3
_HEAD = 32 * 1024
_MOVED = (301, 302, 303, 307, 308)


class Outcome(StrEnum):
    """What became of a fetch."""

    FOUND = "found"
    NOTHING = "nothing"
    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetch: ``body`` when found, else ``detail`` says in a word why not. ``url`` is the last one, without query."""

    outcome: Outcome
    detail: str = ""
    body: bytes = b""
    url: str = ""


class _Refusal(Exception):
    """Something that is not done, whoever asks for it; the argument is the word for it."""


def fetch(url: str, env: ProbeEnvironment, deadline: Deadline) -> Fetched:
    """Return the document at an ``https`` URL; nothing is raised.

    At most :data:`MAX_REDIRECTS` hops and :data:`MAX_BODY` bytes. A hop to what another has registered loses its
    query, which holds the person's address; one that is not HTTPS on 443, or leads to a place that is not public, is
    refused.
    """
    shown = ""
    try:
        for _ in range(MAX_REDIRECTS + 1):
            parts = _checked(url, env)
            shown = f"https://{parts.hostname}{parts.path}"
            status, location, body = _get(parts, env, deadline)
            if status not in _MOVED:
                return _judged(status, body, shown)
            url = _next(url, location)
        return Fetched(Outcome.REFUSED, "redirects", url=shown)
    except _Refusal as refusal:
        return Fetched(Outcome.REFUSED, str(refusal), url=shown)
    except FloodError:
        return Fetched(Outcome.REFUSED, "too_big", url=shown)
    except TimeoutError:
        return Fetched(Outcome.TIMEOUT, url=shown)
    except socket.gaierror as error:
        missing = error.errno != socket.EAI_AGAIN
        return Fetched(Outcome.NOTHING if missing else Outcome.ERROR, "no_host" if missing else "dns", url=shown)
    except ssl.SSLCertVerificationError:
        return Fetched(Outcome.ERROR, "certificate", url=shown)
    except ConnectionRefusedError:
        return Fetched(Outcome.NOTHING, "port_closed", url=shown)
    except (OSError, http.client.HTTPException, ValueError):
        return Fetched(Outcome.ERROR, "connection", url=shown)


def _judged(status: int, body: bytes, url: str) -> Fetched:
    if status == 200:
        return Fetched(Outcome.FOUND, body=body, url=url)
    return Fetched(Outcome.NOTHING if 400 <= status < 500 else Outcome.ERROR, f"http_{status}", url=url)


def _checked(url: str, env: ProbeEnvironment) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.username is not None or not parts.hostname:
        raise _Refusal("not_https")
    if (parts.port or env.https_port) != env.https_port:
        raise _Refusal("port")
    return parts


def _next(url: str, location: str) -> str:
    if not location:
        raise _Refusal("redirects")
    target = urlsplit(urljoin(url, location))
    here = urlsplit(url).hostname or ""
    if not is_own(target.hostname or "", here):
        target = target._replace(query="", fragment="")
    return target.geturl()


def _get(parts: SplitResult, env: ProbeEnvironment, deadline: Deadline) -> tuple[int, str, bytes]:
    name = encode_host(parts.hostname or "")
    addresses = tuple(env.resolver(name, deadline))
    if not _may_fetch(addresses, env):
        raise _Refusal("forbidden_target")
    connected, attempts = connect_any(addresses, env.https_port, deadline)
    if connected is None:
        if any(attempt.result == "refused" for attempt in attempts):
            raise ConnectionRefusedError
        raise TimeoutError
    return _ask(parts, name, env, connected, deadline)


def _ask(
    parts: SplitResult, name: str, env: ProbeEnvironment, connected: SocketLike, deadline: Deadline
) -> tuple[int, str, bytes]:
    channel = Channel(connected, deadline, allowance=MAX_BODY + _HEAD)
    try:
        channel.start_tls(verifying_context(env.ca_file), name)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if any(ord(sign) <= 32 or ord(sign) >= 127 for sign in target):
            raise _Refusal("url")
        channel.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: cloud-gestion\r\nAccept: text/xml\r\n"
            "Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        response = http.client.HTTPResponse(_Stream(channel))  # pyright: ignore[reportArgumentType]
        response.begin()
        if response.status in _MOVED:
            return response.status, response.getheader("Location", ""), b""
        body = response.read(MAX_BODY + 1) if response.status == 200 else b""
        if len(body) > MAX_BODY:
            raise _Refusal("too_big")
        return response.status, "", body
    finally:
        with suppress(OSError):
            channel.close()


class _Stream:
    """What :class:`http.client.HTTPResponse` reads from: a channel that keeps to its deadline."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the readable side."""
        return io.BufferedReader(_Readable(self._channel))


class _Readable(io.RawIOBase):
    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._channel.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _may_fetch(addresses: Sequence[str], env: ProbeEnvironment) -> bool:
    """Whether *every* address is public, or in a network that the setting allows."""

    def allowed(text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        inner = unwrap(address)
        listed = any(inner in each for each in env.allowed_networks if each.version == inner.version)
        return listed or is_public(address)

    return bool(addresses) and all(allowed(text) for text in addresses)
