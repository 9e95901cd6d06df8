"""Storing a message in a folder: the copy of a sent one, and a trial that is removed again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, make_msgid

from cgcore.mail.catalogue import build_diagnosis
from cgcore.mail.folders import Folder, unlisted
from cgcore.mail.imap_reply import numbers, refused, response_code
from cgcore.mail.imap_session import ImapSession
from cgcore.mail.providers import find_provider
from cgcore.mail.steps import Stage, Status, Step
from cgcore.mail.texts import trial_message
from cgcore.mail.utf7 import quote_string

__all__ = ["store_copy", "try_folder"]

_LINE_END = re.compile(rb"\r\n|\r|\n")
_SMALL = 4096  # what LITERAL- lets go out unasked (RFC 7888 §5); more is sent only once the server has said yes


def store_copy(session: ImapSession, raw_message: bytes) -> Step:
    """Store the copy of a sent message in the folder of the request and return the append step."""
    message = _LINE_END.sub(b"\r\n", raw_message)
    return _store(session, unlisted(session.request.folder), message, datetime.now(UTC))


def try_folder(session: ImapSession, folder: Folder) -> Iterator[Step]:
    """Yield append and cleanup: one small message is stored in the selected folder and removed again.

    Removed is what has the UID that the server gave it, and nothing else: a bare EXPUNGE would take with it whatever
    a person has marked as deleted. Where the server has no UID EXPUNGE (RFC 4315) the message stays, marked.
    """
    now = datetime.now(UTC)
    message_id = make_msgid(domain="cloud-gestion.invalid")
    step = _warned(session, _store(session, folder, _trial(session.request.user, message_id, now), now))
    yield step
    if step.status is not Status.ERROR:
        yield _remove(session, step.details.get("uid") or _find(session, message_id), message_id)


def _store(session: ImapSession, folder: Folder, message: bytes, when: datetime) -> Step:
    stage = session.trace.begin(Stage.APPEND)
    limit = _append_limit(session)
    if limit and len(message) > limit:
        return stage.fail("message_too_big", folder=folder.name, limit_mb=_megabytes(limit))
    small = len(message) <= _SMALL
    at_once = small and bool(session.capabilities & {"LITERAL+", "LITERAL-"})
    reply = session.client.append(folder.wire, message, when=when, at_once=at_once)
    if not reply.ok:
        if response_code(reply.words, "TRYCREATE") is not None:
            return refused(stage, reply, folder=folder.name, can_create=folder.name)
        return refused(stage, reply, folder=folder.name)
    place = numbers(response_code(reply.words, "APPENDUID") or b"")
    known = {"uidvalidity": place[0], "uid": place[1]} if len(place) == 2 else {}
    return stage.ok(reply.words, folder=folder.name, **known)


def _warned(session: ImapSession, step: Step) -> Step:
    """Return the step as a warning where the provider files what is sent by itself: every copy would be there twice."""
    provider = find_provider(session.request.provider)
    if step.status is not Status.OK or provider is None or not provider.saves_sent_copy:
        return step
    found = build_diagnosis("duplicate_copy", step.stage)
    return replace(
        step,
        status=Status.WARNING,
        key=found.key,
        field=found.field,
        fault=found.fault,
        retry=found.retry,
        patch={"folder": ""},
        details={**step.details, "provider": provider.name},
    )


def _append_limit(session: ImapSession) -> int:
    """Return what one message may weigh in bytes (RFC 7889), 0 when the server does not say."""
    told = [name.removeprefix("APPENDLIMIT=") for name in session.capabilities if name.startswith("APPENDLIMIT=")]
    return next(iter(numbers(told[0].encode())), 0) if told else 0


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.3g}".replace(".", ",")


def _trial(user: str, message_id: str, now: datetime) -> bytes:
    subject, text = trial_message()
    sender = f"<{user}>" if "@" in user and user.isascii() else "<prueba@cloud-gestion.invalid>"
    lines = [
        f"From: {sender}",
        f"To: {sender}",
        f"Subject: {subject}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-generated",  # RFC 3834
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        text,
        "",
    ]
    return "\r\n".join(lines).encode()


def _remove(session: ImapSession, uid: int, message_id: str) -> Step:
    stage = session.trace.begin(Stage.CLEANUP)
    if not uid:
        return stage.note(removed=False, message_id=message_id)
    number = str(uid).encode()
    reply = session.client.command("UID", b"STORE", number, b"+FLAGS.SILENT", b"(\\Deleted)")
    if not reply.ok or "UIDPLUS" not in session.capabilities:
        return stage.note(reply.words, removed=False, marked=reply.ok, uid=uid, message_id=message_id)
    reply = session.client.command("UID", b"EXPUNGE", number)
    if not reply.ok:
        return stage.note(reply.words, removed=False, marked=True, uid=uid, message_id=message_id)
    return stage.ok(reply.words, removed=True, uid=uid)


def _find(session: ImapSession, message_id: str) -> int:
    """Return the UID of the message with this Message-ID in the selected folder, 0 unless there is exactly one."""
    reply = session.client.command("UID", b"SEARCH", b"HEADER", b"Message-ID", quote_string(message_id.encode()))
    found = [uid for line in reply.lines("SEARCH") for uid in numbers(line)]
    return found[0] if len(found) == 1 else 0
