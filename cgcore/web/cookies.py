"""The cookie of a log-in."""

from __future__ import annotations

from cgcore.vault.secret import Secret

__all__ = ["build_cookie", "build_expired_cookie", "read_cookie"]

# ``__Host-`` (RFC 6265bis, 4.1.3) needs Secure, which a plain address does not have.
_SECURE_NAME, _PLAIN_NAME = "__Host-cg", "cg_session"


def read_cookie(header: str, *, secure: bool) -> Secret:
    """Return the token of a Cookie header, empty when there is none. A plain cookie does not count under TLS."""
    name = _SECURE_NAME if secure else _PLAIN_NAME
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return Secret(value)
    return Secret("")


def build_cookie(token: Secret, *, secure: bool) -> str:
    """Return the Set-Cookie value: no script reads it, no foreign form sends it, closing the browser drops it."""
    name = _SECURE_NAME if secure else _PLAIN_NAME
    return f"{name}={token.reveal()}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def build_expired_cookie(*, secure: bool) -> str:
    """Return the Set-Cookie value that takes the cookie away."""
    return build_cookie(Secret(""), secure=secure) + "; Max-Age=0"
