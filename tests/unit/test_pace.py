"""How fast an account may send: the table of providers, windows, and what that means for what is about to leave."""

from __future__ import annotations

import pytest

from cgcore.mail.pace import find_pace, load_paces
from cgcore.mail.providers import find_provider
from cgcore.outbox.pace import DAY, HOUR, MINUTE, Limit, Pace, build_pace, find_room, forecast


def test_each_row_is_of_a_provider_that_is_known_and_says_what_it_limits() -> None:
    """No name twice, no limit that is none, a confidence that has a meaning."""
    for name, row in load_paces().items():
        assert find_provider(name) is not None, name
        assert row.per_minute or row.per_hour or row.per_day, name
        assert row.counts in ("messages", "recipients"), name
        assert row.confidence in ("A", "B", "C", "M"), name


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("smtp.gmail.com", "ana@gmail.com", "gmail"),
        ("smtp.gmail.com", "ana@tosma.es", "google_workspace"),
        ("smtp.office365.com", "ana@tosma.es", "microsoft365"),
        ("smtp.ionos.es", "ana@tosma.es", "ionos_es"),
        ("mail.tosma.es", "ana@tosma.es", ""),
        ("ssl0.ovh.net", "ana@tosma.es", ""),  # from memory: nobody is held for that
    ],
)
def test_the_server_that_is_used_decides(host: str, address: str, expected: str) -> None:
    """And a table that nobody is sure of decides nothing."""
    found = find_pace(host, address)

    assert (found.id if found else "") == expected


def test_room_is_what_the_narrowest_window_leaves() -> None:
    """Recipients count where the provider counts them; what is older than the window counts no more."""
    limits = build_pace(30, 0, 100, by_recipient=True).limits
    sent = [(10.0, 3)] * 20 + [(3600.0, 1)] * 30 + [(90_000.0, 50)]

    assert find_room(limits, sent, [1] * 10).count == 10
    assert find_room(limits, sent, [4, 4, 4]).count == 2
    assert find_room(limits, [(10.0, 1)] * 30, [1]).wait_s == MINUTE - 10
    full = find_room(limits, [(3600.0, 1)] * 100, [1])
    assert (full.count, full.limit, full.wait_s) == (0, Limit(DAY, 100, by_recipient=True), DAY - 3600)
    assert find_room((), [(1.0, 5)] * 9999, [1] * 10).count == 10


def test_a_message_with_more_recipients_than_the_window_goes_alone() -> None:
    """It would wait for ever otherwise."""
    limits = (Limit(DAY, 50, by_recipient=True),)

    assert find_room(limits, [], [80]).count == 1
    assert find_room(limits, [(60.0, 1)], [80]).wait_s == DAY - 60


def test_each_reply_that_says_too_much_halves_the_pace_and_nothing_raises_it_above_the_table() -> None:
    """Where no limit is known, what had left in an hour is the first one; the house's own stays as it is."""
    pace = build_pace(per_hour=500, own_per_hour=40)

    assert pace.lowered(0, 9999) == pace
    assert pace.lowered(1, 9999).limits == (Limit(HOUR, 250), Limit(HOUR, 40, own=True))
    assert pace.lowered(3, 0).limits[0].count == 62
    assert pace.lowered(99, 0).limits[0].count == 10
    assert Pace().lowered(1, 60).limits == (Limit(HOUR, 30),)


def test_what_does_not_fit_into_today_is_told_with_the_end() -> None:
    """500 a day, 430 have left an hour ago: of 200 there leave 130 tomorrow."""
    told = forecast(build_pace(per_day=500).limits, [(3600.0, 1)] * 430, [1] * 200)

    assert (told.today, told.later, told.used) == (70, 130, 430)
    assert told.limit == Limit(DAY, 500)
    assert told.ends_s == DAY - 3600


def test_the_end_of_many_follows_the_minute() -> None:
    """30 a minute: 200 take more than six."""
    told = forecast(build_pace(per_minute=30).limits, [], [1] * 200)

    assert (told.today, told.later, told.ends_s) == (200, 0, 6 * MINUTE)
    assert forecast((), [], [1] * 200).ends_s == 0
