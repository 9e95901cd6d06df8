"""«Probar la clave»: the running API is called with the key, as any other application would."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cgcore.api_keys.form import KeyParts, build_key
from cgcore.runs import Step, Verdict
from cgcore.workbench.runs import Job

if TYPE_CHECKING:
    from sqlmodel import Session

__all__ = ["CHECKED_PATH", "build_check"]

CHECKED_PATH = "/api/v1/me"

_TIMEOUT_S = 10.0
_MAX_ANSWER = 4000


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back; status 0: nothing did."""

    status: int = 0
    phrase: str = ""
    body: str = ""


def build_check(parts: KeyParts, address: str, name: str) -> Job:
    """Return the run that calls ``GET /api/v1/me`` at ``address`` (scheme, host and port) with the key.

    The server there is asked for as ``name``, which is what it goes by in its certificate and to its gate.
    Its result holds ``status``, ``phrase``, ``answer`` and the key's public ``id``; the key itself is in none of it.
    """
    answers: list[_Answer] = []

    def steps() -> Iterator[Step]:
        answers.append(_call(address, name, build_key(parts).reveal()))
        yield from ()

    def judge(_steps: Sequence[Step], ms: int) -> Verdict:
        return Verdict(_key_of(answers[0]), "", ms, {"status": answers[0].status})

    def conclude(_steps: Sequence[Step], _verdict: Verdict, _session: Session) -> dict[str, Any]:
        answer = answers[0]
        return {"status": answer.status, "phrase": answer.phrase, "answer": answer.body, "id": parts.id}

    return Job(steps, judge, conclude)


def _key_of(answer: _Answer) -> str:
    if answer.status == 0:
        return "unreachable"
    if answer.status == 401:
        return "refused"
    # A key without «read» is refused by this route, and known all the same.
    return "ok" if answer.status == 200 or _problem_code(answer) == "scope_missing" else "unexpected"


def _problem_code(answer: _Answer) -> str:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return ""
    return str(document.get("code", "")) if isinstance(document, dict) else ""  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


def _call(address: str, name: str, key: str) -> _Answer:
    connection = HTTPConnection(name, timeout=_TIMEOUT_S)
    try:
        connection.sock = _connect(address, name)
        connection.request(
            "GET", CHECKED_PATH, headers={"Authorization": f"Bearer {key}", "Accept": "application/json"}
        )
        response = connection.getresponse()
        return _Answer(response.status, response.reason, response.read(_MAX_ANSWER).decode("utf-8", "replace"))
    except (OSError, HTTPException):
        return _Answer()
    finally:
        connection.close()


def _connect(address: str, name: str) -> socket.socket:
    place = urlsplit(address)
    secure = place.scheme == "https"
    plain = socket.create_connection((place.hostname, place.port or (443 if secure else 80)), _TIMEOUT_S)
    # Not by its address: the certificate is made out to the public name, and the gate knows no other.
    return ssl.create_default_context().wrap_socket(plain, server_hostname=name) if secure else plain
