"""The check of a key: digest, comparison, and who may act with it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from cgcore.api_keys.form import KeyParts
from cgcore.api_keys.record import StoredKey, key_state
from cgcore.identity.actor import Actor
from cgcore.vault.secret import Secret

__all__ = ["admit", "digest_secret"]

# Compared when there is no such key: the same work, and no secret has this digest.
_NO_DIGEST = "0" * 64


def digest_secret(secret: Secret, pepper: bytes) -> str:
    """Return the HMAC-SHA256 of ``secret`` under ``pepper`` as hex.

    A fast digest is right here: the secret is random, not chosen by a person (OWASP ASVS 6.5.2).
    """
    return hmac.new(pepper, secret.reveal().encode("ascii"), hashlib.sha256).hexdigest()


def admit(parts: KeyParts, stored: StoredKey | None, *, pepper: bytes, now: datetime, ip: str = "") -> Actor | None:
    """Return who acts with the key, or ``None``: unknown, wrong, revoked, expired and disabled are one answer.

    An unknown key costs the same digest and comparison as a known one.
    """
    expected = stored.digest if stored else _NO_DIGEST
    if not hmac.compare_digest(expected, digest_secret(parts.secret, pepper)) or stored is None:
        return None
    state = key_state(now, revoked=stored.revoked, expires=stored.expires, retires=stored.retires)
    if not state.is_heard or not stored.user_active:
        return None
    return Actor(
        user_id=stored.user_id,
        username=stored.username,
        full_name=stored.full_name,
        mail=stored.mail,
        role=stored.role,
        key_id=stored.id,
        scopes=stored.scopes,
        ip=ip,
    )
