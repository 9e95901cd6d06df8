"""An OAuth2 provider on a real socket whose token endpoint answers what the test has written, byte by byte.

For the manners of Google and Microsoft, which no provider that can be run here has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.servers.certificates import Certificates
from tests.servers.wire import ScriptedServer, Wire

__all__ = ["HTML", "Reply", "ScriptedProvider"]

HTML = {"Content-Type": "text/html; charset=utf-8"}
_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; a text goes out as it is, all else as JSON."""

    status: int
    body: Any = ""
    headers: Mapping[str, str] | None = None


class ScriptedProvider:
    """A provider at ``url`` (https, by the trusted certificate). ``asked`` are the forms that ``/token`` was sent.

    ``answers`` are given in turn, the last one again and again; without one it hangs up. ``given_up`` are the tokens
    that were revoked, where it ``revokes`` at all. ``codes`` is the answer to who wants a code.
    """

    def __init__(self, certificates: Certificates, *, revokes: bool = True) -> None:
        self.answers: list[Reply] = []
        self.codes: list[Reply] = []
        self.asked: list[dict[str, str]] = []
        self.given_up: list[str] = []
        self._revokes = revokes
        self._server = ScriptedServer(
            self._serve, context=certificates.trusted.server_context(), implicit_tls=True, host="127.0.0.1"
        )
        self.url = f"https://localhost:{self._server.port}"

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def _serve(self, wire: Wire) -> None:
        path, form = _read_request(wire)
        if path == "/.well-known/openid-configuration":
            _answer(wire, Reply(200, self._description()))
        elif path == "/revoke":
            self.given_up.append(form["token"])
            _answer(wire, Reply(200, {}))
        elif path == "/devicecode" and self.codes:
            _answer(wire, self.codes[0])
        elif path == "/token":
            self.asked.append(form)
            if self.answers:
                _answer(wire, self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        else:
            _answer(wire, Reply(404))

    def _description(self) -> dict[str, str]:
        named = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/keys"}
        named |= {"device_authorization_endpoint": "/devicecode"} if self.codes else {}
        named |= {"revocation_endpoint": "/revoke"} if self._revokes else {}
        return {"issuer": self.url, **{name: self.url + path for name, path in named.items()}}


def _read_request(wire: Wire) -> tuple[str, dict[str, str]]:
    path = wire.read_line().split()[1].decode()
    length = 0
    while line := wire.read_line():
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return path, dict(parse_qsl(wire.read_exactly(length).decode())) if length else {}


def _answer(wire: Wire, reply: Reply) -> None:
    body = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
    headers = {"Content-Type": "application/json", **(reply.headers or {})}
    headers |= {"Content-Length": str(len(body)), "Connection": "close"}
    head = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Error')}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    wire.send("\r\n".join([*head, "", ""]).encode() + body)
