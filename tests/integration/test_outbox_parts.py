"""A message for more recipients than its server takes at once: the same bytes in several transactions, nobody twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import pytest
from sqlmodel import select, update

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.mail.pace import ProviderPace
from cgcore.outbox.message import Message
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import UNSURE, CopyState, RecipientState, State
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.storage.tables import SeriesNumberRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox import pace
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.narrow import NarrowServer
from tests.servers.outbox_house import furnish_sender
from tests.servers.scripted import ScriptedServer
from tests.servers.sent_folder import SentFolder

_SEVEN = [f"c{number}@example.com" for number in range(7)]
_Open = Callable[[NarrowServer], AbstractContextManager["_Desk"]]
_A, _P, _R = RecipientState.ACCEPTED, RecipientState.PENDING, RecipientState.REFUSED
_S = RecipientState.SKIPPED


class _Desk:
    def __init__(self, workbench: Workbench, ana: Actor, mailbox: SentFolder) -> None:
        self.workbench, self.ana, self.mailbox, self._keys = workbench, ana, mailbox, iter(range(99))

    def put(self, to: Sequence[str], cc: Sequence[str] = ()) -> Message:
        key = str(next(self._keys))
        request = DocumentRequest(
            DocumentType.SALES_INVOICE, "F", key, to, cc=cc, subject="Va {numero}", body="<p>Hola</p>", signature=""
        )
        return self.workbench.outbox.send(self.ana, request, key)[0]

    def work(self) -> None:
        self.workbench.outbox.worker.work_once()

    def hurry(self) -> None:
        """Let what waits for its time be due."""
        past = datetime(2020, 1, 1, tzinfo=UTC)
        with self.workbench.database.session() as session:
            session.exec(update(OutboundMessageRow).values(due=past, copy_due=past, look_due=past))

    def prove(self, message: Message) -> None:
        """Let the sent folder show that it has left; whoever has not got it gets it then."""
        self.mailbox.filed[message.message_id] = 1
        self.hurry()
        self.work()
        self.work()

    def told(self, message: Message) -> tuple[State, list[RecipientState]]:
        found = self.workbench.outbox.get(self.ana, message.id)
        return found.state, [each.state for each in found.recipients]


@pytest.fixture
def open_desk(workbench_on_each: Workbench) -> _Open:
    """Ana's desk, whose account is at a server that is given."""

    @contextmanager
    def opened(server: NarrowServer) -> Iterator[_Desk]:
        mailbox = SentFolder()
        with ScriptedServer(server) as smtp, ScriptedServer(mailbox) as imap:
            ana = furnish_sender(workbench_on_each, smtp.port, imap.port)
            yield _Desk(workbench_on_each, ana, mailbox)

    return opened


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (NarrowServer(3), 1),
        (NarrowServer(3, b"552 5.5.3 Too many recipients"), 1),
        (NarrowServer(3, b"550 5.5.3 Too many recipients", tells_late=True), 1),
        (NarrowServer(1, b"554 5.5.3 Too many recipients", tells_late=True), 2),
    ],
)
def test_the_rest_gets_the_same_bytes_and_nobody_twice(open_desk: _Open, server: NarrowServer, told: int) -> None:
    """However the server says it, and it has to say it for one message only: the next goes as it takes them."""
    server.handed.clear()
    server.told = 0
    with open_desk(server) as desk:
        first = desk.put(_SEVEN)
        desk.work()
        assert server.told == told
        second = desk.put(_SEVEN[:5], cc=_SEVEN[5:])
        desk.work()

        assert desk.told(first) == desk.told(second) == (State.SENT, [_A] * 7)
        assert server.told == told
        assert set(server.times.values()) == {2}
        assert len({raw for raw, _ in server.handed}) == 2
        assert list(desk.mailbox.filed.values()) == [1, 1]
        stored = desk.workbench.outbox.get(desk.ana, first.id)
        assert (stored.copy_state, len(stored.attempts)) == (CopyState.STORED, stored.tries)


def test_what_the_table_says_is_kept_to_before_anybody_is_told(
    open_desk: _Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred of Gmail's, and the copy to oneself beside them."""
    known = ProviderPace("known", recipients=3, confidence="A")
    monkeypatch.setattr(pace, "find_pace", lambda _host, _address: known)
    server = NarrowServer(3)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()

        assert [len(addresses) for _, addresses in server.handed] == [3, 3, 1]
        assert (server.told, desk.told(message)) == (0, (State.SENT, [_A] * 7))


def test_a_line_that_is_cut_after_the_dot_leaves_only_that_transaction_unsure(open_desk: _Open) -> None:
    """Who was in it is known; a person says that it left, and the others get it; nothing goes by itself."""
    server = NarrowServer(3, cut=2)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        assert desk.told(message) == (State.UNKNOWN, [_A] * 3 + [_P] * 4)
        desk.hurry()
        desk.work()
        assert list(desk.mailbox.filed.values()) == [1], "the copy of what the first three have"
        assert desk.told(message) == (State.UNKNOWN, [_A] * 3 + [_P] * 4), "which proves nothing of the others"

        desk.workbench.outbox.resolve_sent(desk.ana, message.id)
        assert desk.told(message) == (State.QUEUED, [_A] * 6 + [_P])
        with pytest.raises(OutboxRefused):
            desk.workbench.outbox.cancel(desk.ana, message.id)
        desk.work()

        assert desk.told(message) == (State.SENT, [_A] * 7)
        assert set(server.times.values()) == {1}


def test_what_is_sent_again_after_that_goes_to_nobody_who_has_it(open_desk: _Open) -> None:
    """Only a person can say so; the first three are not asked."""
    server = NarrowServer(3, cut=2)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        desk.workbench.outbox.resend(desk.ana, message.id)
        desk.work()

        assert desk.told(message) == (State.SENT, [_A] * 7)
        assert [server.times[address] for address in _SEVEN] == [1, 1, 1, 2, 2, 2, 1]


def test_a_first_transaction_that_is_unsure_is_proven_by_the_copy_and_the_others_follow(open_desk: _Open) -> None:
    """A provider that files what it takes has filed this one."""
    server = NarrowServer(3, cut=1)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        assert desk.told(message) == (State.UNKNOWN, [_P] * 7)
        desk.prove(message)

        assert desk.told(message) == (State.SENT, [_A] * 7)
        assert set(server.times.values()) == {1}


def test_who_is_not_known_in_a_later_transaction_is_told_alone(open_desk: _Open) -> None:
    """Who has it keeps it."""
    server = NarrowServer(3, refused={"c6@example.com": b"550 5.1.1 No such user"})
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()

        assert desk.told(message) == (State.SENT, [_A] * 6 + [_R])
        assert server.times == dict.fromkeys(_SEVEN[:6], 1)


@pytest.mark.parametrize(
    ("reply", "state"),
    [(b"450 4.2.1 Not now", State.QUEUED), (b"550 5.4.5 Daily user sending quota exceeded", State.HELD)],
)
def test_who_is_refused_for_now_in_a_later_transaction_gets_it_another_time(
    open_desk: _Open, reply: bytes, state: State
) -> None:
    """Neither lost for them, nor sent to the others once more; the pause is the usual one."""
    refused = {"c6@example.com": reply}
    server = NarrowServer(3, refused=refused)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        told = desk.told(message)
        desk.work()
        waited = desk.told(message)
        refused.clear()
        desk.workbench.outbox.resume(desk.ana)
        desk.hurry()
        desk.work()

        assert told == waited == (state, [_A] * 6 + [_P])
        assert desk.told(message) == (State.SENT, [_A] * 7)
        assert server.times == dict.fromkeys(_SEVEN, 1)


@pytest.mark.parametrize("most", [1, 2])
def test_those_who_were_not_asked_yet_do_not_wait_for_one_who_is_refused_for_now(open_desk: _Open, most: int) -> None:
    """It is asked last, and only after the pause once it is alone."""
    refused = {"c3@example.com": b"450 4.2.1 Not now"}
    server = NarrowServer(most, refused=refused)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()

        assert desk.told(message) == (State.QUEUED, [_A, _A, _A, _P, _A, _A, _A])
        refused.clear()
        desk.hurry()
        desk.work()
        assert desk.told(message) == (State.SENT, [_A] * 7)
        assert server.times == dict.fromkeys(_SEVEN, 1)


def test_a_group_that_is_refused_for_good_keeps_nobody_from_the_message(open_desk: _Open) -> None:
    """One at a time: the third is not known, the fourth gets it."""
    server = NarrowServer(1, refused={"c2@example.com": b"550 5.1.1 No such user"})
    with open_desk(server) as desk:
        message = desk.put(_SEVEN[:4])
        desk.work()

        assert desk.told(message) == (State.SENT, [_A, _A, _R, _A])


@pytest.mark.parametrize(
    ("reply", "state"),
    [(b"450 4.2.1 Not now", State.QUEUED), (b"550 5.4.5 Daily user sending quota exceeded", State.HELD)],
)
def test_a_person_ends_what_some_have_and_the_others_never_get_it(open_desk: _Open, reply: bytes, state: State) -> None:
    """Whether it waits for its time or for the account: sent, with what was said of whom; nothing brings it back, and
    nothing of the kind is done to what nobody has, or everybody has."""
    server = NarrowServer(3, refused={"c6@example.com": reply})
    with open_desk(server) as desk:
        outbox = desk.workbench.outbox
        message = desk.put(_SEVEN)
        desk.work()
        assert desk.told(message) == (state, [_A] * 6 + [_P])
        for none in (outbox.cancel, desk.workbench.by_hand.mark_sent):
            with pytest.raises(OutboxRefused, match="elsewhere"):
                none(desk.ana, message.id)
        accepted = outbox.get(desk.ana, message.id).accepted
        ended = outbox.skip_rest(desk.ana, message.id)
        waiting = desk.put(_SEVEN[:1])
        for late in (message, waiting):
            with pytest.raises(OutboxRefused, match="elsewhere"):
                outbox.skip_rest(desk.ana, late.id)
        outbox.resume(desk.ana)
        desk.hurry()
        desk.work()
        log = {entry.action for entry in desk.workbench.activity.list(desk.ana)["items"]}

        assert desk.told(message) == (State.SENT, [_A] * 6 + [_S])
        assert (ended.reason, ended.held_by, ended.accepted) == (None, "", accepted)
        assert ended.recipients[6].reply == reply.decode()
        assert server.times["c6@example.com"] == 0
        assert "document_rest_skipped" in log
        assert desk.told(waiting)[0] is State.SENT


def test_what_is_on_its_way_to_the_others_is_not_ended(open_desk: _Open) -> None:
    """Claimed, in flight, of unknown fate: the person comes too late, or has to say first what became of it."""
    server = NarrowServer(3, cut=2)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        for state in (State.UNKNOWN, State.IN_FLIGHT, State.CLAIMED):
            with desk.workbench.database.session() as session:
                session.exec(update(OutboundMessageRow).values(state=state.value))
            with pytest.raises(OutboxRefused, match="elsewhere"):
                desk.workbench.outbox.skip_rest(desk.ana, message.id)

        assert desk.told(message) == (State.CLAIMED, [_A] * 3 + [_P] * 4)


def test_who_may_have_it_is_not_called_unsent(open_desk: _Open) -> None:
    """Sent again and then let be: of those whose transaction nobody knows the fate of, nothing is said."""
    server = NarrowServer(3, cut=2)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        desk.workbench.outbox.resend(desk.ana, message.id)
        desk.workbench.outbox.skip_rest(desk.ana, message.id)
        ended = desk.workbench.outbox.get(desk.ana, message.id)

        assert desk.told(message) == (State.SENT, [_A] * 3 + [_P] * 3 + [_S])
        assert [each.key for each in ended.recipients[3:6]] == [UNSURE] * 3
        assert [server.times[f"c{number}@example.com"] for number in (3, 6)] == [1, 0]


def test_the_number_that_some_have_is_used(open_desk: _Open) -> None:
    """At the first who have it; told once, also where the others have got it afterwards."""
    with open_desk(NarrowServer(3, refused={"c6@example.com": b"450 4.2.1 Not now"})) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        with desk.workbench.database.read() as session:
            (used,) = session.exec(select(SeriesNumberRow.last_used).where(SeriesNumberRow.series_code == "F")).all()
        desk.workbench.outbox.skip_rest(desk.ana, message.id)
        told = Counter(entry.action for entry in desk.workbench.activity.list(desk.ana)["items"])

        assert used == int(message.number)
        assert (told["document_sent"], told["document_rest_skipped"]) == (1, 1)


def test_given_up_after_two_days_it_is_sent_to_those_who_have_it(open_desk: _Open) -> None:
    """What is refused for now is so no more; each is told why."""
    server = NarrowServer(3, refused={"c6@example.com": b"450 4.2.1 Not now"})
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()
        desk.hurry()
        with desk.workbench.database.session() as session:
            session.exec(update(OutboundMessageRow).values(first_tried=datetime(2020, 1, 1, tzinfo=UTC)))
        desk.work()

        assert desk.told(message) == (State.SENT, [_A] * 6 + [_R])


def test_a_transaction_after_a_smaller_one_that_came_to_nothing_is_noted_whole(open_desk: _Open) -> None:
    """First without a colleague, and the dot is refused for now; then with all, and the line is cut: a proof is one for
    all, and nobody gets it twice."""
    refused = {"c6@example.com": b"450 4.2.1 Not now"}
    server = NarrowServer(9, cut=1, refused=refused, delayed=1)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN[:6], cc=_SEVEN[6:])
        desk.work()
        assert (desk.told(message)[0], server.handed) == (State.QUEUED, [])
        refused.clear()
        desk.hurry()
        desk.work()
        assert desk.told(message) == (State.UNKNOWN, [_P] * 7)
        desk.prove(message)

        assert desk.told(message) == (State.SENT, [_A] * 7)
        assert server.times == dict.fromkeys(_SEVEN, 1)


def test_the_first_one_that_is_refused_sends_nothing_to_anybody(open_desk: _Open) -> None:
    """«Too many» before anybody was taken is no reason to part a message."""
    server = NarrowServer(0)
    with open_desk(server) as desk:
        message = desk.put(_SEVEN)
        desk.work()

        assert desk.told(message)[0] is State.QUEUED
        assert (server.handed, server.told) == ([], 1)
