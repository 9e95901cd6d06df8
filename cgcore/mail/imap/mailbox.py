"""Inside the mailbox: its folders, and the proof that a copy of a sent message can be stored there.

Apart from :mod:`cgcore.mail.imap.session`: the session signs in, this is what a probe does afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, make_msgid
from typing import Any

from cgcore.mail.diagnosis.catalogue import build_diagnosis
from cgcore.mail.diagnosis.texts import trial_message
from cgcore.mail.imap.client import ImapReply, Outcome, response_code
from cgcore.mail.imap.folders import (
    Folder,
    Namespaces,
    choose_sent,
    find_folder,
    full_name,
    list_filed,
    parse_folders,
    parse_namespaces,
    parse_quota,
    quote_string,
    rank_folders,
    suggest_folder,
    unlisted,
)
from cgcore.mail.imap.session import ImapSession
from cgcore.mail.providers import find_provider
from cgcore.mail.steps import Stage
from cgcore.mail.transcript import OpenStage
from cgcore.runs import Status, Step

__all__ = ["MailboxTrial", "try_folder"]

_SHOWN_FOLDERS = 500
# What a refusal to open a folder may be read as before LIST is asked which of them it is.
_ABOUT_THE_FOLDER = frozenset({"folder_missing", "folder_not_writable", "mailbox_not_connected", "unclassified"})


class MailboxTrial:
    """The stages after the sign-in: namespace, list, and with a folder select, create, append and cleanup."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        self._request = session.request
        self._client = session.client
        self._namespaces = Namespaces()
        self._folders: tuple[Folder, ...] = ()
        self._folder: Folder | None = None

    def run(self) -> Iterator[Step]:
        """Yield the steps up to the first error."""
        keeps_copies = bool(self._request.folder.strip())
        stages = [self._namespace, self._list, *([self._select, self._create] if keeps_copies else [])]
        for stage in stages:
            step = stage()
            if step is not None:
                yield step
                if step.status is Status.ERROR:
                    return
        if self._folder is not None:
            yield from try_folder(self._session, self._folder)
        else:
            yield self._begin(Stage.SELECT).skipped()
            yield self._begin(Stage.APPEND).skipped()

    def list_filed(self) -> Sequence[Folder]:
        """Return where the provider may have filed what was sent, as it tells itself; nothing is changed."""
        self._namespace()
        self._list()
        return list_filed(self._folders)

    def _begin(self, stage: Stage) -> OpenStage:
        return self._session.connection.begin(stage)

    def _namespace(self) -> Step:
        stage = self._begin(Stage.NAMESPACE)
        if "NAMESPACE" not in self._session.capabilities:
            return stage.skipped()
        reply = self._client.command("NAMESPACE")
        if not reply.ok:
            # Good to know, but LIST tells as much: no reason to stop, unless the connection is gone.
            return reply.refusal(stage) if reply.outcome in (Outcome.LOST, Outcome.BYE) else stage.note(reply.words)
        self._namespaces = parse_namespaces(reply.lines("NAMESPACE"))
        return stage.ok(reply.words, prefix=self._namespaces.prefix, delimiter=self._namespaces.delimiter)

    def _list(self) -> Step:
        stage = self._begin(Stage.LIST)
        command, reply = self._session.list_folders()
        if not reply.ok:
            return reply.refusal(stage)
        self._folders = tuple(
            replace(folder, foreign=self._namespaces.is_foreign(folder.name))
            for folder in parse_folders(reply.rows.get(command, ()))
        )
        return stage.ok(reply.words, **self._offer(), **self._quota())

    def _offer(self) -> Mapping[str, Any]:
        choice = choose_sent(self._folders)
        provider = find_provider(self._request.provider)
        return {
            "folders": [folder.to_json() for folder in rank_folders(self._folders)[:_SHOWN_FOLDERS]],
            "total": len(self._folders),
            "recommended": choice.folder.name if choice.folder else "",
            "reason": choice.reason,
            "candidates": [folder.name for folder in choice.candidates],
            "server_saves_copy": bool(provider and provider.saves_sent_copy),
            "prefix": self._namespaces.prefix,
            "delimiter": self._namespaces.delimiter,
        }

    def _quota(self) -> Mapping[str, Any]:
        """Return what of the mailbox is used, by resource, where the server tells it and somebody wants to know."""
        if not (self._request.watch and "QUOTA" in self._session.capabilities):
            return {}
        reply = self._client.command("GETQUOTAROOT", b"INBOX")
        return {"quota": parse_quota(reply.lines("QUOTA"))} if reply.ok else {}

    def _select(self) -> Step:
        stage = self._begin(Stage.SELECT)
        typed = self._request.folder
        folder = find_folder(self._folders, typed)
        if folder is None and self._request.create_folder:
            return stage.skipped(folder=typed, missing=True)
        if folder is not None and not folder.selectable:
            return stage.fail("folder_not_writable", folder=typed, reason="noselect")
        reply = self._open(folder or unlisted(typed))
        if reply.ok:
            return self._opened(stage, folder or unlisted(typed), reply)
        step = reply.refusal(stage, folder=typed)
        if reply.outcome is not Outcome.NO or step.key not in _ABOUT_THE_FOLDER:
            return step
        if any(response_code(reply.words, code) is not None for code in ("NOPERM", "NONEXISTENT", "TRYCREATE")):
            listed = step.key != "folder_missing"  # the server's own code says which
        else:
            # Words alone say little: Courier's «Unable to open this mailbox» is said of either. LIST tells.
            listed = folder is not None
        return stage.fail("folder_not_writable", reply.words, folder=typed) if listed else self._missing(stage, reply)

    def _open(self, folder: Folder) -> ImapReply:
        return self._client.command("SELECT", quote_string(folder.wire))

    def _opened(self, stage: OpenStage, folder: Folder, reply: ImapReply) -> Step:
        if response_code(reply.words, "READ-ONLY") is not None:
            return stage.fail("folder_not_writable", reply.words, folder=folder.name, reason="read_only")
        self._folder = folder
        return stage.ok(reply.words, folder=folder.name)

    def _missing(self, stage: OpenStage, reply: ImapReply) -> Step:
        """Return the step of a folder that is not there, with a proven proposal where there is a good one."""
        typed = self._request.folder
        suggestion = suggest_folder(typed, self._folders, self._namespaces.prefix)
        proven = suggestion is not None and self._open(suggestion).ok
        return stage.fail(
            "folder_missing",
            reply.words,
            patch={"folder": suggestion.name} if suggestion and proven else {},
            folder=typed,
            suggestion=suggestion.name if suggestion else "",
            can_create=full_name(typed, self._namespaces.prefix, self._namespaces.delimiter),
        )

    def _create(self) -> Step | None:
        if self._folder is not None:
            return None
        stage = self._begin(Stage.CREATE)
        name = full_name(self._request.folder, self._namespaces.prefix, self._namespaces.delimiter)
        folder = find_folder(self._folders, name) or unlisted(name)
        reply = self._client.command("CREATE", quote_string(folder.wire))
        if not reply.ok and response_code(reply.words, "ALREADYEXISTS") is None:
            return reply.refusal(stage, folder=name)
        subscribed = self._client.command("SUBSCRIBE", quote_string(folder.wire)).ok
        selected = self._open(folder)
        if not selected.ok:
            return selected.refusal(stage, folder=name)
        self._folder = folder
        patch = {"folder": name} if name != self._request.folder else {}
        return replace(stage.ok(reply.words, folder=name, subscribed=subscribed), patch=patch)


def try_folder(session: ImapSession, folder: Folder) -> Iterator[Step]:
    """Yield append and cleanup: one small message is stored in the selected folder and removed again.

    Removed is what has the UID that the server gave it, and nothing else: a bare EXPUNGE would take with it whatever
    a person has marked as deleted. Where the server has no UID EXPUNGE (RFC 4315) the message stays, marked.
    """
    now = datetime.now(UTC)
    message_id = make_msgid(domain="cloud-gestion.invalid")
    step = _warned(session, session.append(_trial(session.request.user, message_id, now), folder, now))
    yield step
    if step.status is not Status.ERROR:
        yield _remove(session, step.details.get("uid") or session.find_message(message_id), message_id)


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
    stage = session.connection.begin(Stage.CLEANUP)
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
