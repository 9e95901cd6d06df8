"""A message of the outbox as it stands, its recipients and its tries; and what a worker knows of one it has taken."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cgcore.outbox.judgement import Outcome
from cgcore.outbox.matching import join_key
from cgcore.outbox.notices import Notice
from cgcore.outbox.states import CopyState, Kind, RecipientState, State

__all__ = [
    "AccountState",
    "Attempt",
    "Claimed",
    "CopyTask",
    "LookTask",
    "Message",
    "MessageFilters",
    "NewMessage",
    "Recipient",
    "Result",
    "Slot",
    "Turn",
    "new_message_name",
]


def new_message_name(now: datetime) -> str:
    """Return a name for a new message, 32 hex digits; later ones sort behind earlier ones.

    It is the id in the API, the header ``X-Cloud-Gestion-Id`` and the envelope id of RFC 3461.
    """
    return f"{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient and what is known of them; ``code`` is 0 and ``reply`` empty where nothing was said.

    ``part`` numbers the transactions of a message that needs several, by the last one that they were in; else it is 0.
    """

    address: str
    kind: Kind
    name: str = ""
    state: RecipientState = RecipientState.PENDING
    code: int = 0
    key: str = ""
    reply: str = ""
    part: int = 0

    @property
    def is_put_off(self) -> bool:
        """Whether a server has refused them for now (RFC 5321 §4.2.1); not, where it had only enough of others."""
        return 400 <= self.code < 500 and self.key != "too_many_recipients"

    @property
    def has_it(self) -> bool:
        """Whether a server has taken the message for them: it never goes to them again by itself."""
        return self.state in (RecipientState.ACCEPTED, RecipientState.BOUNCED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: how far it came (``stage``), what it was judged (``key``, empty for a good one), and what was said."""

    began: datetime
    ended: datetime | None = None
    stage: str = ""
    key: str = ""
    reply: str = ""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that is to be stored; ``parts`` are its blobs in their order."""

    name: str
    key: str
    request_hash: str
    document_type: str
    series: str
    number: str
    customer: str
    subject: str
    sender: str
    message_id: str
    size: int
    sha256: str
    parts: Sequence[str]
    recipients: Sequence[Recipient]
    delay_s: float
    copy_folder: str

    @property
    def document_key(self) -> str:
        """What every spelling of its series and number has in common."""
        return join_key(self.series, self.number)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands. ``reason`` is the stored verdict over its last try, ``held_by`` who lets it go.

    ``notices`` are what came back for it since; like the tries they are not told in lists. ``came_back``: one of them
    is a bounce, for whichever recipient.
    """

    id: str
    user_id: int
    state: State
    document_type: str
    series: str
    number: str
    customer: str
    subject: str
    sender: str
    message_id: str
    size: int
    created: datetime
    changed: datetime
    due: datetime
    request_hash: str = ""
    sha256: str = ""
    parts: Sequence[str] = ()
    reason: Mapping[str, Any] | None = None
    held_by: str = ""
    accepted: datetime | None = None
    host: str = ""
    queue_id: str = ""
    copy_state: CopyState = CopyState.NONE
    copy_folder: str = ""
    copy_key: str = ""
    recipients: Sequence[Recipient] = ()
    attempts: Sequence[Attempt] = ()
    tries: int = 0
    looked: datetime | None = None
    batch: str = ""
    bytes_removed: datetime | None = None
    notices: Sequence[Notice] = ()
    resent_of: str = ""
    came_back: bool = False

    @property
    def is_begun(self) -> bool:
        """Whether some have it already, and it is not over for the others."""
        return self.accepted is not None and self.state is not State.SENT


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the connections that an account may have at once, taken by a worker; ``fence`` proves that it still is."""

    user_id: int
    place: int
    fence: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that a worker has taken: what it sends, and the ``fence`` that proves the claim. ``age_s`` is since
    the first try."""

    id: str
    user_id: int
    fence: int
    sender: str
    size: int
    sha256: str
    parts: Sequence[str]
    recipients: Sequence[Recipient]
    tries: int
    age_s: float
    document_type: str = ""
    series: str = ""
    number: str = ""
    batch: str = ""

    @property
    def is_begun(self) -> bool:
        """Whether some have it already: those that are pending get it too, in another transaction."""
        return any(each.has_it for each in self.recipients)

    def select_part(self, most: int) -> Sequence[Recipient]:
        """Return those who get it in the next transaction, at most so many (0: all), those refused before last."""
        pending = [each for each in self.recipients if each.state is RecipientState.PENDING]
        wanted = sorted(pending, key=lambda each: each.is_put_off) if self.is_begun else list(self.recipients)
        return wanted[:most] if most else wanted


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one try, as it is stored: ``recipients`` in the order of the message, ``reason`` the verdict.

    ``counts``: others of its batch were refused, so they are counted again. ``taken`` is for how many recipients a
    server has taken it with this try, 0: for all that are not refused, where it has. ``is_part``: it was taken, and
    others are pending.
    """

    claimed: Claimed
    outcome: Outcome
    attempt: Attempt
    recipients: Sequence[Recipient]
    reason: Mapping[str, Any] | None = None
    host: str = ""
    queue_id: str = ""
    copy_state: CopyState = CopyState.NONE
    copy_after_s: float = 0.0
    counts: bool = False
    taken: int = 0
    is_part: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether the server has taken the message, for all or for a part of its recipients."""
        return self.is_part or self.outcome.state is State.SENT


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction between two messages came to: whether the result of the last was stored, whether the next
    is marked, what was taken besides, and the batch that was stopped by it, if one was."""

    done: bool
    marked: bool
    claimed: Sequence[Claimed] = ()
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class CopyTask:
    """A copy that is to be filed; ``tries`` counts those before this one."""

    id: str
    user_id: int
    message_id: str
    folder: str
    parts: Sequence[str]
    accepted: datetime
    tries: int
    size: int


@dataclass(frozen=True, slots=True)
class LookTask:
    """A message of unknown fate that is to be looked for in a folder; ``fence`` is that of its last try."""

    id: str
    user_id: int
    message_id: str
    folder: str
    fence: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """How a sender stands: ``paused``, until when (``None``: until a person lets it go), and why."""

    user_id: int
    paused: bool = False
    paused_until: datetime | None = None
    reason: Mapping[str, Any] | None = None
    rests: int = 0


def _no_states() -> frozenset[State]:
    return frozenset()


def _no_copies() -> frozenset[CopyState]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class MessageFilters:
    """Which messages are listed: those in ``states`` (all, where there are none), of a type, with some text
    in them, handed in together, those that ``came_back`` or the others (both, where that is ``None``), and those whose
    copies stand so (however they stand, where there are none)."""

    states: frozenset[State] = field(default_factory=_no_states)
    document_type: str = ""
    query: str = ""
    batch: str = ""
    came_back: bool | None = None
    copies: frozenset[CopyState] = field(default_factory=_no_copies)
