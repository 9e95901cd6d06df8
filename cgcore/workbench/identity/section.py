"""The section itself: every use case of identity under one name, and the signed header between gate and pages."""

from __future__ import annotations

import hashlib
import hmac
import re

from cgcore.once import once
from cgcore.workbench.identity.first_use import FirstUse
from cgcore.workbench.identity.passwords import PasswordUseCases

__all__ = ["IdentitySection"]

_TOKEN = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64})")


class IdentitySection(FirstUse, PasswordUseCases):
    """Log-ins, first use, passwords, accounts, grants and one-time codes."""

    def sign_identity(self, session_hash: str) -> str:
        """Return what the gate puts into ``x-cg-user``: ``<session hash>.<HMAC-SHA256>``, both in hex.

        It names the log-in, not the user, so that two log-ins of one person are two identities to Streamlit, which
        compares them before it resumes a session. It does not expire: the row of the log-in decides.
        """
        return f"{session_hash}.{self._sign(session_hash)}"

    def verify_identity(self, token: str) -> str | None:
        """Return the session hash of a token that :meth:`sign_identity` made with this installation's master key."""
        parts = _TOKEN.fullmatch(token)
        if parts is None or not hmac.compare_digest(parts[2], self._sign(parts[1])):
            return None
        return parts[1]

    def _sign(self, session_hash: str) -> str:
        return hmac.new(self._identity_key, session_hash.encode("ascii"), hashlib.sha256).hexdigest()

    @once
    def _identity_key(self) -> bytes:
        return self._workbench.vault.derive_key("gate")
