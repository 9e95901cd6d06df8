"""One document by HTTPS, for discovery: every hop through the target policy, small, and within a deadline.

Apart from :mod:`cgcore.mail.https`, which does one request: here hops are followed and judged, and nothing is raised.
No cookie or credential exists here.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urljoin, urlsplit

from cgcore.mail.https import MAX_BODY, RefusedRequest, exchange
from cgcore.mail.network.public_suffix import is_own
from cgcore.mail.network.sockets import Deadline, FloodError
from cgcore.mail.request import ProbeEnvironment

__all__ = ["MAX_BODY", "MAX_REDIRECTS", "Fetched", "Outcome", "fetch"]

MAX_REDIRECTS = 3
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
            answer = exchange("GET", url, env, deadline, headers={"Accept": "text/xml"})
            if answer.status not in _MOVED:
                return _judged(answer.status, answer.body, shown)
            url = _next(url, answer.headers.get("location", ""))
        return Fetched(Outcome.REFUSED, "redirects", url=shown)
    except RefusedRequest as refusal:
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
        raise RefusedRequest("not_https")
    if (parts.port or env.https_port) != env.https_port:
        raise RefusedRequest("port")
    return parts


def _next(url: str, location: str) -> str:
    if not location:
        raise RefusedRequest("redirects")
    target = urlsplit(urljoin(url, location))
    here = urlsplit(url).hostname or ""
    if not is_own(target.hostname or "", here):
        target = target._replace(query="", fragment="")
    return target.geturl()
