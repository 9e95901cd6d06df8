"""Reports on mail that had left, in the shapes that servers write them: bounces, a delay, a confirmation."""

from __future__ import annotations

from pathlib import Path

from cgcore.outbox.message import Message

__all__ = ["report"]

_FOLDER = Path(__file__).parents[1] / "data" / "reports"


def report(shape: str, message: Message, recipient: str = "", **others: str) -> bytes:
    """Return a report of that shape on ``message``; ``others`` stand in place of its ``id`` and ``message_id``."""
    to = recipient or message.recipients[0].address
    values = {"id": message.id, "message_id": message.message_id, "to": to, **others}
    text = (_FOLDER / f"{shape}.eml").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.encode()
