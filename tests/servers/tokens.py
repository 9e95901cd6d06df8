"""Access tokens as a real provider signs them (RFC 9068, RS256), for servers that check them by themselves."""

from __future__ import annotations

import base64
import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["TokenIssuer"]


class TokenIssuer:
    """One issuer with one key; tokens of two issuers do not pass for each other."""

    key_id = "prueba"

    def __init__(self, url: str = "https://identidad.example/") -> None:
        self.url = url

    @cached_property
    def private_pem(self) -> bytes:
        """The key that signs, for a server that signs by itself."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def write_key(self, folder: Path) -> None:
        """Write the public key where Dovecot's local validation looks for it."""
        place = folder / "default" / "RS256"
        place.mkdir(parents=True)
        pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (place / self.key_id).write_bytes(pem)
        for path in (folder, place.parent, place, place / self.key_id):
            path.chmod(0o755)

    def sign(self, email: str, *, seconds: int = 3600, scope: str = "mail", size: int = 0, **claims: Any) -> str:
        """Return a token for the mailbox ``email``, at least ``size`` characters long."""
        now = int(time.time())
        body = {"iss": self.url, "sub": email, "email": email, "iat": now - 60, "exp": now + seconds, "scope": scope}
        head = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        payload = {**body, **claims, **({"filler": "x" * (size * 3 // 4)} if size else {})}
        unsigned = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(payload).encode())}"
        signature = self._key.sign(unsigned.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{unsigned}.{_part(signature)}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
