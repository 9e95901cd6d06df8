"""One request by HTTPS: its address through the target policy, its answer small, the whole within a deadline.

What fetches a document for discovery, and what speaks with an OAuth2 provider, stand on it. Proxy variables are
ignored, names go through the environment's resolver, certificates are verified, a redirect is not followed.
"""

from __future__ import annotations

import http.client
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cgcore.mail.addresses import encode_host
from cgcore.mail.network.policy import is_public, unwrap
from cgcore.mail.network.sockets import Channel, Deadline, connect_any
from cgcore.mail.network.tls import verifying_context
from cgcore.mail.request import ProbeEnvironment

__all__ = ["MAX_BODY", "Answer", "RefusedRequest", "exchange", "may_be_plain"]

MAX_BODY = 64 * 1024
_HEAD = 32 * 1024
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the headers by lower-case name, and a body of at most :data:`MAX_BODY` bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RefusedRequest(Exception):
    """Something that is not done, whoever asks for it; the argument is the word for it."""


def may_be_plain(url: str) -> bool:
    """Return whether ``url`` may go without TLS: to this machine, where whoever started the process has said so.

    The variable is Authlib's own, and for tests: nobody but this machine hears what is said on it.
    """
    insecure = os.environ.get("AUTHLIB_INSECURE_TRANSPORT", "")
    return insecure not in ("", "0") and urlsplit(url).hostname in _LOOPBACK


def exchange(
    method: str,
    url: str,
    env: ProbeEnvironment,
    deadline: Deadline,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
) -> Answer:
    """Send one request and return its answer, whatever its status.

    Raises :class:`RefusedRequest` (``not_https``, ``forbidden_target``, ``url``, ``too_big``), ``OSError`` (with
    ``socket.gaierror``, ``ssl.SSLError`` and ``TimeoutError`` among it), ``ValueError`` and ``HTTPException``.
    """
    parts = urlsplit(url)
    plain = parts.scheme == "http" and may_be_plain(url)
    if (parts.scheme != "https" and not plain) or "@" in parts.netloc or not parts.hostname:
        raise RefusedRequest("not_https")
    name = encode_host(parts.hostname)
    port = parts.port or (80 if plain else env.https_port)
    addresses = tuple(env.resolver(name, deadline))
    if env.only_trusted or not _may_reach(addresses, env):
        raise RefusedRequest("forbidden_target")
    connected, attempts = connect_any(addresses, port, deadline)
    if connected is None:
        if any(attempt.result == "refused" for attempt in attempts):
            raise ConnectionRefusedError
        raise TimeoutError
    channel = Channel(connected, deadline, allowance=MAX_BODY + _HEAD)
    try:
        if not plain:
            channel.start_tls(verifying_context(env.ca_file), name)
        host = f"[{name}]" if ":" in name else name
        shown = host if parts.port is None or parts.port == 443 else f"{host}:{port}"
        channel.sendall(_build_head(method, parts, shown, headers, len(body)) + body)
        return _read_answer(channel, method)
    finally:
        with suppress(OSError):
            channel.close()


def _build_head(method: str, parts: SplitResult, host: str, headers: Mapping[str, str], length: int) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(ord(sign) <= 32 or ord(sign) >= 127 for sign in target):
        raise RefusedRequest("url")
    own = {"Host": host, "User-Agent": "cloud-gestion", "Accept-Encoding": "identity", "Connection": "close"}
    if length:
        own["Content-Length"] = str(length)
    lines = [f"{name}: {value}" for name, value in {**headers, **own}.items()]
    if any(sign in line for line in lines for sign in "\r\n\0"):
        raise RefusedRequest("url")
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def _read_answer(channel: Channel, method: str) -> Answer:
    response = http.client.HTTPResponse(_Stream(channel), method=method)  # pyright: ignore[reportArgumentType]
    response.begin()
    moved = 300 <= response.status < 400
    body = b"" if moved else response.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise RefusedRequest("too_big")
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


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


def _may_reach(addresses: Sequence[str], env: ProbeEnvironment) -> bool:
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
