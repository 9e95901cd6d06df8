"""The states of a message and the edges between them, as data; the storage takes no other way.

There is one uncertain moment: from the last byte of the final dot until a complete reply (RFC 5321 §4.2.5, RFC 1047).
So there are two ways of being worked on. ``claimed``: nothing irrevocable has happened, and whose worker is gone goes
back to the queue. ``in_flight``: the dot may have left, and whose worker is gone becomes ``unknown``, never ``queued``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = [
    "CANCELLABLE",
    "EDGES",
    "ENDED",
    "RESENDABLE",
    "SKIPPABLE",
    "UNSURE",
    "CopyState",
    "Kind",
    "RecipientState",
    "State",
    "is_edge",
]


class State(StrEnum):
    """Where a message stands. ``storing`` is before the answer to whoever hands it in: nobody sees it."""

    STORING = "storing"
    QUEUED = "queued"
    CLAIMED = "claimed"
    IN_FLIGHT = "in_flight"
    SENT = "sent"
    HELD = "held"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


EDGES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.STORING: frozenset({State.QUEUED}),
        # Sent from the queue is what some have already, once its person lets the others be.
        State.QUEUED: frozenset({State.CLAIMED, State.HELD, State.CANCELLED, State.SENT}),
        State.CLAIMED: frozenset({State.QUEUED, State.IN_FLIGHT, State.HELD, State.FAILED}),
        State.IN_FLIGHT: frozenset({State.SENT, State.QUEUED, State.HELD, State.FAILED, State.UNKNOWN}),
        # By a proof or a person, and by the late word of the worker that was thought to be gone.
        State.UNKNOWN: frozenset({State.SENT, State.QUEUED, State.HELD, State.FAILED}),
        # What is sent without having been in flight went another way, as its person says.
        State.HELD: frozenset({State.QUEUED, State.CANCELLED, State.SENT}),
        State.FAILED: frozenset({State.QUEUED, State.SENT}),
        State.SENT: frozenset(),
        State.CANCELLED: frozenset(),
    }
)
"""From each state, the states that may follow."""

CANCELLABLE = frozenset({State.QUEUED, State.HELD})
"""What a person may take back."""
RESENDABLE = frozenset({State.FAILED, State.UNKNOWN, State.HELD})
"""What a person may send again: the same bytes, the same Message-ID."""
SKIPPABLE = frozenset({State.QUEUED, State.HELD, State.FAILED})
"""Where a message that some have already may end without the others, as its person says."""
ENDED = frozenset({State.SENT, State.FAILED, State.UNKNOWN, State.CANCELLED})
"""Nothing more happens by itself, but that a proof turns up for an unknown one."""


UNSURE = "delivery_unknown"
"""The key of a recipient who may have a message that goes again all the same."""


def is_edge(before: State, after: State) -> bool:
    """Return whether ``after`` may follow ``before``."""
    return after in EDGES[before]


class Kind(StrEnum):
    """How a recipient is named: visibly in To or Cc, or in the envelope alone."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"


class RecipientState(StrEnum):
    """What is known of one recipient; that a mail was read, or even delivered, nobody can say.

    ``skipped``: its person has let them be, when others had the message already.
    """

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    BOUNCED = "bounced"
    SKIPPED = "skipped"


class CopyState(StrEnum):
    """The copy in the sent folder. It is its own story: no way leads from here back to the sending."""

    NONE = "none"
    PENDING = "pending"
    STORED = "stored"
    FAILED = "failed"
    SKIPPED = "skipped"
