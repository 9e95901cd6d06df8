"""A house whose outbox holds a message of every state, for pictures: what a page shows of each cannot be waited for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlmodel import col, delete, update

from cgcore.clock import utc_now
from cgcore.documents import DocumentType
from cgcore.mail.message import Attachment
from cgcore.outbox.notices import NoticeKind
from cgcore.outbox.saved import SavedFields
from cgcore.outbox.states import CopyState, RecipientState, State
from cgcore.process import new_owner
from cgcore.settings import load_settings
from cgcore.storage.bounce_tables import BounceNoticeRow
from cgcore.storage.outbox_tables import (
    OutboundAttemptRow,
    OutboundMessageRow,
    OutboundRecipientRow,
    OutboxAccountRow,
)
from cgcore.workbench import Workbench
from cgcore.workbench.core import open_workbench
from cgcore.workbench.outbox.compose import DocumentRequest

__all__ = ["STATES", "furnish_outbox"]

_PDF = Attachment("Factura.pdf", "application/pdf", b"%PDF-1.7 " + bytes(range(256)) * 800)
_HOST, _ID, _TO = "smtp.tuproveedor.example", "4F1A2B3C4D", "eva@losolivos.example"


@dataclass(frozen=True, slots=True)
class _Shown:
    """How one message stands: its columns, what was said of its recipients (``last``: of the copy alone), the reply of
    its last try, and what came back (``notice``, with the words of the server that were ``told``).
    """

    values: Mapping[str, Any]
    recipient: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reply: str = ""
    key: str = ""
    last: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notice: NoticeKind | None = None
    told: str = ""


def _reason(key: str, **values: str) -> dict[str, Any]:
    return {"key": key, "stage": "final", "ms": 1, "values": {"leg": "smtp", "host": _HOST, **values}}


_SENT = {"state": State.SENT.value, "accepted": utc_now, "host": _HOST, "queue_id": _ID}
_TAKEN = {"state": RecipientState.ACCEPTED.value, "code": 250}
STATES: Mapping[str, _Shown] = {
    "en-cola": _Shown({}),
    "enviando": _Shown({"state": State.CLAIMED.value}),
    "esperando": _Shown({"state": State.IN_FLIGHT.value}),
    "enviado": _Shown({**_SENT, "copy_state": CopyState.STORED.value, "copy_folder": "Enviados"}, _TAKEN, "250 ok"),
    "copia-pendiente": _Shown(
        {**_SENT, "copy_state": CopyState.PENDING.value, "copy_folder": "Enviados"}, _TAKEN, "250 ok"
    ),
    "copia-otra-vez": _Shown(
        {**_SENT, "copy_state": CopyState.PENDING.value, "copy_folder": "Enviados", "copy_key": "server_silent"},
        _TAKEN, "250 ok",
    ),
    "copia-fallida": _Shown(
        {**_SENT, "copy_state": CopyState.FAILED.value, "copy_key": "mailbox_full"}, _TAKEN, "250 ok"
    ),
    "copia-ajena": _Shown(
        {**_SENT, "copy_state": CopyState.SKIPPED.value, "copy_folder": "Enviados"}, _TAKEN, "250 ok"
    ),
    "copia-rechazada": _Shown(
        _SENT, _TAKEN, "250 ok",
        last={"state": RecipientState.REFUSED.value, "key": "recipient_unknown", "reply": "550 5.1.1 No such user"},
    ),
    "devuelto": _Shown(
        _SENT, {"state": RecipientState.BOUNCED.value, "key": "recipient_unknown"}, "250 ok", last=_TAKEN,
        notice=NoticeKind.FAILED, told=f"550 5.1.1 <{_TO}>: Recipient address rejected: User unknown",
    ),
    "retrasado": _Shown(
        _SENT, _TAKEN, "250 ok", notice=NoticeKind.DELAYED, told="451 4.4.1 mx.losolivos.example: Connection timed out",
    ),
    "confirmado": _Shown(_SENT, _TAKEN, "250 ok", notice=NoticeKind.CONFIRMED),
    "a-medias": _Shown(
        {**_SENT, "state": State.HELD.value, "held_by": "account", "reason": _reason("sending_quota")},
        {**_TAKEN, "part": 1}, "250 ok",
        last={"state": RecipientState.PENDING.value, "reply": "550 5.4.5 Daily user sending limit exceeded"},
    ),
    "sin-el-resto": _Shown(
        _SENT, {**_TAKEN, "part": 1}, "250 ok", last={"state": RecipientState.SKIPPED.value, "code": 0},
    ),
    "dado-por-enviado": _Shown({**_SENT, "queue_id": ""}, {}, key="delivery_unknown"),
    "a-mano": _Shown({"state": State.SENT.value, "accepted": utc_now, "size": 0, "parts": []}),
    "sin-bytes": _Shown({**_SENT, "bytes_removed": utc_now, "parts": []}, _TAKEN, "250 ok"),
    "otra-vez": _Shown({"tries": 2}, {}, "451 4.3.0 Try later", "server_busy"),
    "en-espera": _Shown(
        {"state": State.HELD.value, "held_by": "account", "reason": _reason("sending_quota")}, {},
        "550 5.4.5 Daily user sending limit exceeded", "sending_quota",
    ),
    "sin-confirmar": _Shown(
        {"state": State.UNKNOWN.value, "reason": _reason("delivery_unknown"), "host": _HOST, "looked": utc_now},
        key="delivery_unknown",
    ),
    "rechazado": _Shown(
        {"state": State.FAILED.value, "reason": _reason("recipient_unknown", recipient=_TO)},
        {"state": RecipientState.REFUSED.value, "key": "recipient_unknown", "reply": "550 5.1.1 No such user"},
        "550 5.1.1 No such user", "recipient_unknown", last={"state": RecipientState.PENDING.value},
    ),
    "cancelado": _Shown({"state": State.CANCELLED.value}),
}  # fmt: skip
"""The messages by what a picture of each is called, in the order in which they are handed in."""


def furnish_outbox(environment: Mapping[str, str]) -> None:
    """Hand in a message of each state and put two documents aside, in the house of ``environment``, before it runs."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        workbench = open_workbench(load_settings())
        try:
            _furnish(workbench)
        finally:
            workbench.close()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _furnish(workbench: Workbench) -> None:
    (who,) = workbench.outbox.list_people()
    series = next(each for each in workbench.series.defaults.get(who).rows if each.document_type == "sales_invoice")
    code = str(series.effective)
    for number, (name, shown) in enumerate(STATES.items(), 21042):
        request = DocumentRequest(
            DocumentType.SALES_INVOICE, code, str(number), [f"Eva Ruiz <{_TO}>"],
            customer=f"Comunidad Los Olivos ({name})", cc=["gestoria@ejemplo.example"], attachments=(_PDF,),
            variables={"contacto": "Eva", "importe": "1.234,56 €", "fecha": "24/11/2026", "vencimiento": "24/12/2026"},
        )  # fmt: skip
        message, _ = workbench.outbox.send(who, request, name)
        _show(workbench, message.id, shown)
    with workbench.database.session() as session:
        until = utc_now() + timedelta(hours=3)
        session.exec(update(OutboxAccountRow).values(paused=True, paused_until=until, reason=_reason("sending_quota")))
    for number in (21090, 21091):
        typed = {"number": str(number), "customer": "Talleres Ruiz", "to": "luis@talleres.example"}
        workbench.saved.save(who, SavedFields("sales_invoice", code, typed), [_PDF])


def _show(workbench: Workbench, name: str, shown: _Shown) -> None:
    now = utc_now()
    late = now + timedelta(hours=4)
    values: dict[str, Any] = {key: now if value is utc_now else value for key, value in shown.values.items()}
    attempts = int(values.pop("tries", 1 if shown.reply or shown.key else 0))
    with workbench.database.session() as session:
        row, other = OutboundMessageRow, OutboundRecipientRow
        # Far ahead: nobody goes on with any of them, as long as the process of the pictures sends nothing.
        held = {"due": late, "lease_until": late, "owner": new_owner(), "attempts": attempts, "copy_due": late}
        session.exec(update(row).where(col(row.id) == name).values(**held, **values))
        if shown.recipient:
            session.exec(update(other).where(col(other.message_id) == name).values(**shown.recipient))
        if shown.last:
            copy = update(other).where(col(other.message_id) == name, col(other.place) == 1)
            session.exec(copy.values(**{"key": "", "reply": "", **shown.last}))
        if shown.notice:
            told = {"message_id": name, "report": name, "place": 0, "kind": shown.notice.value, "address": _TO}
            key = "recipient_unknown" if shown.notice is NoticeKind.FAILED else ""
            why: dict[str, Any] = {"key": key, "reply": shown.told}
            session.add(BounceNoticeRow(user_id=workbench.outbox.list_people()[0].user_id, at=now, **told, **why))
        if values.get("size") == 0:
            session.exec(delete(other).where(col(other.message_id) == name))
        for _ in range(attempts):
            attempt = {"message_id": name, "began": now, "ended": now, "stage": "final"}
            session.add(OutboundAttemptRow(**attempt, key=shown.key, reply=shown.reply))
