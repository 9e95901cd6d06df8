"""Inside the mailbox: its folders, the one for copies, and the proof that a copy can be stored there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cgcore.mail.appending import try_folder
from cgcore.mail.folders import Folder, find_folder, full_name, parse_folders, parse_namespace, unlisted
from cgcore.mail.imap_reply import Outcome, Reply, refused, response_code
from cgcore.mail.imap_session import ImapSession
from cgcore.mail.providers import find_provider
from cgcore.mail.sent_folder import choose_sent, rank_folders, suggest_folder
from cgcore.mail.steps import Stage, Status, Step
from cgcore.mail.trace import OpenStage
from cgcore.mail.utf7 import quote_string

__all__ = ["MailboxTrial"]

_SHOWN_FOLDERS = 500


class MailboxTrial:
    """The stages after the sign-in: namespace, list, and with a folder select, create, append and cleanup."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        self._request = session.request
        self._client = session.client
        self._prefix = self._delimiter = ""
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

    def _begin(self, stage: Stage) -> OpenStage:
        return self._session.trace.begin(stage)

    def _namespace(self) -> Step:
        stage = self._begin(Stage.NAMESPACE)
        if "NAMESPACE" not in self._session.capabilities:
            return stage.skipped()
        reply = self._client.command("NAMESPACE")
        if not reply.ok:
            # Good to know, but LIST tells as much: no reason to stop, unless the connection is gone.
            return refused(stage, reply) if reply.outcome in (Outcome.LOST, Outcome.BYE) else stage.note(reply.words)
        self._prefix, self._delimiter = parse_namespace(reply.lines("NAMESPACE"))
        return stage.ok(reply.words, prefix=self._prefix, delimiter=self._delimiter)

    def _list(self) -> Step:
        stage = self._begin(Stage.LIST)
        everything = (b'""', b'"*"')
        command = "LIST"
        if "SPECIAL-USE" in self._session.capabilities:
            reply = self._client.command("LIST", *everything, b"RETURN (SPECIAL-USE)")
            if reply.outcome is Outcome.BAD:
                reply = self._client.command("LIST", *everything)
        else:
            command = "XLIST" if "XLIST" in self._session.capabilities else "LIST"
            reply = self._client.command(command, *everything)
        if not reply.ok:
            return refused(stage, reply)
        self._folders = parse_folders(reply.rows.get(command, ()))
        return stage.ok(reply.words, **self._offer())

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
            "prefix": self._prefix,
            "delimiter": self._delimiter,
        }

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
        step = refused(stage, reply, folder=typed)
        gone = step.key == "folder_missing" or (reply.outcome is Outcome.NO and step.key == "unclassified")
        return self._missing(stage, reply) if gone and folder is None else step

    def _open(self, folder: Folder) -> Reply:
        return self._client.command("SELECT", quote_string(folder.wire))

    def _opened(self, stage: OpenStage, folder: Folder, reply: Reply) -> Step:
        if response_code(reply.words, "READ-ONLY") is not None:
            return stage.fail("folder_not_writable", reply.words, folder=folder.name, reason="read_only")
        self._folder = folder
        return stage.ok(reply.words, folder=folder.name)

    def _missing(self, stage: OpenStage, reply: Reply) -> Step:
        """Return the step of a folder that is not there, with a proven proposal where there is a good one."""
        typed = self._request.folder
        suggestion = suggest_folder(typed, self._folders)
        proven = suggestion is not None and self._open(suggestion).ok
        return stage.fail(
            "folder_missing",
            reply.words,
            patch={"folder": suggestion.name} if suggestion and proven else {},
            folder=typed,
            suggestion=suggestion.name if suggestion else "",
            can_create=full_name(typed, self._prefix, self._delimiter),
        )

    def _create(self) -> Step | None:
        if self._folder is not None:
            return None
        stage = self._begin(Stage.CREATE)
        name = full_name(self._request.folder, self._prefix, self._delimiter)
        folder = find_folder(self._folders, name) or unlisted(name)
        reply = self._client.command("CREATE", quote_string(folder.wire))
        if not reply.ok and response_code(reply.words, "ALREADYEXISTS") is None:
            return refused(stage, reply, folder=name)
        subscribed = self._client.command("SUBSCRIBE", quote_string(folder.wire)).ok
        selected = self._open(folder)
        if not selected.ok:
            return refused(stage, selected, folder=name)
        self._folder = folder
        patch = {"folder": name} if name != self._request.folder else {}
        return replace(stage.ok(reply.words, folder=name, subscribed=subscribed), patch=patch)
