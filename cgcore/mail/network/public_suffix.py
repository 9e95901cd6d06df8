"""Registrable domains, by the public suffix list that the package holds; several rooms ask whose a name is."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["has_public_suffix", "is_own", "registrable_domain"]


@cache
def _suffixes(*, accept_unknown: bool = True) -> Any:
    from publicsuffixlist import PublicSuffixList  # pyright: ignore[reportMissingTypeStubs]

    return PublicSuffixList(accept_unknown=accept_unknown)


def registrable_domain(name: str) -> str:
    """Return the part of an ASCII name that somebody registered (``empresa.com.es``); the name where there is none."""
    name = name.strip().rstrip(".").lower()
    found: str | None = _suffixes().privatesuffix(name)
    return found or name


def is_own(host: str, domain: str) -> bool:
    """Whether a host belongs to whoever registered ``domain``."""
    return registrable_domain(host) == registrable_domain(domain)


def has_public_suffix(name: str) -> bool:
    """Whether an ASCII name stands below a suffix of the list: ``intranet`` and ``nas.local`` do not."""
    return bool(_suffixes(accept_unknown=False).privatesuffix(name.strip().rstrip(".").lower()))
