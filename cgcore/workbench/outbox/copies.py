"""Files the copies of sent messages, and looks for those whose fate nobody knows. It knows no way to send anything.

The copy is the very bytes that were accepted. An APPEND whose answer was lost may have filed it: so the folder is
searched before, and a second try is never made where it could not be searched. Between the search and the last byte
somebody else may have filed it, where this process was asleep: so that byte leaves only while the copy is still ours.

Apart from :mod:`cgcore.workbench.outbox.worker`: whoever reads it sees that nothing here sends.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import shuffle
from typing import TYPE_CHECKING

from cgcore.errors import CloudGestionError, InvalidInput, StorageError
from cgcore.mail.connection import Connection, Timeouts
from cgcore.mail.imap.client import Pieces
from cgcore.mail.imap.folders import Folder, unlisted
from cgcore.mail.imap.mailbox import MailboxTrial
from cgcore.mail.imap.session import ImapSession
from cgcore.mail.reports import OWN_HEADER
from cgcore.mail.steps import Leg
from cgcore.outbox.message import CopyTask, LookTask
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import CopyState
from cgcore.runs import Status
from cgcore.storage.acting import find_acting
from cgcore.storage.outbox_bytes import OutboxBytes
from cgcore.storage.outbox_copies import OutboxCopies
from cgcore.workbench.outbox.handover import FROZEN_S, awake_clock

if TYPE_CHECKING:
    from cgcore.identity.actor import Actor
    from cgcore.mail.request import ProbeRequest
    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRequests

__all__ = ["CopyClerk", "build_inbox_request"]

_MINUTE, _HOUR = 60.0, 3600.0
_RETRIES = (_MINUTE, 5 * _MINUTE, 30 * _MINUTE)
_MOST_TRIES = len(_RETRIES) + 72  # then hourly, for three days
_NEXT_TURN_S = _MINUTE / 2  # of what was not reached: before whatever kept it from its turn
# What another try does not mend: a person does.
_FOR_A_PERSON = frozenset({"folder_missing", "folder_not_writable", "mailbox_full", "message_too_big"})
# Outlook.com replaces the Message-ID and keeps ours here; our own header survives everywhere.
_OTHER_NAMES = ("X-Microsoft-Original-Message-ID",)


@dataclass(frozen=True, slots=True)
class _Passed:
    """What a connection came to: what kept it from signing in, whether its token had run out, how many were filed."""

    trouble: str
    has_token_ended: bool
    filed: int


class CopyClerk:
    """One connection for all copies of an account that are due; a connection that ends is made anew at the next try."""

    def __init__(
        self,
        context: Context,
        owner: str,
        *,
        mail_account: MailAccountSection,
        requests: MailRequests,
        timeouts: Timeouts | None = None,
        awake: Callable[[], float] = awake_clock,
    ) -> None:
        self._context, self._mail_account, self._requests = context, mail_account, requests
        self._awake = awake
        self._store, self._bytes = OutboxCopies(context.database, owner), OutboxBytes(context.database)
        self._timeouts = timeouts or Timeouts()

    def work(self) -> None:
        """Do what is due now."""
        while self._store.has_work():
            tasks, looks = self._store.claim(), self._store.claim_looks()
            if tasks:
                self._file(tasks)
            if looks:
                self._look(looks)
            if not tasks and not looks:
                return

    # ---- Copies

    def _file(self, tasks: Sequence[CopyTask]) -> None:
        left = list(tasks)
        # One at which each session ends is not the first every time: so it keeps the others waiting for a while only.
        shuffle(left)
        try:
            request = self._request(tasks[0].user_id)
            passed = self._file_over(request, left)
            if passed.has_token_ended and request.tokens is not None:
                request.tokens.drop()
                passed = self._file_over(request, left)
        except CloudGestionError as failure:
            self._wait(tasks, left, "account_unfit" if isinstance(failure, InvalidInput) else "temporary_failure")
        else:
            if passed.filed:  # the session has ended with another one: that counts against none of these
                for task in left:
                    self._store.put_off(task, _NEXT_TURN_S)
            elif left:
                self._wait(tasks, left, passed.trouble or "connection_dropped")

    def _wait(self, tasks: Sequence[CopyTask], left: Sequence[CopyTask], key: str) -> None:
        """Let all copies of a user wait that wait for the same: a mailbox that is entered in vain is entered less and
        less often, and once for all of them."""
        for task in left:
            self._again(task, key)
        self._store.count_in_vain(tasks[0].user_id, key, _pause(min(task.tries for task in tasks)))

    def _file_over(self, request: ProbeRequest, left: list[CopyTask]) -> _Passed:
        """File what is ``left`` over one connection, taking away what is settled."""
        folder = left[0].folder or request.folder
        with Connection(request, self._requests.environment(), self._timeouts) as connection:
            session = ImapSession(connection)
            steps = [*session.connect(), *session.sign_in()]
            trouble = "" if session.signed_in else steps[-1].key or "connection_dropped"
            may_go_on, filed = session.signed_in, 0
            while left and may_go_on:
                end = self._file_one(session, left[0], unlisted(left[0].folder or folder))
                if end is not None:
                    left.pop(0)
                    filed += end in (CopyState.STORED, CopyState.SKIPPED)
                may_go_on = session.usable and connection.channel is not None
            list(session.close())
            return _Passed(trouble, session.token_ended, filed)

    def _file_one(self, session: ImapSession, task: CopyTask, folder: Folder) -> CopyState | None:
        """Return what became of it, ``None`` where the session ended before anything did."""
        found = session.search(folder, *_names(task.id, task.message_id))
        if found:
            # Before the first try somebody else has filed it: the provider.
            state = CopyState.STORED if task.tries else CopyState.SKIPPED
            self._store.finish(task, state, uid=found[0])
            return state
        if session.token_ended:
            return None
        if found is None and task.tries:
            return self._again(task, "temporary_failure")
        try:
            step = session.append(Pieces(task.size, self._read(task)), folder, task.accepted)
        except StorageError:
            session.connection.close()  # in the middle of the message: the server keeps nothing of it
            return self._again(task, "temporary_failure")
        if step.status is not Status.ERROR:
            uid, uidvalidity = (int(step.details.get(name, 0)) for name in ("uid", "uidvalidity"))
            self._store.finish(task, CopyState.STORED, uid=uid, uidvalidity=uidvalidity)
            return CopyState.STORED
        if step.key in _FOR_A_PERSON:
            self._store.finish(task, CopyState.FAILED, key=step.key)
            return CopyState.FAILED
        # Also where the session has ended here: it may have been filed before the word, so it is searched again.
        return self._again(task, step.key)

    def _read(self, task: CopyTask) -> Iterator[bytes]:
        """Yield the bytes, the last one only while the copy is still ours to file.

        Raises :class:`StorageError` there, and where they are not all there any more.
        """
        size, last = 0, b""
        for piece in self._bytes.read(task.parts):
            size += len(piece)
            if piece and size <= task.size:
                yield last + piece[:-1]
                last = piece[-1:]
        if size != task.size:
            raise StorageError("a message is not what was stored", code="storage_damaged")
        asked = self._awake()
        if not self._store.keep(task) or self._awake() - asked > FROZEN_S:
            raise StorageError("others may have filed it meanwhile", code="storage_busy")
        yield last

    def _again(self, task: CopyTask, key: str) -> CopyState:
        state = CopyState.FAILED if task.tries + 1 >= _MOST_TRIES else CopyState.PENDING
        self._store.finish(task, state, key=key, after_s=_pause(task.tries) if state is CopyState.PENDING else 0.0)
        return state

    # ---- Messages of unknown fate

    def look_now(self, user_id: int, name: str) -> bool | None:
        """Look for a message at once, as its person asks; return whether its folder could be searched.

        ``None``: its fate is not unknown, or not any more. Raises :class:`OutboxRefused` (``looking``) while another
        one of theirs is under way.
        """
        look, token = self._store.find_look(user_id, name), secrets.token_hex(8)
        if look is None:
            return None
        if not self._store.begin_look(user_id, token):
            raise OutboxRefused("another look is under way", code="looking")
        try:
            return self._look([look]) == 1
        finally:
            self._store.end_look(user_id, token)

    def _look(self, looks: Sequence[LookTask]) -> int:
        """Look for messages of one user; return for how many of them the folder could be searched."""
        answered = 0
        try:
            request = self._request(looks[0].user_id)
        except CloudGestionError:
            return answered
        with Connection(request, self._requests.environment(), self._timeouts) as connection:
            session = ImapSession(connection)
            _drain(session.connect())
            _drain(session.sign_in())
            marked: Sequence[Folder] | None = None
            for look in looks:
                if not (session.signed_in and session.usable):
                    break
                chosen = look.folder or request.folder
                if not chosen and marked is None:
                    marked = MailboxTrial(session).list_filed()
                answered += self._look_in(session, look, [unlisted(chosen)] if chosen else marked or ())
            _drain(session.close())
        return answered

    def _look_in(self, session: ImapSession, look: LookTask, folders: Sequence[Folder]) -> bool:
        """Look for a message until it is found; return whether its fate is known now, or all could be searched."""
        whole = bool(folders)
        for folder in folders:
            found = session.search(folder, *_names(look.id, look.message_id))
            if found:
                self._store.looked(replace(look, folder=folder.name), found=True)
                return True
            whole = whole and found is not None
        if whole:
            self._store.looked(look, found=False)
        return whole

    def _request(self, user_id: int) -> ProbeRequest:
        return build_inbox_request(self._context, self._mail_account, self._requests, user_id)[1]


def _pause(tries: int) -> float:
    """Return how many seconds a copy waits that has been tried so many times before."""
    return _RETRIES[tries] if tries < len(_RETRIES) else _HOUR


def build_inbox_request(
    context: Context, mail_account: MailAccountSection, requests: MailRequests, user_id: int
) -> tuple[Actor, ProbeRequest]:
    """Return who acts, and how their own mailbox is entered, long after they have gone home.

    Raises :class:`InvalidInput` where there is nobody, or nothing, to do that with.
    """
    with context.database.read() as session:
        actor = find_acting(session, user_id)
    if actor is None:
        raise InvalidInput
    draft = mail_account.get(actor).draft
    if not draft.imap.host:
        raise InvalidInput
    return actor, requests.build(actor, Leg.IMAP, draft)


def _names(name: str, message_id: str) -> Iterator[tuple[str, str]]:
    yield "Message-ID", message_id
    for header in _OTHER_NAMES:
        yield header, message_id
    yield OWN_HEADER, name


def _drain(steps: Iterator[object]) -> None:
    for _ in steps:
        pass
