"""The embedded test mailbox. Importing it loads no mail server; starting it does."""

from __future__ import annotations

from cgcore.sandbox.sandbox import Sandbox
from cgcore.sandbox.state import CA_FILE, HOST, SandboxAccount, SandboxLimits, SandboxPorts, StoredMessage

__all__ = ["CA_FILE", "HOST", "Sandbox", "SandboxAccount", "SandboxLimits", "SandboxPorts", "StoredMessage"]
