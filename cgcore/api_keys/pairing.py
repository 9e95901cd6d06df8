"""What the QR code of a pairing says: where the API is, and a code that works once. Never a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from cgcore.vault.secret import Secret

__all__ = ["PAIRING_LIFETIME", "Pairing", "build_payload"]

PAIRING_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Pairing:
    """An open pairing: the one-time code, the text of the QR code, and when both stop working."""

    code: Secret
    payload: Secret
    expires: datetime


def build_payload(address: str, code: Secret) -> Secret:
    """Return the text of the QR code: ``cloud-gestion:pair?`` with the API's address and the one-time code."""
    return Secret("cloud-gestion:pair?" + urlencode({"api": address, "code": code.reveal()}))
