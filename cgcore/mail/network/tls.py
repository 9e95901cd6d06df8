"""TLS: the two kinds of context, the certificate card, and what a failed handshake means."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = [
    "CertificateCard",
    "alert_words",
    "bears_name",
    "certificate_card",
    "chain_context",
    "client_hello",
    "fingerprint",
    "handshake_key",
    "looking_context",
    "validity_facts",
    "verifying_context",
]


def verifying_context(ca_file: str = "") -> ssl.SSLContext:
    """Return the context of every connection that carries credentials without a pin: chain and name are checked.

    ``ca_file`` is trusted besides the system's authorities. The minimum is TLS 1.2, the default of :mod:`ssl`, and is
    never lowered. Raises ``OSError`` when the file cannot be read.
    """
    return _verifying_context(ca_file, Path(ca_file).stat().st_mtime_ns if ca_file else 0)


@lru_cache(maxsize=8)
def _verifying_context(ca_file: str, changed: int) -> ssl.SSLContext:
    """Loading a trust store takes longer than a probe on loopback: kept until the file changes."""
    del changed
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def chain_context(ca_file: str = "") -> ssl.SSLContext:
    """Return a context that checks the chain and leaves the name to the caller (:func:`bears_name`).

    So the names of a certificate for somebody else can be read from that very handshake. For connections without
    credentials only.
    """
    return _chain_context(ca_file, Path(ca_file).stat().st_mtime_ns if ca_file else 0)


@lru_cache(maxsize=8)
def _chain_context(ca_file: str, changed: int) -> ssl.SSLContext:
    del changed
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    return context


def bears_name(names: Sequence[str], wanted: str) -> bool:
    """Whether a certificate with these names is for ``wanted``, an ASCII name or an IP address (RFC 9525 §6.3).

    A wildcard stands for one whole label, the first, and never for a name of two labels.
    """
    name = wanted.rstrip(".").lower()
    for each in names:
        own = each.rstrip(".").lower()
        if own == name:
            return True
        first, _, rest = name.partition(".")
        if own.startswith("*.") and first and "." in rest and own[2:] == rest:
            return True
    return False


@lru_cache(maxsize=1)
def looking_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate: to read it for the card, or to compare it with a pin.

    Nothing secret may be sent over it before the fingerprint has been compared.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def client_hello(server_hostname: str) -> bytes:
    """Return the first message of a handshake: what answers it in TLS speaks TLS from the first byte."""
    outgoing = ssl.MemoryBIO()
    opening = looking_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_hostname)
    with suppress(ssl.SSLWantReadError):
        opening.do_handshake()
    return outgoing.read()


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate as 64 small hex digits."""
    return hashlib.sha256(der).hexdigest()


@dataclass(frozen=True, slots=True)
class CertificateCard:
    """What a person needs to judge a certificate. ``names`` are the DNS names and addresses, or the common name.

    ``chain`` says what stands behind it: ``trusted``, ``self_signed``, ``untrusted`` or ``unknown``. Dates are ISO
    8601 in UTC.
    """

    sha256: str
    names: tuple[str, ...]
    issuer: str
    not_before: str
    not_after: str
    chain: str

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values (``details.certificate``)."""
        return {
            "sha256": self.sha256,
            "names": list(self.names),
            "issuer": self.issuer,
            "not_before": self.not_before,
            "not_after": self.not_after,
            "chain": self.chain,
        }


@lru_cache(maxsize=64)
def certificate_card(der: bytes, *, trusted: bool = False) -> CertificateCard:
    """Return the card of a certificate in DER form; one that cannot be parsed still gets its fingerprint."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        chain = "trusted" if trusted else "self_signed" if certificate.issuer == certificate.subject else "untrusted"
        return CertificateCard(
            sha256=fingerprint(der),
            names=_names(certificate),
            issuer=_issuer(certificate),
            not_before=certificate.not_valid_before_utc.isoformat(),
            not_after=certificate.not_valid_after_utc.isoformat(),
            chain=chain,
        )
    except ValueError:
        return CertificateCard(fingerprint(der), (), "", "", "", "unknown")


def _names(certificate: Any) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(str(part.value) for part in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME))
    addresses = [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    return (*extension.get_values_for_type(x509.DNSName), *addresses)


def _issuer(certificate: Any) -> str:
    from cryptography import x509

    for oid in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME):
        parts = certificate.issuer.get_attributes_for_oid(oid)
        if parts:
            return str(parts[0].value)
    return str(certificate.issuer.rfc4514_string())


# OpenSSL's X509_V_ERR_* numbers, as SSLCertVerificationError.verify_code gives them.
_VERIFY_KEYS: Mapping[int, str] = {
    9: "cert_not_yet_valid",
    10: "cert_expired",
    18: "cert_self_signed",
    62: "cert_wrong_name",
    64: "cert_wrong_name",
}

# Firewalls and virus scanners that open TLS put their own name into the issuer of what they forge.
_INTERCEPTORS = (
    "avast", "avg ", "kaspersky", "eset ", "bitdefender", "fortinet", "fortigate", "sophos", "zscaler", "netskope",
    "palo alto", "check point", "checkpoint", "watchguard", "sonicwall", "barracuda", "mcafee", "dr.web",
    "cisco umbrella",
)  # fmt: skip

_OBSOLETE_REASONS = frozenset(
    {
        "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW",
        "NO_SHARED_CIPHER", "SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_CIPHERS_AVAILABLE", "DH_KEY_TOO_SMALL",
        "EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED",
        "TLSV1_ALERT_INSUFFICIENT_SECURITY", "WRONG_SIGNATURE_TYPE", "INTERNAL_ERROR_ALERT",
    }
)  # fmt: skip

# What OpenSSL says when the first bytes are no TLS record: the server greets in clear.
_PLAIN_REASONS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG",
                            "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE", "BAD_RECORD_TYPE"})  # fmt: skip


# What our clock can show while this program is in use; outside it is the clock that is wrong, and no certificate.
_CLOCK = (datetime(2026, 9, 1, tzinfo=UTC), datetime(2056, 1, 1, tzinfo=UTC))


def validity_facts(card: CertificateCard, key: str, now: datetime) -> dict[str, str]:
    """Return what the sentences say of a chain that is not valid now.

    ``date`` where the server's own certificate is the one: its end, or its beginning; else ``issuer``, since one of
    those that sign it must be.
    """
    if key == "clock_wrong":
        return {"date": now.date().isoformat()}
    moment = card.not_after if key == "cert_expired" else card.not_before
    if not moment:
        return {}
    own = datetime.fromisoformat(moment)
    blamed = own <= now if key == "cert_expired" else own > now
    return {"date": moment[:10]} if blamed else {"issuer": card.issuer}


def alert_words(error: BaseException) -> str:
    """Return in words the alert with which the other side ended the encryption (RFC 8446 §6), else ``""``."""
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    found = re.search(r"ALERT_(\w+)$|^TLSV1_(UNRECOGNIZED_NAME|UNSUPPORTED_EXTENSION)$", reason)
    return f"TLS alert: {(found[1] or found[2]).lower().replace('_', ' ')}" if found else ""


def handshake_key(error: ssl.SSLError, card: CertificateCard | None = None, *, now: datetime | None = None) -> str:
    """Return the diagnosis key of a failed handshake; ``""`` when it says nothing special (a drop, a timeout).

    ``card`` is the certificate that was refused, when it could be read.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        if card is not None and any(name in card.issuer.lower() for name in _INTERCEPTORS):
            return "tls_intercepted"
        key = _VERIFY_KEYS.get(error.verify_code, "cert_untrusted_chain")
        dated = key in ("cert_expired", "cert_not_yet_valid")
        return "clock_wrong" if dated and not _CLOCK[0] <= (now or datetime.now(UTC)) <= _CLOCK[1] else key
    reason = error.reason or ""
    if reason in _PLAIN_REASONS:
        return "ssl_on_starttls_port"
    return "tls_obsolete" if reason in _OBSOLETE_REASONS else ""
