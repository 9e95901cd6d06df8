"""The autoconfig format of mail programs: servers out of a small XML document that anybody may have written.

Stands alone because its input is hostile: no DTD, no entity, bounded depth and number of servers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from cgcore.mail.account import Security
from cgcore.mail.steps import Leg

__all__ = ["AutoconfigServer", "MalformedConfigError", "parse_autoconfig"]

_DEPTH = 20
_SERVERS = 20
_LEGS = {"imap": Leg.IMAP, "smtp": Leg.SMTP}
_SECURITY = {"SSL": Security.SSL, "TLS": Security.SSL, "STARTTLS": Security.STARTTLS}
_ADDRESS = re.compile(r"%EMAILADDRESS%?")
_LOCAL = re.compile(r"%EMAILLOCALPART%?")
_DOMAIN = re.compile(r"%EMAILDOMAIN%?")


class MalformedConfigError(ValueError):
    """A document that is not read; the argument is the word for it: ``doctype``, ``xml``, ``depth``."""


@dataclass(frozen=True, slots=True)
class AutoconfigServer:
    """One server of the document. ``username_form`` is that of the provider table, ``username`` a fixed one."""

    leg: Leg
    host: str
    port: int
    security: Security
    username_form: str
    username: str = ""


@dataclass
class _Reader:
    path: list[str] = field(default_factory=list[str])
    kind: str = ""
    fields: dict[str, str] = field(default_factory=dict[str, str])
    servers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.path.append(name)
        if len(self.path) > _DEPTH:
            raise MalformedConfigError("depth")
        if name in ("incomingServer", "outgoingServer"):
            self.kind, self.fields = attributes.get("type", "").lower(), {}

    def end(self, name: str) -> None:
        if name in ("incomingServer", "outgoingServer") and self.kind in _LEGS and len(self.servers) < _SERVERS:
            self.servers.append({**self.fields, "type": self.kind})
        if name in ("incomingServer", "outgoingServer"):
            self.kind = ""
        self.path.pop()

    def text(self, data: str) -> None:
        if self.kind and self.path:
            name = self.path[-1]
            if len(self.fields.get(name, "")) < 300:
                self.fields[name] = self.fields.get(name, "") + data


def parse_autoconfig(document: bytes, domain: str) -> list[AutoconfigServer]:
    """Return the encrypted SMTP and IMAP servers of a document, in its order; plain ones are left out.

    Raises :class:`MalformedConfigError`. ``%EMAILDOMAIN%`` in a host becomes ``domain``; an unterminated variable
    counts.
    """

    def refuse(*_: object) -> None:
        raise MalformedConfigError("doctype")

    reader, parser = _Reader(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise MalformedConfigError("xml") from error
    return [server for fields in reader.servers if (server := _server(fields, domain)) is not None]


def _server(fields: dict[str, str], domain: str) -> AutoconfigServer | None:
    security = _SECURITY.get(fields.get("socketType", "").strip().upper())
    host = _DOMAIN.sub(domain, fields.get("hostname", "").strip()).lower()
    port = fields.get("port", "").strip()
    if security is None or not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return None
    form, username = _username(fields.get("username", "").strip())
    return AutoconfigServer(_LEGS[fields["type"]], host, int(port), security, form, username)


def _username(text: str) -> tuple[str, str]:
    if not text or _ADDRESS.fullmatch(text) or re.fullmatch(r"%EMAILLOCALPART%?@%EMAILDOMAIN%?", text):
        return "address", ""
    if _LOCAL.fullmatch(text):
        return "local_part", ""
    return ("issued", "") if "%" in text else ("fixed", text)
