"""What the outbox refuses to do, and why; the code names the sentence."""

from __future__ import annotations

from cgcore.errors import CloudGestionError

__all__ = ["REFUSALS", "OutboxRefused"]

REFUSALS = frozenset(
    {
        "account_missing",
        "idempotency_key_reused",
        "still_storing",
        "too_late",
        "not_searched",
        "looking",
        "message_too_large",
        "bytes_removed",
        "too_many_saved",
    }
)


class OutboxRefused(CloudGestionError):
    """The request is well formed and cannot be met as things stand: ``code`` is one of :data:`REFUSALS`."""

    code = "too_late"
