"""Named misbehaviours: what a real server will not do on request."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.servers.certificates import Certificate
from tests.servers.scripted_imap import ImapScript
from tests.servers.scripted_smtp import CLOSE, HOLD, SmtpScript
from tests.servers.wire import Closed, Script, ScriptedServer, Wire

__all__ = [
    "CLOSE",
    "HOLD",
    "IMAP_CASES",
    "RUDE",
    "SMTP_CASES",
    "ImapScript",
    "ScriptedServer",
    "SmtpScript",
    "StoppedClock",
    "dripping",
    "imap_server",
    "obsolete_tls_context",
    "rude_server",
    "smtp_server",
]


def _banner(text: bytes) -> Script:
    def play(wire: Wire) -> None:
        wire.send(text)
        wire.hold()

    return play


def _only(act: Callable[[Wire], None]) -> Script:
    return act


def _close_after(text: bytes) -> Script:
    return _only(lambda wire: wire.send(text))


def _drip(text: bytes) -> Script:
    return _only(lambda wire: wire.drip(text * 100))


def _http(wire: Wire) -> None:
    """A web server speaks second: it waits for something to refuse."""
    wire.read_line()
    wire.send(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


RUDE: Mapping[str, Script] = {
    "silence": _only(lambda wire: wire.hold()),
    "close_at_once": _close_after(b""),
    "smtp_close_after_banner": _close_after(b"220 mail.test ESMTP\r\n"),
    "imap_close_after_banner": _close_after(b"* OK mail.test\r\n"),
    "smtp_drip": _drip(b"220-mail.test wait a moment\r\n"),
    "imap_drip": _drip(b"* OK [ALERT] wait a moment "),
    "smtp_megabyte_line": _banner(b"220 " + b"x" * 1_000_000 + b"\r\n"),
    "imap_megabyte_line": _banner(b"* OK " + b"x" * 1_000_000 + b"\r\n"),
    "smtp_ten_megabytes": _banner((b"220-" + b"x" * 996 + b"\r\n") * 10_000),
    "imap_ten_megabytes": _banner((b"* " + b"x" * 996 + b"\r\n") * 10_000),
    "smtp_invalid_utf8": _banner(b"554 \xff\xfe\xe9\x00\x1b[2J no\r\n"),
    "imap_invalid_utf8": _banner(b"* BYE \xff\xfe\xe9\x1b[2J no\r\n"),
    "http": _http,
    "http_speaks_first": _banner(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<html></html>"),
    "pop3": _banner(b"+OK POP3 ready <1896.697170952@mail.test>\r\n"),
    "ssh": _banner(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "ftp": _banner(b"220 (vsFTPd 3.0.3)\r\n"),
    "imap": _banner(b"* OK [CAPABILITY IMAP4rev1] ready\r\n"),
    "smtp": _banner(b"220 mail.test ESMTP\r\n"),
    "bye": _banner(b"* BYE too many connections\r\n"),
}
"""Servers without manners, whatever the protocol asked for."""


SMTP_CASES: Mapping[str, SmtpScript] = {
    "friendly": SmtpScript(),
    "starttls_stripped": SmtpScript(starttls=False),
    "starttls_502": SmtpScript(replies={"starttls": b"502 5.5.1 not now"}),
    "starttls_454": SmtpScript(replies={"starttls": b"454 4.7.0 TLS not available"}),
    "starttls_354": SmtpScript(replies={"starttls": b"354 go on"}),
    "B_1": SmtpScript(injected=b"250-evil.example\r\n250-AUTH PLAIN LOGIN\r\n250 INJECTED\r\n"),
    "D_1": SmtpScript(starttls=False, replies={"ehlo": b"502 5.5.1 not implemented"}),
    "auth_only_in_tls": SmtpScript(extensions=("SIZE 10485760",), extensions_tls=("AUTH PLAIN LOGIN",)),
    "must_starttls": SmtpScript(
        extensions=("SIZE 10485760",), replies={"mail_from": b"530 5.7.0 Must issue a STARTTLS command first"}
    ),
    "no_auth": SmtpScript(extensions=("SIZE 10485760",)),
    "oauth_only": SmtpScript(extensions=("SIZE 10485760", "AUTH XOAUTH2")),
    "login_only": SmtpScript(extensions=("SIZE 10485760", "AUTH LOGIN")),
    "greylisting": SmtpScript(replies={"rcpt_to": b"450 4.7.1 Greylisted, please try again in 300 seconds"}),
    "send_as_after_data": SmtpScript(
        replies={"final": b"550 5.7.60 SMTP; Client does not have permissions to send as this sender"}
    ),
    "small": SmtpScript(
        extensions=("SIZE 1000", "AUTH PLAIN"), replies={"mail_from": b"552 5.3.4 Message size exceeds fixed limit"}
    ),
    "closes_at_final": SmtpScript(replies={"final": CLOSE}),
    "silent_at_final": SmtpScript(replies={"final": HOLD}),
}
"""Named SMTP conversations; vary one with :func:`dataclasses.replace`."""

_PRE_TLS_ALERT = b"* OK [ALERT] Call 900-123-123 to unlock your mailbox\r\n"
_PRE_TLS_LISTING = b'* LIST (\\HasNoChildren \\Sent) "/" "Injected"\r\n* LSUB () "/" "Injected"\r\n'
_REFERRAL = b"[REFERRAL imap://evil.example/] Look elsewhere"

IMAP_CASES: Mapping[str, ImapScript] = {
    "friendly": ImapScript(),
    "starttls_stripped": ImapScript(starttls=False),
    "B_1": ImapScript(injected=b"* CAPABILITY IMAP4rev1 AUTH=PLAIN X-INJECTED\r\n{next} OK done\r\n"),
    "B_2": ImapScript(injected=_PRE_TLS_ALERT),
    "B_2_before": ImapScript(untagged={"STARTTLS": _PRE_TLS_ALERT}),
    "B_3": ImapScript(injected=b"* BYE injected\r\n"),
    "D_1": ImapScript(starttls=False, replies={"CAPABILITY": b"BAD Unknown command"}),
    "D_2": ImapScript(starttls=False, capabilities=("IMAP4",)),
    "O_1": ImapScript(starttls=False, replies={"STARTTLS": b"BAD Unknown command"}),
    "O_2": ImapScript(replies={"STARTTLS": b"NO not now"}),
    "O_3": ImapScript(replies={"STARTTLS": b"BAD not now"}),
    "O_4": ImapScript(replies={"STARTTLS": b"+ go on"}),
    "P": ImapScript(greeting=b"* PREAUTH mail.test ready", starttls=False),
    "P_1": ImapScript(greeting=b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] mail.test ready"),
    "P_3": ImapScript(greeting=b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] mail.test ready"),
    "L_1": ImapScript(replies={"AUTHENTICATE": b"NO " + _REFERRAL, "LOGIN": b"NO " + _REFERRAL}),
    "M_1": ImapScript(replies={"SELECT": b"NO " + _REFERRAL, "APPEND": b"NO " + _REFERRAL}),
    "referral_in_greeting": ImapScript(greeting=b"* OK " + _REFERRAL),
    "tampering": ImapScript(untagged={"CAPABILITY": _PRE_TLS_LISTING, "STARTTLS": _PRE_TLS_LISTING}),
    "alert_before_tls": ImapScript(greeting=b"* OK [ALERT] Call 900-123-123 to unlock your mailbox"),
    "login_disabled": ImapScript(capabilities=("IMAP4rev1", "LOGINDISABLED")),
    "login_only": ImapScript(capabilities=("IMAP4rev1",)),
    "no_sasl_ir": ImapScript(capabilities=("IMAP4rev1", "AUTH=PLAIN")),
    "no_uidplus": ImapScript(capabilities=("IMAP4rev1", "SASL-IR", "AUTH=PLAIN", "NAMESPACE")),
    "oauth_only": ImapScript(capabilities=("IMAP4rev1", "AUTH=XOAUTH2", "LOGINDISABLED")),
    "append_limit": ImapScript(replies={"APPEND": b"NO [TOOBIG] Message too large"}),
    "full": ImapScript(replies={"APPEND": b"NO [OVERQUOTA] Quota exceeded"}),
}
"""Named IMAP conversations, those of the NO STARTTLS study under its names; vary with :func:`dataclasses.replace`."""


def smtp_server(
    script: SmtpScript | str = "friendly", certificate: Certificate | None = None, *, implicit_tls: bool = False
) -> ScriptedServer:
    """Return an SMTP server, not yet started, that plays ``script`` (one of :data:`SMTP_CASES` by name)."""
    chosen = SMTP_CASES[script] if isinstance(script, str) else script
    return _server(chosen, certificate, implicit_tls=implicit_tls)


def imap_server(
    script: ImapScript | str = "friendly", certificate: Certificate | None = None, *, implicit_tls: bool = False
) -> ScriptedServer:
    """Return an IMAP server, not yet started, that plays ``script`` (one of :data:`IMAP_CASES` by name)."""
    chosen = IMAP_CASES[script] if isinstance(script, str) else script
    if implicit_tls:
        chosen = replace(chosen, starttls=False)
    return _server(chosen, certificate, implicit_tls=implicit_tls)


def rude_server(name: str) -> ScriptedServer:
    """Return the server of :data:`RUDE` with that name, not yet started."""
    return ScriptedServer(RUDE[name])


@dataclass
class StoppedClock:
    """The seconds of a test: they pass only where it lets them."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the seconds passed."""
        return self.now


def dripping(script: Script, slow: bytes, clock: StoppedClock) -> Script:
    """Return ``script`` with every reply that holds ``slow`` sent a byte a second, by ``clock``; then it hangs up."""

    def play(wire: Wire) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if slow not in data:
                say(data)
                return
            for byte in data:
                clock.now += 1
                say(bytes([byte]))
            raise Closed

        wire.send = send
        script(wire)

    return play


def obsolete_tls_context(certificate: Certificate) -> ssl.SSLContext:
    """Return a server context that speaks TLS 1.0 and 1.1 only."""
    context = certificate.server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _server(script: Script, certificate: Certificate | None, *, implicit_tls: bool) -> ScriptedServer:
    context = certificate.server_context() if certificate else None
    return ScriptedServer(script, context=context, implicit_tls=implicit_tls)
