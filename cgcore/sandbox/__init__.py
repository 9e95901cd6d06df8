"""The embedded test mailbox. Importing it loads no mail server; starting it does."""

from __future__ import annotations

from cgcore.sandbox.account import CA_FILE, HOST, SandboxAccount, SandboxLimits, SandboxPorts, StoredMessage
from cgcore.sandbox.sandbox import Sandbox

__all__ = ["CA_FILE", "HOST", "Sandbox", "SandboxAccount", "SandboxLimits", "SandboxPorts", "StoredMessage"]
