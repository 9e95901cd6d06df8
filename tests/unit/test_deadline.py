"""One deadline over everything: what is left, and when nothing is."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import pytest

from cgcore.mail.account import Security
from cgcore.mail.network.sockets import Channel, Deadline, FloodError
from cgcore.mail.probe import ProbeEnvironment, ProbeRequest, probe
from cgcore.mail.steps import Leg


class Clock:
    """A clock that stands still until told otherwise."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_shrinks_and_never_goes_below_zero() -> None:
    """The deadline is a moment, not a length."""
    clock = Clock()
    deadline = Deadline.after(10, clock)
    clock.now += 4
    left = deadline.remaining
    clock.now += 100

    assert left == 6
    assert deadline.remaining == 0
    assert deadline.expired


def test_an_operation_gets_what_is_left_or_its_cap() -> None:
    """And a timeout instead of zero, which would make a socket non-blocking."""
    clock = Clock()
    deadline = Deadline.after(10, clock)
    clock.now += 7

    assert deadline.timeout() == 3
    assert deadline.timeout(1) == 1
    clock.now += 3
    with pytest.raises(TimeoutError):
        deadline.timeout()


def test_a_shorter_deadline_never_ends_later() -> None:
    """Patience for one stage takes nothing from the whole."""
    clock = Clock()
    deadline = Deadline.after(2, clock)

    assert deadline.shorter(1).remaining == 1
    assert deadline.shorter(60).remaining == 2


@pytest.mark.parametrize(("given", "seconds"), [({}, 15.0), ({"timeout": 42.5}, 42.5)])
@pytest.mark.parametrize("leg", Leg)
def test_a_probe_has_15_seconds_unless_it_is_told_otherwise(leg: Leg, given: dict[str, Any], seconds: float) -> None:
    """Looking the name up is the first that is taken from them."""
    left: list[float] = []

    def resolver(_host: str, deadline: Deadline) -> Sequence[str]:
        left.append(deadline.remaining)
        return []

    request = ProbeRequest(leg, "mail.ejemplo.es", 465, Security.SSL, **given)
    *_, last = probe(request, ProbeEnvironment(resolver=resolver, clock=Clock()))

    assert last.stage == "dns"
    assert left[0] == seconds


def test_a_channel_reads_no_more_than_its_allowance() -> None:
    """A flood ends after so many bytes, whatever the time."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, Deadline.after(5), allowance=10)
        theirs.sendall(b"x" * 100)
        first = channel.recv(100)
        with pytest.raises(FloodError):
            channel.recv(100)

    assert first == b"x" * 10


def test_a_channel_whose_time_is_up_reads_nothing_more() -> None:
    """Even when there would be something to read."""
    clock = Clock()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, Deadline.after(5, clock))
        theirs.sendall(b"x")
        clock.now += 5
        with pytest.raises(TimeoutError):
            channel.recv(1)


def test_what_was_looked_at_is_read_again() -> None:
    """The first line is judged before smtplib or imaplib gets it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, Deadline.after(5))
        theirs.sendall(b"220 hello\r\n250 more\r\n")
        channel.unread(channel.recv(5))

        assert channel.read_line() == b"220 hello\r\n"


def test_a_channel_knows_whether_somebody_spoke_out_of_turn() -> None:
    """Words that nobody has read yet, and the end of the connection; what was looked at is not lost."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, Deadline.after(5))
        before = channel.quiet
        theirs.sendall(b"421 closing\r\n")
        spoken = channel.quiet
        line = channel.read_line()
        between = channel.quiet
        theirs.close()

        assert (before, spoken, line, between) == (True, False, b"421 closing\r\n", True)
        assert not channel.quiet
