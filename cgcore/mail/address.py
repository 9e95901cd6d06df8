"""Mail addresses as they travel in SMTP commands: strict, one address, nothing else."""

from __future__ import annotations

import re

__all__ = ["domain_of", "is_address", "needs_smtputf8", "wire_address"]

# RFC 5321 §4.1.2 without quoted local parts and address literals: no provider needs them, and both have been used to
# smuggle parameters into MAIL and RCPT.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?")


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
    return _LABEL.fullmatch(label) is not None


def _encoded_domain(domain: str) -> str:
    return domain if domain.isascii() else domain.encode("idna").decode("ascii")


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
