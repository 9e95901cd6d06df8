"""A message as API and command line show it; its sentences are made here, in the language of the person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cgcore.mail.diagnosis.texts import sentences
from cgcore.mail.steps import Leg
from cgcore.outbox.message import Message, MessageFilters, Recipient
from cgcore.outbox.notices import Notice
from cgcore.outbox.states import CopyState, State
from cgcore.runs import Cell, Verdict
from cgcore.texts import lookup, sentence
from cgcore.workbench.verdicts import verdict_texts

__all__ = [
    "SHOWN_COPIES",
    "SHOWN_STATES",
    "filters_for",
    "message_json",
    "notice_json",
    "notice_texts",
    "reason_texts",
    "refusal_text",
    "shown_state",
    "state_text",
]

_TEXTS = "cgcore.outbox"
_BOUNCED = "bounced"
SHOWN_COPIES = {"copy_pending": CopyState.PENDING, "copy_failed": CopyState.FAILED}
"""The words for what is sent while its copy is not filed."""
SHOWN_STATES = (*(state.value for state in State if state is not State.STORING), *SHOWN_COPIES, _BOUNCED)
"""The words by which messages are listed: the states, and of those that are sent ``copy_pending`` and ``copy_failed``
where the copy is still to be filed or could not be, and ``bounced`` where they came back."""

_BY_COPY = {state: shown for shown, state in SHOWN_COPIES.items()}


def message_json(message: Message, *, attempts: bool = True) -> dict[str, Any]:
    """Return the object of the API; in a list it has no ``attempts``."""
    told: dict[str, Any] = {
        "id": message.id,
        "state": message.state.value,
        "reason": _reason(message.reason),
        "type": message.document_type,
        "series": message.series,
        "number": message.number,
        "customer": message.customer,
        "subject": message.subject,
        "message_id": message.message_id,
        "size": message.size,
        "created": _moment(message.created),
        "due": _moment(message.due),
        "accepted": _moment(message.accepted),
        "host": message.host,
        "queue_id": message.queue_id,
        "looked": _moment(message.looked),
        "bounced": message.came_back,
        "resent_of": message.resent_of,
        "recipients": [_recipient(each) for each in message.recipients],
        "copy": {
            "state": message.copy_state.value,
            "folder": message.copy_folder if message.copy_state != "none" else "",
            "key": message.copy_key,
        },
    }
    if attempts:
        told["attempts"] = [
            {
                "began": _moment(each.began),
                "ended": _moment(each.ended),
                "stage": each.stage,
                "key": each.key,
                "reply": each.reply,
            }
            for each in message.attempts
        ]
        told["notices"] = [notice_json(each) for each in message.notices]
    return told


def reason_texts(reason: Mapping[str, Any]) -> tuple[str, str]:
    """Return title and fix of why a message or an account stands where it stands."""
    key = str(reason.get("key", ""))
    own: Mapping[str, Mapping[str, str]] = lookup(_TEXTS, "reason")
    if key in own:
        values: Mapping[str, Any] = reason.get("values") or {}
        title, fix = (sentence(_TEXTS, f"reason.{key}.{part}", **values) for part in ("title", "fix"))
        return title, fix
    return verdict_texts(Cell.TEST_MAIL, Verdict.from_json(reason))


def notice_texts(notice: Notice) -> tuple[str, str]:
    """Return why a mail came back and what to do; both empty for what is no bounce."""
    if not notice.key:
        return "", ""
    own: Mapping[str, Mapping[str, str]] = lookup(_TEXTS, "reason")
    if notice.key in own:
        return reason_texts({"key": notice.key})
    return sentences(notice.key, Leg.SMTP, {"recipient": notice.address, "reply": notice.reply})


def shown_state(message: Message) -> str:
    """Return the state that is shown of a message: of a sent one also that it came back from anybody, else that its
    copy is missing. The first is about the customer, so it comes first."""
    if message.state is not State.SENT:
        return message.state.value
    return _BOUNCED if message.came_back else _BY_COPY.get(message.copy_state, State.SENT.value)


def filters_for(shown: str, *, document_type: str = "", query: str = "") -> MessageFilters:
    """Return the filters for one of :data:`SHOWN_STATES`, or for ``""``, any; ``sent`` are all that were accepted."""
    sent = frozenset({State.SENT})
    if shown == _BOUNCED:
        return MessageFilters(sent, document_type, query, came_back=True)
    if shown in SHOWN_COPIES:
        return MessageFilters(sent, document_type, query, came_back=False, copies=frozenset({SHOWN_COPIES[shown]}))
    return MessageFilters(frozenset({State(shown)} if shown else ()), document_type, query)


def state_text(state: str) -> str:
    """Return a state in words."""
    return sentence(_TEXTS, f"state.{state}")


def refusal_text(code: str) -> str:
    """Return the sentence of an :class:`cgcore.outbox.refused.OutboxRefused`."""
    return sentence(_TEXTS, f"refused.{code}")


def _reason(reason: Mapping[str, Any] | None) -> dict[str, str] | None:
    if reason is None:
        return None
    title, fix = reason_texts(reason)
    return {"key": str(reason.get("key", "")), "title": title, "fix": fix}


def notice_json(each: Notice) -> dict[str, Any]:
    """Return what came back as the API tells it."""
    title, fix = notice_texts(each)
    return {
        "at": _moment(each.at),
        "kind": each.kind.value,
        "address": each.address,
        "status": each.status,
        "key": each.key,
        "title": title,
        "fix": fix,
        "reply": each.reply,
    }


def _recipient(each: Recipient) -> dict[str, str]:
    return {
        "address": each.address,
        "kind": each.kind.value,
        "state": each.state.value,
        "key": each.key,
        "reply": each.reply,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
