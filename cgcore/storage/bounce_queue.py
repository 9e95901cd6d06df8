"""The clerk's side of what came back: whose inbox is to be searched, and what was found there, each report once.

Of the sending it changes one thing only: what came back for an unknown one proves that it had left.

Apart from :mod:`cgcore.storage.bounces`: who only looks at what came back loads nothing of IMAP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, and_, col, delete, func, or_, select, update
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.mail.addresses import wire_address
from cgcore.mail.imap.inbox import Place, Received
from cgcore.mail.reports import Reference, ReferenceKind, Told
from cgcore.outbox.notices import FORGETS, Notice, NoticeKind, plan_look
from cgcore.outbox.states import CopyState, RecipientState, State
from cgcore.storage.bounce_tables import BounceNoticeRow, BounceSearchRow
from cgcore.storage.bounces import MOST_UNASSIGNED
from cgcore.storage.database import Database
from cgcore.storage.outbox import database_now
from cgcore.storage.outbox_parts import end_unknown, last_part
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboundRecipientRow
from cgcore.storage.tables import MailAccountRow

__all__ = [
    "Bounced",
    "Bounces",
    "SearchTask",
]

_LEASE = timedelta(minutes=15)
_FIRST, _ENDS, _APART = timedelta(minutes=2), timedelta(days=5), timedelta(minutes=1)
_LONGEST = timedelta(days=1, hours=1)  # a due moment further ahead is of a clock set back since
_Search, _Notice, _Message = BounceSearchRow, BounceNoticeRow, OutboundMessageRow


@dataclass(frozen=True, slots=True)
class SearchTask:
    """A search that this process has taken: how far the ``mailbox`` was read, and from which day on it counts."""

    user_id: int
    mailbox: str
    places: Mapping[str, Place]
    since: datetime


@dataclass(frozen=True, slots=True)
class Bounced:
    """A message of which a report was found for the first time."""

    message: str
    series: str
    number: str
    notice: Notice


class Bounces:
    """What the clerk of one process asks of the database; ``owner`` is its name."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database, self._owner = database, owner

    def has_work(self) -> bool:
        """Return whether a search is due."""
        with self._database.read() as session:
            now = database_now(session)
            return session.exec(select(_Search.user_id).where(*_due(now)).limit(1)).first() is not None

    def claim(self) -> SearchTask | None:
        """Take the search that is due longest; its next moment is set when it ends."""
        with self._database.session() as session:
            now = database_now(session)
            wanted = select(_Search).where(*_due(now)).order_by(col(_Search.asked)).limit(1)
            row = session.exec(wanted.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            row.owner, row.lease_until, row.asked = self._owner, now + _LEASE, now
            session.add(row)
            places = {name: Place(*numbers) for name, numbers in row.places.items()}
            return SearchTask(row.user_id, row.mailbox, places, now - _ENDS)

    def keep(
        self,
        task: SearchTask,
        mailbox: str,
        places: Mapping[str, Place],
        found: Sequence[Received],
        tell: Callable[[Session, Bounced], None],
    ) -> bool:
        """Store what was found with how far was read, in one transaction; ``tell`` is called in it for what is new.

        False where the search was ended, or taken over, meanwhile: then nothing is stored.
        """
        with self._database.session() as session:
            row = self._mine(session, task)
            if row is None:
                return False
            for received in found:
                for bounced in self._keep_report(session, task.user_id, received):
                    tell(session, bounced)
            row.mailbox = mailbox
            row.places = {name: [place.uidvalidity, place.uidnext, place.stumbled] for name, place in places.items()}
            session.add(row)
            return True

    def finish(self, task: SearchTask, *, key: str = "", after: timedelta | None = None) -> None:
        """Note how a look ended, and when the next one is due: by the sendings, or ``after`` that time."""
        with self._database.session() as session:
            row = self._mine(session, task)
            if row is None:
                return
            now, asked = database_now(session), row.asked or database_now(session)
            due = now + after if after is not None else plan_look(asked, _first_behind(session, task.user_id))
            row.due, row.key, row.owner, row.lease_until = due, key, "", None
            row.looked = row.looked if key else now
            row.account_version = session.exec(_version(task.user_id)).first() or 0
            session.add(row)

    def _mine(self, session: Session, task: SearchTask) -> BounceSearchRow | None:
        row = session.exec(select(_Search).where(_Search.user_id == task.user_id).with_for_update()).first()
        return row if row is not None and row.active and row.owner == self._owner else None

    def _keep_report(self, session: Session, user_id: int, received: Received) -> list[Bounced]:
        report, now = received.report, database_now(session)
        message = _find_message(session, user_id, report.references, now)
        if message is None and (report.references or _is_full(session, user_id, now)):
            return []  # it is about a mail of somebody else's, or forged
        kept: list[Bounced] = []
        for place, told in enumerate(report.told):
            if message is None and told.kind.value == NoticeKind.CONFIRMED.value:
                continue
            recipient = _find_recipient(session, message, told) if message is not None else None
            notice = _notice(received, told, message, recipient, now)
            if not self._add(session, user_id, report.identity, place, notice) or message is None:
                continue
            _take_over(session, message, recipient, notice, now)
            kept.append(Bounced(message.id, message.series, message.number, notice))
        return kept

    def _add(self, session: Session, user_id: int, report: str, place: int, notice: Notice) -> bool:
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        values = {
            "user_id": user_id,
            "message_id": notice.message or None,
            "report": report,
            "place": place,
            "kind": notice.kind.value,
            "address": notice.address,
            "status": notice.status,
            "key": notice.key,
            "reply": notice.reply,
            "at": notice.at,
        }
        made = insert(_Notice).values(**values).on_conflict_do_nothing().returning(col(_Notice.id))
        return session.connection().execute(made).scalar() is not None


def _due(now: datetime) -> tuple[Any, ...]:
    """Return what holds of a search that is due: its moment has come, or something has left since it was asked."""
    lease, due, asked = col(_Search.lease_until), col(_Search.due), col(_Search.asked)
    free = or_(lease.is_(None), lease < now, lease > now + _LEASE)
    left = or_(_left(_Message.accepted, now), _left(_Message.changed, now, _Message.state == State.UNKNOWN.value))
    fresh = and_(_Search.key == "", or_(asked.is_(None), asked <= now - _APART), left)
    saved = exists().where(
        col(MailAccountRow.user_id) == col(_Search.user_id),
        col(MailAccountRow.version) != col(_Search.account_version),
    )
    # After a look that failed nothing hurries another one, but that its person has saved the account.
    again = and_(_Search.key != "", saved)
    return col(_Search.active).is_(True), free, or_(due <= now, due > now + _LONGEST, fresh, again)


def _left(moment: Any, now: datetime, *more: Any) -> Any:
    since = or_(col(_Search.asked).is_(None), col(moment) > col(_Search.asked))
    within = (col(moment) > now - _ENDS, col(moment) <= now - _FIRST)
    return exists().where(col(_Message.user_id) == col(_Search.user_id), *within, since, *more)


def _version(user_id: int) -> SelectOfScalar[int]:
    return select(MailAccountRow.version).where(MailAccountRow.user_id == user_id)


def _first_behind(session: Session, user_id: int) -> Callable[[datetime], datetime | None]:
    def look(moment: datetime) -> datetime | None:
        left = select(func.min(_Message.accepted)).where(_Message.user_id == user_id, col(_Message.accepted) > moment)
        unsure = select(func.min(_Message.changed)).where(
            _Message.user_id == user_id, _Message.state == State.UNKNOWN.value, col(_Message.changed) > moment
        )
        found = [session.exec(wanted).one() for wanted in (left, unsure)]
        return min((each for each in found if each is not None), default=None)

    return look


def _find_message(
    session: Session, user_id: int, references: Sequence[Reference], now: datetime
) -> OutboundMessageRow | None:
    """Return the message that a report is about: one of this user's that has left, or may have, in the last month."""
    handed = func.coalesce(_Message.accepted, _Message.changed)
    for each in references:
        named = _Message.id if each.kind is ReferenceKind.ID else _Message.message_id
        wanted = select(_Message).where(
            _Message.user_id == user_id,
            named == each.value,
            col(_Message.state).in_((State.SENT.value, State.UNKNOWN.value, State.IN_FLIGHT.value)),
            handed > now - FORGETS,
        )
        if (found := session.exec(wanted.limit(1)).first()) is not None:
            return found
    return None


def _find_recipient(session: Session, message: OutboundMessageRow, told: Told) -> OutboundRecipientRow | None:
    """Return the recipient that is meant; of an address that mail was forwarded to nobody is."""
    wanted = select(OutboundRecipientRow).where(OutboundRecipientRow.message_id == message.id)
    known = {_plain(row.address): row for row in session.exec(wanted)}
    return next((known[_plain(address)] for address in told.addresses if _plain(address) in known), None)


def _plain(address: str) -> str:
    return wire_address(address).casefold()


def _notice(
    received: Received,
    told: Told,
    message: OutboundMessageRow | None,
    recipient: OutboundRecipientRow | None,
    now: datetime,
) -> Notice:
    address = recipient.address if recipient is not None else next(iter(told.addresses), "")
    name = message.id if message is not None else ""
    return Notice(NoticeKind(told.kind.value), address, received.at or now, name, told.status, told.key, told.reply)


def _take_over(
    session: Session,
    message: OutboundMessageRow,
    recipient: OutboundRecipientRow | None,
    notice: Notice,
    now: datetime,
) -> None:
    """Change what a report changes: the recipient's state; and that a message of unknown fate has left."""
    part = last_part(session, message.id)
    # What came back of an earlier transaction proves nothing of the last one.
    proves = part <= 1 or (recipient is not None and recipient.part == part)
    if message.state == State.UNKNOWN and proves:
        pending: dict[str, Any] = {"copy_state": CopyState.PENDING.value, "copy_due": now}
        copy = pending if message.copy_folder else {}
        end_unknown(session, message.id, message.fence, **copy)
    session.exec(update(_Message).where(col(_Message.id) == message.id).values(changed=now))
    if recipient is not None and notice.kind is NoticeKind.FAILED:
        open_states = (RecipientState.ACCEPTED.value, RecipientState.PENDING.value, RecipientState.SKIPPED.value)
        came_back = update(OutboundRecipientRow).where(
            col(OutboundRecipientRow.message_id) == message.id,
            col(OutboundRecipientRow.place) == recipient.place,
            col(OutboundRecipientRow.state).in_(open_states),
        )
        told = {"state": RecipientState.BOUNCED.value, "code": 0, "key": notice.key, "reply": notice.reply}
        session.exec(came_back.values(**told))


def _is_full(session: Session, user_id: int, now: datetime) -> bool:
    """Return whether no more unassigned ones are kept; those of more than a month ago go."""
    unassigned = (col(_Notice.user_id) == user_id, col(_Notice.message_id).is_(None))
    session.exec(delete(_Notice).where(*unassigned, col(_Notice.at) < now - FORGETS))
    return session.exec(select(func.count()).select_from(_Notice).where(*unassigned)).one() >= MOST_UNASSIGNED
