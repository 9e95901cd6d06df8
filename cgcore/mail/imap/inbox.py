"""Where mail comes in: the inbox and the folder for unwanted mail, read without leaving a trace there.

Two things are looked for: reports on mail that had left, and our own test mail. Folders are opened with EXAMINE and
parts fetched with PEEK, so nothing becomes read. Of a report its make-up is asked first, then only what it reports:
the message that it returns may weigh 34 MB, and of all other mail nothing is read.

Apart from :mod:`cgcore.mail.imap.mailbox`, which proves the folder for copies.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from typing import Any

from cgcore.mail.addresses import domain_of
from cgcore.mail.arrival import arrival_status, read_results
from cgcore.mail.imap.client import Outcome, numbers
from cgcore.mail.imap.fetch import Structure, Value, read_fetch, read_structure
from cgcore.mail.imap.folders import Folder, choose_junk, parse_folders, quote_string, unlisted
from cgcore.mail.imap.session import ImapSession
from cgcore.mail.reports import Report, ReportParts, decode_part, read_report
from cgcore.mail.steps import Stage
from cgcore.runs import Status, Step

__all__ = ["Place", "Reading", "Received", "list_incoming", "look_for_mail", "read_reports"]

_PATIENCE = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)  # seconds between the looks for our own mail
_MOST = 200  # reports of one look; the rest is of the next
_HEADER_BYTES, _PART_BYTES = 16_384, 65_536
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HEADERS = (
    b"BODY.PEEK[HEADER.FIELDS (FROM DATE MESSAGE-ID IN-REPLY-TO REFERENCES X-ORIGINAL-MESSAGE-ID X-FAILED-RECIPIENTS)]"
)
_BY_SENDER = (b'FROM "mailer-daemon"', b'FROM "postmaster"')
_BY_TYPE = (b'HEADER Content-Type "delivery-status"', b'HEADER Content-Type "disposition-notification"')
_STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")
_CONFIRMATION_PARTS = ("message/disposition-notification", "message/global-disposition-notification")
_RETURNED = ("message/rfc822", "message/global")
_RETURNED_HEADERS = ("text/rfc822-headers", "message/global-headers")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a folder has been read (RFC 9051 §2.3.1.1). ``stumbled`` is a message that ended the connection once."""

    uidvalidity: int = 0
    uidnext: int = 0
    stumbled: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    """A report, and when it came in by the server's clock, where it tells that."""

    report: Report
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a folder, and how far that has been read now; ``is_whole``: nothing is left in it."""

    place: Place
    found: Sequence[Received] = ()
    is_whole: bool = True


def list_incoming(session: ImapSession) -> Sequence[Folder]:
    """Return the folders that mail may arrive in, the inbox first."""
    command, reply = session.list_folders()
    folders = parse_folders(reply.rows.get(command, ())) if reply.ok else ()
    junk = choose_junk(folders)
    return (unlisted("INBOX"), *([junk] if junk is not None else []))


def read_reports(session: ImapSession, folder: Folder, place: Place, since: date) -> Reading:
    """Return the reports that have come into ``folder`` behind ``place``, none from before ``since``.

    Where the connection ends meanwhile, what was read until then counts.
    """
    opened = session.client.command("EXAMINE", quote_string(folder.wire))
    if not opened.ok:
        # A folder that is not there has nothing in it; what the connection says decides about another try.
        return Reading(place, is_whole=opened.outcome is Outcome.NO)
    validity, following = (_number(opened.lines(name)) for name in ("UIDVALIDITY", "UIDNEXT"))
    if validity != place.uidvalidity:
        place = Place(validity)
    uids = _search(session, place.uidnext, since)
    if uids is None:
        return Reading(place, is_whole=False)
    found: list[Received] = []
    for uid in uids[:_MOST]:
        if uid == place.stumbled:
            continue
        received = _read(session, uid)
        if received is None:
            return Reading(replace(place, uidnext=uid, stumbled=uid), found, is_whole=False)
        found += received
    if len(uids) > _MOST:
        return Reading(Place(validity, uids[_MOST]), found, is_whole=False)
    return Reading(Place(validity, max(following, place.uidnext, *(uid + 1 for uid in uids), 1)), found)


def look_for_mail(
    session: ImapSession, message_id: str, *, patience: Sequence[float] | None = None, since: float | None = None
) -> Step:
    """Look for our own mail where mail comes in, again after each pause of ``patience``; return the arrival step.

    Its details hold the ``code`` (``inbox``, ``junk``, ``missing``), the ``folder``, the results of the receiving
    server, and the ``seconds`` after ``since`` on the environment's clock. It is never an error: the mail has left.
    """
    stage = session.connection.begin(Stage.ARRIVAL)
    clock, folders = session.connection.env.clock, list_incoming(session)
    for pause in (0.0, *(_PATIENCE if patience is None else patience)):
        time.sleep(pause)
        session.connection.begin(Stage.ARRIVAL)  # each look has a time of its own
        for folder in folders:
            opened = session.client.command("EXAMINE", quote_string(folder.wire))
            if opened.outcome not in (Outcome.OK, Outcome.NO):
                return stage.note(code="missing")
            header = _find_header(session, message_id) if opened.ok else None
            if header is not None:
                request = session.request
                results = read_results(header, request.host, domain_of(request.user))
                took = {} if since is None else {"seconds": max(1, round(clock() - since))}
                code = "inbox" if folder == folders[0] else "junk"
                details: dict[str, Any] = {"code": code, "folder": folder.name, **took, **results}
                return (stage.ok if arrival_status(details) is Status.OK else stage.note)(**details)
    return stage.note(code="missing")


def _find_header(session: ImapSession, message_id: str) -> bytes | None:
    uid = session.find_message(message_id)
    answer = _fetch(session, uid, b"BODY.PEEK[HEADER]" + _first(_PART_BYTES)) if uid else None
    return None if answer is None else _body(answer, "BODY[HEADER")


def _search(session: ImapSession, first: int, since: date) -> Sequence[int] | None:
    """Return what may be a report, the oldest first; ``None`` where nothing was answered."""
    day = f"{since.day}-{_MONTHS[since.month - 1]}-{since.year}".encode()
    within = (b"UID", b"%d:*" % max(first, 1), b"SINCE", day)
    # Not every server looks into this header: then the senders of such mail have to do.
    for wanted in ((*_BY_TYPE, *_BY_SENDER), _BY_SENDER):
        reply = session.client.command("UID", b"SEARCH", *within, *([b"OR"] * (len(wanted) - 1)), *wanted)
        if reply.ok:
            found = {uid for line in reply.lines("SEARCH") for uid in numbers(line)}
            return sorted(uid for uid in found if uid >= first)  # «n:*» is the last one where n is beyond it
        if reply.outcome not in (Outcome.NO, Outcome.BAD):
            return None
    return None


def _read(session: ImapSession, uid: int) -> list[Received] | None:
    """Return the report that a message is, if it is one; ``None`` where the connection is gone."""
    asked = _fetch(session, uid, b"INTERNALDATE", b"BODYSTRUCTURE", _HEADERS + _first(_HEADER_BYTES))
    if not asked:
        return None if asked is None else []
    structure, header = read_structure(asked.get("BODYSTRUCTURE")), _body(asked, "BODY[HEADER")
    wanted = dict(_wanted(structure, header))
    if not wanted:
        return []
    answer = _fetch(session, uid, *(item + _first(_PART_BYTES) for item, _ in wanted.values()))
    if answer is None:
        return None
    parts = {name: decode_part(_body(answer, _answered(item)), encoding) for name, (item, encoding) in wanted.items()}
    report = read_report(ReportParts(_kind(structure), header, **parts))
    if not report.told:
        return []
    identity = report.identity or hashlib.sha256(header + parts.get("fields", b"")).hexdigest()
    return [Received(replace(report, identity=identity[:500]), _moment(asked.get("INTERNALDATE")))]


def _kind(structure: Structure) -> str:
    if structure.type != "multipart/report":
        return ""
    if structure.find(*_STATUS_PARTS):
        return "delivery-status"
    return "disposition-notification" if structure.find(*_CONFIRMATION_PARTS) else ""


def _wanted(structure: Structure, header: bytes) -> Iterator[tuple[str, tuple[bytes, str]]]:
    """Yield what is fetched of a report: its name here, how it is asked for, and how it is encoded."""
    text = structure.find("text/plain")
    if not _kind(structure):
        # Older servers tell it in plain words, and name the addresses in a header.
        if text is not None and structure.type == "text/plain" and message_from_bytes(header)["X-Failed-Recipients"]:
            yield "text", (b"BODY.PEEK[1]", text.encoding)
        return
    fields = structure.find(*_STATUS_PARTS, *_CONFIRMATION_PARTS)
    for name, part in (("text", text), ("fields", fields), ("returned", structure.find(*_RETURNED_HEADERS))):
        if part is not None:
            yield name, (b"BODY.PEEK[%s]" % part.number.encode(), part.encoding)
    if whole := structure.find(*_RETURNED):
        yield "returned", (b"BODY.PEEK[%s.HEADER]" % whole.number.encode(), "")


def _first(count: int) -> bytes:
    return b"<0.%d>" % count


def _fetch(session: ImapSession, uid: int, *items: bytes) -> Mapping[str, Value] | None:
    """Return what is told of a message, nothing where it is gone; ``None`` where the connection is."""
    reply = session.client.command("UID", b"FETCH", b"%d" % uid, b"(" + b" ".join((b"UID", *items)) + b")")
    if not reply.ok:
        return {} if reply.outcome in (Outcome.NO, Outcome.BAD) else None
    told = [each for each in read_fetch(reply.rows.get("FETCH", ())) if each.get("UID") == b"%d" % uid]
    return told[0] if told else {}


def _answered(item: bytes) -> str:
    """Return the name under which an item is answered."""
    return item.replace(b".PEEK", b"").decode().upper()


def _body(answer: Mapping[str, Value], name: str) -> bytes:
    found = next((value for key, value in answer.items() if key.startswith(name)), None)
    return found if isinstance(found, bytes) else b""


def _moment(value: Value) -> datetime | None:
    try:
        return parsedate_to_datetime(value.decode()).astimezone(UTC) if isinstance(value, bytes) else None
    except ValueError:
        return None


def _number(rows: Sequence[bytes]) -> int:
    return next((number for row in rows for number in numbers(row)), 0)
