"""The rules of the outbox: what may follow on what, and what an answer of a server leads to."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from cgcore.mail.smtp.delivery import Delivery, Fate, RecipientResult
from cgcore.mail.steps import Stage
from cgcore.outbox.judgement import GIVE_UP_S, Hold, Outcome, Told, judge_connection, judge_delivery
from cgcore.outbox.notices import NoticeKind
from cgcore.outbox.states import (
    CANCELLABLE,
    EDGES,
    ENDED,
    RESENDABLE,
    SKIPPABLE,
    CopyState,
    RecipientState,
    State,
    is_edge,
)
from cgcore.runs import Status, Step
from cgcore.storage import outbox_copies
from cgcore.storage.outbox_left import FIRST_LOOK
from cgcore.workbench.outbox.handover import count_taken
from tests.servers.outbox_states import STATES


def _judged(told: Told, *, tries: int = 1, age_s: float = 0.0) -> Outcome:
    return judge_delivery(told, tries=tries, age_s=age_s, chance=lambda: 1.0)


def test_nothing_leads_back_from_what_may_have_left_but_an_answer() -> None:
    """All pairs: only a complete refusal, or a person, brings a message that was in flight back to the queue."""
    pairs = {(a, b) for a, b in itertools.product(State, State) if is_edge(a, b)}

    assert set(EDGES) == set(State)
    assert not EDGES[State.SENT] | EDGES[State.CANCELLED]
    assert all(b is not State.STORING for _, b in pairs)
    assert all(a is State.QUEUED for a, b in pairs if b is State.CLAIMED)
    assert all(a is State.CLAIMED for a, b in pairs if b is State.IN_FLIGHT)
    # From the queue only for those who have it already: their person lets the others be.
    assert {a for a, b in pairs if b is State.SENT} == {State.IN_FLIGHT, State.UNKNOWN} | SKIPPABLE
    assert {a for a, b in pairs if b is State.UNKNOWN} == {State.IN_FLIGHT}
    assert {a for a, b in pairs if b is State.CANCELLED} == CANCELLABLE
    assert all(is_edge(a, State.QUEUED) for a in RESENDABLE)
    assert not RESENDABLE & {State.SENT, State.CANCELLED}
    assert ENDED - {State.FAILED, State.UNKNOWN} == {State.SENT, State.CANCELLED}


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (Told("accepted"), State.SENT),
        (Told("unknown", "delivery_unknown", "final"), State.UNKNOWN),
        (Told("refused", "recipient_unknown", "rcpt_to", "no"), State.FAILED),
        (Told("refused", "greylisted", "rcpt_to", "later", later=True), State.QUEUED),
        (Told("refused", "content_rejected", "final", "no"), State.FAILED),
        (Told("pending", "connection_dropped", "data", "later", later=True), State.QUEUED),
        (Told("refused", "sending_quota", "final", "later", later=True), State.HELD),
        (Told("refused", "sending_quota", "rcpt_to", "later", later=False), State.HELD),
        (Told("refused", "blocked_by_policy", "final", "no"), State.HELD),
        (Told("unknown", "sending_quota", "final"), State.UNKNOWN),
    ],
)
def test_the_end_of_a_try_leads_to_one_state(told: Told, state: State) -> None:
    """What is unknown stays unknown whatever else was said; a limit of the provider fails no message."""
    assert _judged(told).state is state


def test_pauses_grow_and_have_an_end() -> None:
    """A cut connection comes back after half a minute; greylisting never before five; two days are enough."""
    cut = Told("pending", "connection_dropped", "data", "later", later=True)
    busy = Told("refused", "temporary_failure", "final", "later", later=True)
    grey = Told("refused", "greylisted", "rcpt_to", "later", later=True)
    asked = Told("refused", "temporary_failure", "final", "later", later=True, wait_s=420)

    assert _judged(cut).due_s == 30
    assert [_judged(busy, tries=n).due_s for n in (1, 2, 3, 4, 5, 9)] == [60, 300, 900, 3600, 14400, 14400]
    assert judge_delivery(busy, tries=1, age_s=0, chance=lambda: 0.0).due_s == 30
    assert judge_delivery(grey, tries=1, age_s=0, chance=lambda: 0.0).due_s == 300
    assert _judged(asked, tries=4).due_s == 420
    assert _judged(busy, tries=9, age_s=GIVE_UP_S).state is State.FAILED
    assert _judged(busy, tries=9, age_s=GIVE_UP_S - 1).state is State.QUEUED


@pytest.mark.parametrize(
    ("told", "rests", "seconds"),
    [
        (Told("pending", "bad_credentials", "auth", "no"), 0, None),
        (Told("pending", "account_locked", "auth", "no"), 3, None),
        (Told("pending", "invalid_input", "input", "no"), 0, None),
        (Told("pending", "too_many_attempts", "auth", "later", wait_s=900), 0, 900),
        (Told("pending", "too_many_connections", "auth", "later"), 2, 60),
        (Told("pending", "temporary_failure", "auth", "later"), 0, 3600),
        (Told("pending", "port_closed", "tcp", "no"), 0, 60),
        (Told("pending", "port_closed", "tcp", "no"), 2, 900),
        (Told("pending", "server_silent", "greeting", "later"), 99, 3600),
        (Told("pending", "sending_quota", "auth", "later"), 1, 7200),
    ],
)
def test_an_account_rests_and_its_messages_wait(told: Told, rests: int, seconds: float | None) -> None:
    """A refused password waits for a person, a server that is away for some time."""
    assert judge_connection(told, rests=rests) == Outcome(
        State.HELD, hold=Hold(told.key, seconds, asked=told.wait_s > 0)
    )


def test_every_state_has_a_picture() -> None:
    """Of messages, copies, recipients and what comes back: a new one is looked at before anybody meets it."""
    shown = STATES.values()
    recipients = {each.recipient.get("state", "pending") for each in shown} | {
        each.last.get("state", "pending") for each in shown
    }

    assert {each.values.get("state", "queued") for each in shown} == set(State) - {State.STORING}
    assert {each.values.get("copy_state", "none") for each in shown} == set(CopyState)
    assert recipients == set(RecipientState)
    assert {each.notice for each in shown} - {None} == set(NoticeKind)


def test_what_a_server_may_have_taken_counts_for_its_limits() -> None:
    """Accepted and unsure recipients; who was refused or not asked does not."""
    fates = {"a": Fate.ACCEPTED, "b": Fate.UNKNOWN, "c": Fate.REFUSED, "d": Fate.PENDING}
    results = [RecipientResult(f"{name}@example.com", fate) for name, fate in fates.items()]
    delivery = Delivery(Fate.ACCEPTED, Step("smtp", Stage.FINAL, Status.OK), results)

    assert count_taken(delivery) == 2


def test_an_unsure_message_is_looked_for_after_1_5_and_20_minutes() -> None:
    """By itself."""
    assert (FIRST_LOOK, *outbox_copies._LOOKS) == tuple(timedelta(minutes=each) for each in (1, 5, 20))
