"""Server names and mail addresses: cleaning what was typed, checking it, and the form in which it travels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from cgcore.errors import FieldProblem
from cgcore.mail import account_texts
from cgcore.mail.steps import Leg
from cgcore.text_rules import visible

__all__ = [
    "address_literal",
    "check_host",
    "clean_host",
    "domain_of",
    "encode_host",
    "encode_name",
    "is_address",
    "is_disguised_address",
    "needs_smtputf8",
    "wire_address",
]

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PORT = re.compile(r":\d+$")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


def _plain_address(host: str) -> str:
    """Return an IP address without its brackets, or ``""``."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return str(ip_address(host))
    except ValueError:
        return ""


def is_disguised_address(host: str) -> bool:
    """Whether ``host`` is an IPv4 address in decimal, octal, hexadecimal or shortened form.

    ``inet_aton`` takes all of them, so that ``2130706433`` and ``0177.1`` reach 127.0.0.1.
    """
    labels = host.removesuffix(".").split(".")
    return all(_NUMBER.fullmatch(label) for label in labels) and not _plain_address(host)


def clean_host(text: str) -> str:
    """Return the server name that was most likely meant: no blanks, scheme, path, port, user, ``pop.`` or ``..``."""
    host = _SCHEME.sub("", visible(text))
    host = re.split(r"[/?#\\]", host, maxsplit=1)[0]
    host = host.rpartition("@")[2]
    if not _plain_address(host):
        host = _PORT.sub("", host)
    return re.sub(r"\.{2,}", ".", host).strip(".").lower()


def encode_host(host: str) -> str:
    """Return the ASCII form of a host name (:func:`encode_name`) or the plain form of an IP address.

    Raises ``UnicodeError`` for a name that has none: a label that is empty or longer than 63 characters.
    """
    return _plain_address(host) or encode_name(host.removesuffix("."))


def encode_name(name: str) -> str:
    """Return the ASCII form of a domain name in small letters: IDNA of 2008 with the mapping of UTS 46.

    So ``faß.de`` is ``xn--fa-hia.de``, as browsers and registries have it; Python's own codec is the one of 2003 and
    leads to ``fass.de``. Labels in ASCII stay as they are, with ``_`` too. Raises ``UnicodeError``.
    """
    if name.isascii():
        labels = name.lower().split(".")
    else:
        import idna

        mapped = idna.uts46_remap(name, std3_rules=False)
        labels = [
            label if label.isascii() else idna.encode(label, uts46=True).decode("ascii") for label in mapped.split(".")
        ]
    if not all(0 < len(label) < 64 for label in labels):
        raise UnicodeError("a label that is empty or too long")
    return ".".join(labels)


def check_host(text: str, leg: Leg, *, name: str = "host") -> Iterator[FieldProblem]:
    """Yield what is wrong with a server name before anything is looked up; at most one problem.

    The cleaned name of :func:`clean_host` is named in the sentence.
    """
    code = _host_code(text, leg)
    if code:
        clean = clean_host(text)
        if code.startswith("pop_host"):
            clean = _without_pop(clean, leg)
        if code == "at_in_host":
            clean = f"{'imap' if leg is Leg.IMAP else 'smtp'}.{clean}"
        yield account_texts.problem(name, code, host=text.strip(), clean=clean)


def _without_pop(host: str, leg: Leg) -> str:
    return ("imap." if leg is Leg.IMAP else "smtp.") + host.partition(".")[2]


def _host_code(text: str, leg: Leg) -> str:
    host = visible(text)
    if not host:
        return "empty"
    if any(ord(character) < 32 or ord(character) == 127 for character in text.strip()):
        return "control_characters"
    if _SCHEME.match(host) or any(character in host for character in "/?#\\"):
        return "url"
    if "@" in host:
        return "at_in_host"
    if host != text:
        return "spaces"
    if _plain_address(host):
        return ""
    if _PORT.search(host):
        return "port_in_host"
    if ".." in host or host.startswith("."):
        return "double_dot"
    if re.match(r"pop3?\d*\.", host, re.IGNORECASE):
        return "pop_host" if leg is Leg.IMAP else "pop_host_smtp"
    return "" if _is_name(host) else "host_syntax"


def _is_name(host: str) -> bool:
    try:
        encoded = encode_host(host)
    except UnicodeError:
        return False
    return len(encoded) <= 253 and all(_LABEL.fullmatch(label) for label in encoded.split("."))


def address_literal(address: str) -> str:
    """Return an IP address as an EHLO argument (RFC 5321 §4.1.3): ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``."""
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


# RFC 5321 §4.1.2 without quoted local parts and address literals: no provider needs them, and both have been used to
# smuggle parameters into MAIL and RCPT.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN_LABEL = re.compile(
    r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?"
)


def is_address(text: str) -> bool:
    """Whether ``text`` is one plain address ``local@domain`` within the limits of RFC 5321 §4.5.3.1.

    Letters beyond ASCII are allowed (RFC 6531); blanks, control and format characters, ``<>``, quotes, a visible name
    and a domain without a dot are not.
    """
    if any(not character.isprintable() or character.isspace() for character in text):
        return False  # lone surrogates, as bytes that are no UTF-8 leave on a command line, are among them
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local) or len(local.encode()) > 64:
        return False
    try:
        encoded = _encoded_domain(domain)
    except UnicodeError:
        return False
    labels = encoded.split(".")
    return len(labels) > 1 and len(encoded) <= 255 and all(len(label) <= 63 and _is_label(label) for label in labels)


def _is_label(label: str) -> bool:
    return _DOMAIN_LABEL.fullmatch(label) is not None


def _encoded_domain(domain: str) -> str:
    return domain if domain.isascii() else encode_name(domain)


def wire_address(address: str) -> str:
    """Return an address as SMTP takes it without SMTPUTF8 where that can be: the domain in its ASCII form."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{_encoded_domain(domain)}"


def needs_smtputf8(address: str) -> bool:
    """Whether an address can only travel where the server offers SMTPUTF8 (RFC 6531)."""
    return not address.rpartition("@")[0].isascii()


def domain_of(address: str) -> str:
    """Return what follows the last ``@``, in small letters; ``""`` when there is none."""
    return address.rpartition("@")[2].lower() if "@" in address else ""
