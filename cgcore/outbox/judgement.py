"""What the end of a try means: the state that follows, when the next try is due, and whether the account rests.

A limit of the provider is about the account, whichever code it comes with: nothing fails for it. Only where the words
are about the message or a recipient does the class of the code decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cgcore.outbox.states import State

__all__ = ["GIVE_UP_S", "LONGEST_WAIT_S", "Hold", "Outcome", "Told", "judge_connection", "judge_delivery"]

_MINUTE, _HOUR = 60, 3600
# After the n-th try, in seconds; then the last one again and again (RFC 5321 §4.5.4.1 asks for 30 minutes and more).
_RETRIES = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR)
_CUT_S = 30  # a connection that was cut says nothing about the message
_GREYLISTED_S = 5 * _MINUTE
GIVE_UP_S = 48 * _HOUR
"""After so many seconds of temporary refusals a person decides."""
LONGEST_WAIT_S = 4 * _HOUR
"""No message and no account waits for longer before the next try, whatever a server asks for."""

_ACCOUNT_RESTS = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR)
_QUOTA_S = _HOUR
_CROWDED_S = _MINUTE

# Limits and refusals that are about the account, not about a message.
_OF_THE_ACCOUNT = frozenset(
    {"sending_quota", "too_many_connections", "ip_blocklisted", "account_locked", "blocked_by_policy", "auth_required"}
)
# What passes by itself, wherever it is met; to ask for a token again locks no account.
_PASSING = frozenset(
    {"too_many_attempts", "too_many_connections", "sending_quota", "ip_blocklisted", "oauth_unreachable", "vault_away"}
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a try came to. ``fate`` is accepted, refused, pending (nothing was handed over) or unknown.

    ``key`` is the diagnosis, ``retry`` what it says of another try (``no``, ``later`` …), ``later`` whether the same
    message may pass at another time, ``wait_s`` what the server itself asked for, 0 for nothing.
    """

    fate: str
    key: str = ""
    stage: str = ""
    retry: str = ""
    later: bool = False
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """The account rests, for ``seconds``; ``None``: until a person has looked. ``asked``: the server itself has said
    for how long."""

    key: str
    seconds: float | None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state that follows, in how many seconds a queued one is due, and what becomes of the account."""

    state: State
    due_s: float = 0.0
    hold: Hold | None = None


def judge_delivery(told: Told, *, tries: int, age_s: float, chance: Callable[[], float]) -> Outcome:
    """Return what follows from one delivery, the ``tries``-th of this message, which was first due ``age_s`` ago.

    ``chance`` returns a number from 0 to 1: pauses are spread, so that not all come back in the same second.
    """
    if told.fate == "accepted":
        return Outcome(State.SENT)
    if told.fate == "unknown":
        return Outcome(State.UNKNOWN)
    if told.key in _OF_THE_ACCOUNT:
        return Outcome(State.HELD, hold=_hold(told, rests=0))
    if told.fate != "pending" and not told.later:
        return Outcome(State.FAILED)
    if age_s >= GIVE_UP_S:
        return Outcome(State.FAILED)
    return Outcome(State.QUEUED, due_s=_retry_after(told, tries, chance))


def judge_connection(told: Told, *, rests: int) -> Outcome:
    """Return what follows where no message was reached: the connection, the greeting or the sign-in failed.

    ``rests`` is how often the account has rested for this already. The message is not blamed, the account rests.
    """
    return Outcome(State.HELD, hold=_hold(told, rests=rests))


def _retry_after(told: Told, tries: int, chance: Callable[[], float]) -> float:
    if told.wait_s:
        return float(min(told.wait_s, LONGEST_WAIT_S))
    if told.fate == "pending" and tries <= 1:
        return float(_CUT_S)
    pause = _RETRIES[min(max(tries, 1), len(_RETRIES)) - 1]
    least = _GREYLISTED_S if told.key == "greylisted" else 0
    return max(least, pause * (0.5 + 0.5 * chance()))


def _hold(told: Told, *, rests: int) -> Hold:
    if told.wait_s:
        return Hold(told.key, float(min(told.wait_s, LONGEST_WAIT_S)), asked=True)
    if told.key == "too_many_connections":
        return Hold(told.key, _CROWDED_S)
    if told.key == "sending_quota":
        return Hold(told.key, _QUOTA_S * (1 + min(rests, 3)))
    if told.key not in _PASSING and (told.stage in ("auth", "input") or told.key in _OF_THE_ACCOUNT):
        # Another wrong password is what providers lock accounts for.
        return Hold(told.key, None if told.retry != "later" else _ACCOUNT_RESTS[-1])
    return Hold(told.key, _ACCOUNT_RESTS[min(rests, len(_ACCOUNT_RESTS) - 1)])
