"""What a provider's settings say, out of a text that somebody pasted: an address with a port, or a whole mail.

Stands alone because it reads and asks nobody: what it finds is offered, never taken for proven.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cgcore.mail.account import Security, default_port
from cgcore.mail.addresses import check_host
from cgcore.mail.steps import Leg

__all__ = ["PastedServer", "read_settings"]

_HOST = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+]{1,11})://)?(?:[^\s/@]+@)?(?<![\w.-])"
    r"(?P<host>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24})(?![\w@])(?::(?P<port>\d{2,5})\b)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\d.])(25|26|143|465|587|993|2525|2587)(?![\d.])")
_STARTTLS = re.compile(r"\bstart[- ]?tls\b|\btls\b(?!/)", re.IGNORECASE)
_SSL = re.compile(r"\bssl\b|\bssl/tls\b|\bimaps\b|\bsmtps\b", re.IGNORECASE)
_SCHEMES: Mapping[str, tuple[Leg | None, Security | None]] = {
    "smtp": (Leg.SMTP, None),
    "smtps": (Leg.SMTP, Security.SSL),
    "imap": (Leg.IMAP, None),
    "imaps": (Leg.IMAP, Security.SSL),
    "ssl": (None, Security.SSL),
    "tls": (None, None),
    "starttls": (None, Security.STARTTLS),
}
_BY_PORT = {
    **dict.fromkeys((465, 993), Security.SSL),
    **dict.fromkeys((587, 143, 2525, 2587, 25, 26), Security.STARTTLS),
}
_LEG_OF_PORT = {**dict.fromkeys((465, 587, 2525, 2587), Leg.SMTP), **dict.fromkeys((993, 143), Leg.IMAP)}
_LONGEST = 20_000


@cache
def _words() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds the number of a port, and what names a leg."""
    words = tomllib.loads(files("cgcore.mail").joinpath("settings_mail.toml").read_text("utf-8"))
    legs = "|".join(rf"(?P<{leg.value}>\b(?:{words[leg.value]}))" for leg in Leg)
    port = rf"\b(?:{words['port']})\b[^\d\n]{{0,24}}?(\d{{2,5}})\b"
    return re.compile(port, re.IGNORECASE), re.compile(legs, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PastedServer:
    """A server that a text names, always encrypted: what somebody pastes proposes no plain text."""

    host: str
    port: int
    security: Security

    def as_patch(self) -> dict[str, str]:
        """Return the values as a form takes them."""
        return {"host": self.host, "port": str(self.port), "security": self.security.value}


def read_settings(text: str, leg: Leg) -> dict[Leg, PastedServer]:
    """Return the servers that a text pasted for ``leg`` names, ``{}`` where it is just a name or names none.

    A leg is told by the scheme, the words in front, the port or the name itself, in this order; what is left is for
    ``leg``. Of several servers of a leg the first one counts. A web address and a POP3 server are none.
    """
    text = text[:_LONGEST].strip()
    found: dict[Leg, PastedServer] = {}
    for match, before, behind in _hosts(text):
        host, scheme = match["host"].lower(), (match["scheme"] or "").lower()
        if scheme and scheme not in _SCHEMES:
            continue
        if list(check_host(host, leg)):
            continue
        port = _port(match, behind)
        of = _leg_of(host, scheme, before, port) or leg
        security = _SCHEMES.get(scheme, (None, None))[1] or _security(port, behind)
        if of not in found:
            found[of] = PastedServer(host, port or default_port(of, security), security)
    return found if _says_more(text, found) else {}


def _hosts(text: str) -> Iterator[tuple[re.Match[str], str, str]]:
    """Yield each name with what stands between it and the names around it; an address of a person is no server."""
    matches = [match for match in _HOST.finditer(text) if not _is_mailbox(text, match)]
    ends = [match.start() for match in matches[1:]] + [len(text)]
    begin = 0
    for match, end in zip(matches, ends, strict=False):
        yield match, text[begin : match.start()], text[match.end() : end]
        begin = match.end()


def _is_mailbox(text: str, match: re.Match[str]) -> bool:
    at = match.start("host")
    return not match["scheme"] and text[:at].endswith("@")


def _port(match: re.Match[str], behind: str) -> int:
    if match["port"]:
        return int(match["port"])
    found = _words()[0].search(behind) or _NUMBER.search(behind)
    return int(found[1]) if found and 0 < int(found[1]) < 65536 else 0


def _leg_of(host: str, scheme: str, before: str, port: int) -> Leg | None:
    named = _SCHEMES.get(scheme, (None, None))[0]
    told = [Leg(word.lastgroup) for word in _words()[1].finditer(before) if word.lastgroup]
    by_name = next((leg for leg in Leg if host.startswith((f"{leg}.", f"{leg}-"))), None)
    return named or _LEG_OF_PORT.get(port) or by_name or (told[-1] if told else None)


def _security(port: int, behind: str) -> Security:
    """Return the mode that port and words tell, never none: a well-known port says more than a word for it."""
    if port in _BY_PORT:
        return _BY_PORT[port]
    if _SSL.search(behind):
        return Security.SSL
    return Security.STARTTLS if _STARTTLS.search(behind) else Security.SSL


def _says_more(text: str, found: Mapping[Leg, PastedServer]) -> bool:
    """Whether the text is more than the name of a server."""
    return bool(found) and text.lower() not in {server.host for server in found.values()}
