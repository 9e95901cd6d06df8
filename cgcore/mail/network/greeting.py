"""What kind of server speaks first, and the few lines that come before TLS; no credential is ever near here."""

from __future__ import annotations

from enum import StrEnum

from cgcore.mail.network.sockets import Channel, FloodError
from cgcore.mail.steps import Leg

__all__ = ["OTHER_PROTOCOLS", "Kind", "ask_for_tls", "first_line", "first_words", "kind_of", "lacks"]

#: What a greeting may weigh: RFC 5321 allows 512 bytes a line.
GREETING_BYTES = 64 * 1024


class Kind(StrEnum):
    """Who answers, told from the first line."""

    SMTP = "smtp"
    IMAP = "imap"
    POP3 = "pop3"
    WEB = "web"
    OTHER = "other"
    GONE = "gone"
    TLS = "tls"


#: What is no server of either leg, most telling first.
OTHER_PROTOCOLS = (Kind.SMTP, Kind.IMAP, Kind.POP3, Kind.OTHER)


def kind_of(line: bytes) -> Kind:
    """Return who says ``line`` as the first thing on a connection; a refusal (``554``, ``* BYE``) is mail too."""
    if not line:
        return Kind.GONE
    if line[:1] in (b"\x15", b"\x16"):  # a TLS alert or handshake record
        return Kind.TLS
    head = line[:9].upper()
    if head.startswith((b"HTTP/", b"<!DOCTYPE", b"<HTML")):
        return Kind.WEB
    if head.startswith((b"+OK", b"-ERR")):
        return Kind.POP3
    if head.startswith((b"* OK", b"* BYE", b"* PREAUTH"[:9], b"* NO", b"* BAD")):
        return Kind.IMAP
    if b"FTP" in line.upper() and b"SMTP" not in line.upper():
        return Kind.OTHER  # it greets with 220 as well
    if line[:3].isdigit() and line[:1] in b"2345" and line[3:4] in (b" ", b"-", b"\r", b"\n"):
        return Kind.SMTP
    return Kind.OTHER


def first_line(channel: Channel) -> bytes:
    """Return the first line that the server sends and put it back, so that it can be read again.

    ``b""`` when the connection ends before a byte; a part of a line when it ends in the middle. Raises
    ``TimeoutError``, and may be asked again then; :class:`FloodError` or another ``OSError``.
    """
    data = b""
    try:
        while b"\n" not in data:
            if len(data) > GREETING_BYTES:
                raise FloodError("a greeting without end")
            piece = channel.recv(4096)
            if not piece:
                break
            data += piece
            if kind_of(data) is Kind.TLS:
                break
    finally:
        channel.unread(data)
    return data.partition(b"\n")[0] + b"\n" if b"\n" in data else data


def first_words(channel: Channel) -> bytes:
    """Return enough of what the server says first to tell its kind, at least what came before it fell silent.

    Raises ``OSError`` when nothing came.
    """
    data = b""
    while len(data) < 512 and b"\n" not in data:
        try:
            piece = channel.recv(512)
        except OSError:
            if len(data) < 4:
                raise
            break
        data += piece
        if not piece or kind_of(data) is Kind.TLS:
            break
    return data


def ask_for_tls(channel: Channel, leg: Leg, ehlo_name: str) -> bool:
    """Read the greeting, ask for STARTTLS and return whether the server agrees; TLS itself is left to the caller.

    Raises ``OSError`` or ``EOFError``.
    """
    if leg is Leg.IMAP:
        return _line(channel).upper().startswith(b"* OK") and _tagged(channel)
    if not _reply(channel).startswith(b"220"):
        return False
    channel.sendall(f"EHLO {ehlo_name}\r\n".encode())
    if b"STARTTLS" not in _reply(channel).upper():
        return False
    channel.sendall(b"STARTTLS\r\n")
    return _reply(channel).startswith(b"220")


def lacks(channel: Channel, leg: Leg, ehlo_name: str, *, greeted: bool) -> str:
    """Read the capabilities inside TLS; return the diagnosis key of what is missing to sign in, ``""`` for nothing.

    ``greeted``: whether the greeting has been read. Raises ``OSError`` or ``EOFError``.
    """
    if leg is Leg.IMAP:
        if not greeted and not _line(channel).upper().startswith(b"* OK"):
            return "wrong_protocol"
        channel.sendall(b"a2 CAPABILITY\r\n")
        found = b""
        while not (line := _line(channel).upper()).startswith(b"A2 "):
            found += line
            if len(found) > GREETING_BYTES:
                raise FloodError("capabilities without end")
        return "" if b"IMAP4" in found else "wrong_protocol"
    if not greeted and not _reply(channel).startswith(b"220"):
        return "wrong_protocol"
    channel.sendall(f"EHLO {ehlo_name}\r\n".encode())
    return "" if b"AUTH" in _reply(channel).upper() else "auth_not_offered"


def _line(channel: Channel) -> bytes:
    line = channel.read_line()
    if not line:
        raise EOFError("the server closed the connection")
    return line


def _tagged(channel: Channel) -> bool:
    channel.sendall(b"a1 STARTTLS\r\n")
    while True:
        line = _line(channel).upper()
        if line.startswith((b"A1 ", b"+")):
            return line.startswith(b"A1 OK")


def _reply(channel: Channel) -> bytes:
    lines = [_line(channel)]
    while lines[-1][3:4] == b"-":
        lines.append(_line(channel))
    return b"".join(lines)
