"""What an exception means, by its class and its attributes; never by what may hold a secret.

Apart from :mod:`cgcore.mail.diagnosis.diagnose`: a table of foreign exceptions, walked class by class in its tests.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass

from cgcore.mail.diagnosis.reply import decoded
from cgcore.mail.steps import Stage

__all__ = ["Found", "key_of_exception"]

_VERIFY_CODES: dict[int, str] = {
    **dict.fromkeys((18,), "cert_self_signed"),
    **dict.fromkeys((10, 14), "cert_expired"),
    **dict.fromkeys((9, 13), "cert_not_yet_valid"),
    **dict.fromkeys((62, 64), "cert_wrong_name"),
    **dict.fromkeys((66, 67, 68), "tls_obsolete"),
}
_REASONS_PLAIN = (
    "WRONG_VERSION_NUMBER",
    "UNKNOWN_PROTOCOL",
    "HTTP_REQUEST",
    "RECORD_LAYER",
    "PACKET_LENGTH",
    "BAD_RECORD",
)
_REASONS_OBSOLETE = (
    *("VERSION", "PROTOCOL", "HANDSHAKE_FAILURE", "CIPHER", "TOO_SMALL", "TOO_WEAK", "INAPPROPRIATE_FALLBACK"),
    *("LEGACY", "INSUFFICIENT_SECURITY", "SIGNATURE", "KEY_SHARE", "NO_SUITABLE", "DH_", "ILLEGAL_PARAMETER"),
)
_DROPPED = (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ESHUTDOWN, errno.ENOTCONN)
_UNREACHABLE = (
    *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL),
    *(errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The key an exception stands for, or the text to be diagnosed: a server's reply, or the library's own words."""

    key: str = ""
    text: str = ""
    is_reply: bool = False


def key_of_exception(exc: BaseException, stage: str) -> Found:
    """Return what an exception at a stage means: a key, or the text that decides.

    smtplib's errors are OSErrors and so are ssl's: the classes are tried along the inheritance, the nearest first.
    """
    for cls in type(exc).__mro__:
        handler = _HANDLERS.get(f"{cls.__module__}.{cls.__qualname__}")
        if handler and (found := handler(exc, stage)):
            return found
    return Found("unclassified")


def _reply(exc: BaseException, stage: str) -> Found | None:
    code = getattr(exc, "smtp_code", 0)
    said = decoded(getattr(exc, "smtp_error", b""))
    if not isinstance(code, int) or not 200 <= code < 600:
        return Found(text=f"{type(exc).__name__}(-1, {said!r})")
    if stage == Stage.GREETING and code < 300:
        return Found("protocol_error")
    return Found(text="\n".join(f"{code} {line}" for line in said.splitlines() or [""]), is_reply=True)


def _recipients(exc: BaseException, _stage: str) -> Found | None:
    refused = getattr(exc, "recipients", None)
    if not isinstance(refused, dict) or not refused:
        return Found("recipient_unknown")
    code, said = next(iter(refused.values()))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return Found(text="\n".join(f"{code} {line}" for line in decoded(said).splitlines() or [""]), is_reply=True)  # pyright: ignore[reportUnknownArgumentType]


def _named(exc: BaseException, _stage: str) -> Found | None:
    return Found(text=f"{type(exc).__module__}.{type(exc).__qualname__}: {exc}")


def _dropped(exc: BaseException, stage: str) -> Found | None:
    # smtplib hides the reason of a silent TLS port in the text («closed: timed out»).
    if "timed out" in str(exc):
        return _timeout(exc, stage)
    return Found("delivery_unknown" if stage == Stage.FINAL else "connection_dropped")


def _timeout(_exc: BaseException, stage: str) -> Found | None:
    by_stage = {Stage.DNS: "dns_temporary", Stage.TCP: "port_filtered", Stage.FINAL: "delivery_unknown"}
    return Found(next((key for place, key in by_stage.items() if place == stage), "server_silent"))


def _refused(_exc: BaseException, _stage: str) -> Found | None:
    return Found("port_closed")


def _no_address(exc: BaseException, _stage: str) -> Found | None:
    number = getattr(exc, "errno", None)
    missing = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)}
    return Found("host_not_found" if number in missing else "dns_temporary")


def _certificate(exc: BaseException, _stage: str) -> Found | None:
    code = getattr(exc, "verify_code", 0)
    return Found(_VERIFY_CODES.get(code, "cert_untrusted_chain") if isinstance(code, int) else "cert_untrusted_chain")


def _tls(exc: BaseException, stage: str) -> Found | None:
    reason = str(getattr(exc, "reason", "") or "").upper().replace(" ", "_")
    if any(name in reason for name in _REASONS_PLAIN):
        return Found("ssl_on_starttls_port" if stage != Stage.STARTTLS else "starttls_not_offered")
    if "UNKNOWN_CA" in reason or "CERTIFICATE" in reason:
        return Found("cert_untrusted_chain")
    if "EOF" in reason:
        return _dropped(exc, stage)
    if any(name in reason for name in _REASONS_OBSOLETE):
        return Found("tls_obsolete")
    return Found(text=f"ssl.SSLError: {exc}")


def _encoding(exc: BaseException, stage: str) -> Found | None:
    # Its arguments hold user and password in clear: only the name of the codec is read.
    codec = str(getattr(exc, "encoding", ""))
    if codec == "idna" or stage in (Stage.INPUT, Stage.DNS, Stage.TCP):
        return Found("invalid_input")
    if isinstance(exc, UnicodeDecodeError):
        return Found("protocol_error")
    by_stage = {
        Stage.AUTH: "credentials_charset",
        Stage.MAIL_FROM: "smtputf8_required",
        Stage.RCPT_TO: "smtputf8_required",
    }
    return Found(next((key for place, key in by_stage.items() if place == stage), "protocol_error"))


def _system(exc: BaseException, stage: str) -> Found | None:
    number = getattr(exc, "errno", None)
    if number in _DROPPED:
        return _dropped(exc, stage)
    if number in _UNREACHABLE:
        return Found("port_filtered") if stage in (Stage.DNS, Stage.TCP) else _dropped(exc, stage)
    if number == errno.ECONNREFUSED:
        return Found("port_closed")
    if number == errno.ETIMEDOUT:
        return _timeout(exc, stage)
    return _named(exc, stage) if str(exc) else None


_HANDLERS: dict[str, Callable[[BaseException, str], Found | None]] = {
    "smtplib.SMTPServerDisconnected": _dropped,
    "smtplib.SMTPRecipientsRefused": _recipients,
    "smtplib.SMTPResponseException": _reply,
    "smtplib.SMTPException": _named,
    "imaplib.IMAP4.abort": _named,
    "imaplib.IMAP4.readonly": lambda _exc, _stage: Found("folder_not_writable"),
    "imaplib.IMAP4.error": _named,
    "ssl.SSLCertVerificationError": _certificate,
    "ssl.SSLZeroReturnError": _dropped,
    "ssl.SSLEOFError": _dropped,
    "ssl.CertificateError": _certificate,
    "ssl.SSLError": _tls,
    "socket.gaierror": _no_address,
    "socket.herror": _no_address,
    "builtins.TimeoutError": _timeout,
    "builtins.ConnectionRefusedError": _refused,
    "builtins.ConnectionError": _dropped,
    "builtins.EOFError": _dropped,
    "builtins.UnicodeError": _encoding,
    "builtins.OverflowError": lambda _exc, _stage: Found("invalid_input"),
    "builtins.OSError": _system,
}
