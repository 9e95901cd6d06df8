"""Documents on their way: hand in, look, take back, send again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from cgcore.errors import CloudGestionError, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.outbox.message import Message
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import ENDED
from cgcore.web.api.message_objects import (
    MESSAGE_BODY,
    MessageList,
    MessageObject,
    MessageSummary,
    Resolution,
    read_message,
)
from cgcore.web.api.problems import ApiProblem, ProblemCode, field_problem
from cgcore.web.api.routes.base import Bench, build_router, problems
from cgcore.web.api.scopes import MessagePoster, MessageReader, Sender
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest, Unsendable
from cgcore.workbench.outbox.describe import SHOWN_STATES, filters_for, message_json

__all__ = ["router"]

router = build_router()

_NDJSON = "application/x-ndjson"
_LOOK_EVERY_S = 0.5
_HEARTBEAT_S = 15.0
_StateName = Annotated[str, Query(json_schema_extra={"enum": ["", *SHOWN_STATES]})]
# The one that decides gives the document its code.
_OWN_CODES = ("unknown_type", "unknown_series", "empty_attachment", "too_many_recipients", "idempotency_key_form")
_STORED: dict[int | str, dict[str, Any]] = {
    200: {"model": MessageObject},
    202: {"headers": {"Location": {"schema": {"type": "string"}}}},
}


@router.post("/messages", status_code=202, responses={**_STORED, **problems(409, 413, 415)}, openapi_extra=MESSAGE_BODY)
async def post_message(
    workbench: Bench,
    actor: MessagePoster,
    request: Request,
    response: Response,
    key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> MessageObject:
    """Store a message, which then goes by itself."""
    if key is None:
        raise ApiProblem(ProblemCode.IDEMPOTENCY_KEY_MISSING)
    try:
        document = await read_message(request)
        message, is_new = await to_thread.run_sync(_send, workbench, actor, document, key)
    except (InvalidInput, OutboxRefused) as refused:
        raise _refusal(refused) from None
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/api/v1/messages/{message.id}"
    return _shown(message)


@router.get("/messages")
def list_messages(
    workbench: Bench,
    actor: MessageReader,
    state: _StateName = "",
    document_type: Annotated[str, Query(alias="type", max_length=60)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str, Query(max_length=32, pattern="^([0-9a-f]{32})?$")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> MessageList:
    """The messages of this user, the newest first.

    Of those of ``sent``, ``bounced`` are those that came back from anybody, ``copy_pending`` and ``copy_failed`` those
    whose copy is still to be filed, or could not be.
    """
    if state not in ("", *SHOWN_STATES):
        wrong = field_problem("state", "enum", {"expected": list(SHOWN_STATES)})
        raise ApiProblem(ProblemCode.INVALID_INPUT, errors=[wrong])
    filters = filters_for(state, document_type=document_type, query=q)
    page = workbench.outbox.list(actor, filters, cursor=cursor, limit=limit)
    items = [MessageSummary.model_validate(message_json(each, attempts=False)) for each in page.messages]
    return MessageList(items=items, next=page.next or None)


@router.get("/messages/{id}", responses=problems(404))
def get_message(workbench: Bench, actor: MessageReader, id: str) -> MessageObject:
    """One message as it stands."""
    return _shown(workbench.outbox.get(actor, id))


@router.get(
    "/messages/{id}/raw",
    responses={200: {"content": {"message/rfc822": {"schema": {"type": "string"}}}}, **problems(404, 410)},
    response_class=StreamingResponse,
)
def get_message_raw(workbench: Bench, actor: MessageReader, id: str) -> StreamingResponse:
    """The bytes, as they go or went."""
    try:
        return StreamingResponse(workbench.outbox.read(actor, id), media_type="message/rfc822")
    except OutboxRefused as refused:
        raise _refusal(refused) from None


@router.get(
    "/messages/{id}/events",
    responses={200: {"content": {_NDJSON: {"schema": {"type": "string"}}}}, **problems(404)},
    response_class=StreamingResponse,
)
def follow_message(workbench: Bench, actor: MessageReader, id: str) -> StreamingResponse:
    """A line a change, until the message stays as it is."""
    first = workbench.outbox.get(actor, id)
    return StreamingResponse(_events(workbench, actor, first), media_type=_NDJSON)


@router.post("/messages/{id}/cancel", responses=problems(404, 409))
def cancel_message(workbench: Bench, actor: MessageReader, id: str) -> MessageObject:
    """Take a message back that waits."""
    return _changed(workbench.outbox.cancel, actor, id)


@router.post("/messages/{id}/skip-rest", responses=problems(404, 409))
def skip_rest_of_message(workbench: Bench, actor: MessageReader, id: str) -> MessageObject:
    """End a message that some of its recipients have already: the others do not get it."""
    return _changed(workbench.outbox.skip_rest, actor, id)


@router.post("/messages/{id}/send-now", status_code=202, responses=problems(404, 409))
def send_message_now(workbench: Bench, actor: MessageReader, id: str) -> MessageObject:
    """End the delay of a message."""
    return _changed(workbench.outbox.send_now, actor, id)


@router.post("/messages/{id}/resend", status_code=202, responses=problems(404, 409))
def resend_message(workbench: Bench, actor: MessageReader, id: str) -> MessageObject:
    """Send the same bytes again."""
    return _changed(workbench.outbox.resend, actor, id)


@router.post("/messages/{id}/look", responses=problems(404, 409))
def look_for_message(workbench: Bench, actor: Sender, id: str) -> MessageObject:
    """Look for an unsure message in the sent folder now; one that lies there has left."""
    return _changed(workbench.outbox.look_for, actor, id)


@router.post("/messages/{id}/resolve", responses=problems(404, 409, 413, 415))
def resolve_message(workbench: Bench, actor: MessageReader, id: str, resolution: Resolution) -> MessageObject:
    """Say of an unsure message that it has left."""
    del resolution  # there is one outcome
    return _changed(workbench.outbox.resolve_sent, actor, id)


def _send(workbench: Workbench, actor: Actor, document: DocumentRequest, key: str) -> tuple[Message, bool]:
    return workbench.outbox.send(actor, document, key)


def _changed(change: Callable[[Actor, str], Message], actor: Actor, name: str) -> MessageObject:
    try:
        return _shown(change(actor, name))
    except OutboxRefused as refused:
        raise _refusal(refused) from None


def _shown(message: Message) -> MessageObject:
    return MessageObject.model_validate(message_json(message))


def _refusal(refused: InvalidInput | OutboxRefused) -> ApiProblem:
    if isinstance(refused, OutboxRefused):
        headers = {"Retry-After": "1"} if refused.code in ("still_storing", "looking") else None
        return ApiProblem(ProblemCode(refused.code), headers=headers)
    if isinstance(refused, Unsendable):
        checks = [check.to_dict() for check in refused.checks]
        return ApiProblem(ProblemCode.UNSENDABLE, errors=refused.problems, extra={"checks": checks})
    codes = {found.code for found in refused.problems}
    own = next((code for code in _OWN_CODES if code in codes), ProblemCode.INVALID_INPUT.value)
    return ApiProblem(ProblemCode(own), errors=refused.problems)


async def _events(workbench: Workbench, actor: Actor, first: Message) -> AsyncIterator[str]:
    message, said, silent = first, "", 0.0
    while True:
        told = {"state": message.state.value, "copy": message.copy_state.value, "due": message.due.isoformat()}
        now = json.dumps(told)
        if now != said or silent >= _HEARTBEAT_S:
            at = message.changed if now != said else workbench.clock()
            line = {"at": at.isoformat(), **told, "attempts": message.tries, "queue_id": message.queue_id}
            yield json.dumps(line if now != said else {**line, "heartbeat": True}) + "\n"
            said, silent = now, 0.0
        if message.state in ENDED:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
        silent += _LOOK_EVERY_S
        try:
            message = await to_thread.run_sync(workbench.outbox.get, actor, message.id)
        except CloudGestionError:
            return
