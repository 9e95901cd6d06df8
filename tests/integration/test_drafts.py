"""What people type is kept on the server: soon, for its owner alone, and never in the way of a page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from cgcore.identity.actor import Role
from cgcore.storage.tables import DraftRow, UserRow
from cgcore.workbench import Workbench
from cgcore.workbench.drafts import DraftTrouble
from tests.servers.house import add_user
from tests.servers.identity import PASSWORD, HandClock, set_clock
from tests.servers.identity import add_user as add_person


def rows(workbench: Workbench) -> list[tuple[int, str, str]]:
    with workbench.database.read() as session:
        return [(row.user_id, row.page, row.tab) for row in session.exec(select(DraftRow)).all()]


def test_a_draft_is_kept_replaced_and_dropped(workbench_on_each: Workbench) -> None:
    """One row a page and tab, with what was typed last; another user's stays."""
    drafts = workbench_on_each.drafts
    ana, luis = add_user(workbench_on_each, "ana"), add_user(workbench_on_each, "luis")
    for actor, text in ((ana, "uno"), (ana, "dos"), (luis, "suyo")):
        drafts.keep(actor, "profile", "t1", {"full_name": text})
    drafts.flush(ana)
    drafts.flush(luis)
    kept = drafts.find(ana, "profile", "t1")
    stored = rows(workbench_on_each)
    drafts.drop(ana, "profile", "t1")
    drafts.flush(ana)

    assert kept is not None
    assert kept.content == {"full_name": "dos"}
    assert sorted(stored) == [(ana.user_id, "profile", "t1"), (luis.user_id, "profile", "t1")]
    assert rows(workbench_on_each) == [(luis.user_id, "profile", "t1")]
    assert drafts.find(ana, "profile", "t1") is None


def test_a_draft_is_its_owners_alone(workbench_on_each: Workbench) -> None:
    """Not even an administrator finds it or sees its mark, and it goes with its user."""
    drafts = workbench_on_each.drafts
    root, luis = add_user(workbench_on_each, "ana", Role.ADMIN), add_user(workbench_on_each, "luis")
    drafts.keep(luis, "profile", "t1", {"full_name": "Luisa"})
    drafts.flush(luis)

    assert drafts.list_drafts(root, "profile") == []
    assert drafts.marks(root) == {}
    assert list(drafts.marks(luis)) == ["profile"]
    drafts.move_tab(root, "t1", "t9")
    assert [draft.tab for draft in drafts.list_drafts(luis, "profile")] == ["t1"]
    with workbench_on_each.database.session() as session:
        session.delete(session.get_one(UserRow, luis.user_id))
    assert rows(workbench_on_each) == []


def test_what_waits_is_seen_before_it_is_written(workbench: Workbench) -> None:
    """The next page of the person finds it, however busy the database is; it is written once, not at every key."""
    ana = add_user(workbench, "ana")
    workbench.drafts.keep(ana, "profile", "t1", {"full_name": "A"})
    workbench.drafts.flush(ana)
    for text in ("An", "Ana", "Ana G", "Ana Gi", "Ana Gil"):
        workbench.drafts.keep(ana, "profile", "t1", {"full_name": text})
    found = workbench.drafts.find(ana, "profile", "t1")
    marks = workbench.drafts.marks(ana)
    with workbench.database.read() as session:
        written = session.exec(select(DraftRow)).one().content
    workbench.drafts.flush(ana)

    assert found is not None
    assert found.content == {"full_name": "Ana Gil"}
    assert list(marks) == ["profile"]
    assert written == {"full_name": "A"}
    with workbench.database.read() as session:
        assert session.exec(select(DraftRow)).one().content == {"full_name": "Ana Gil"}


def test_closing_writes_what_waits(workbench: Workbench) -> None:
    """A stop of the server loses no key."""
    ana = add_user(workbench, "ana")
    for text in ("A", "Ana"):
        workbench.drafts.keep(ana, "profile", "t1", {"full_name": text})
    workbench.drafts.close()

    with workbench.database.read() as session:
        assert session.exec(select(DraftRow)).one().content == {"full_name": "Ana"}


def test_a_draft_that_cannot_be_kept_says_so_and_breaks_nothing(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, a draft of many megabytes: the trouble is told until it is over, and the log holds no text."""
    ana = add_user(workbench, "ana")
    write = workbench.database.session

    def full():
        raise OperationalError("INSERT INTO draft", {"content": "lo de Ana"}, Exception("disk is full"))

    monkeypatch.setattr(workbench.database, "session", full)
    workbench.drafts.keep(ana, "profile", "t1", {"full_name": "lo de Ana"})
    workbench.drafts.flush(ana)
    full_disk = workbench.drafts.find_trouble(ana, "profile", "t1")
    monkeypatch.setattr(workbench.database, "session", write)
    workbench.drafts.keep(ana, "profile", "t1", {"full_name": "lo de Ana"})
    workbench.drafts.flush(ana)
    over = workbench.drafts.find_trouble(ana, "profile", "t1")
    workbench.drafts.keep(ana, "profile", "t1", {"full_name": "a" * 5_000_000})
    workbench.drafts.flush(ana)

    assert full_disk is DraftTrouble.NOT_WRITTEN
    assert over is None
    assert workbench.drafts.find_trouble(ana, "profile", "t1") is DraftTrouble.TOO_LARGE
    assert workbench.drafts.list_drafts(ana, "profile") == []
    assert "lo de Ana" not in caplog.text
    assert "OperationalError" in caplog.text


def test_old_drafts_go_and_tabs_are_bounded(workbench: Workbench) -> None:
    """Five tabs a page; after a month nobody is offered what they typed."""
    clock = HandClock()
    set_clock(workbench, clock)
    ana = add_user(workbench, "ana")
    for number in range(8):
        clock.move(minutes=1)
        workbench.drafts.keep(ana, "profile", f"t{number}", {"full_name": str(number)})
        workbench.drafts.flush(ana)
    newest = [draft.tab for draft in workbench.drafts.list_drafts(ana, "profile")]
    clock.now += timedelta(days=31)

    assert newest == ["t7", "t6", "t5", "t4", "t3"]
    assert workbench.drafts.list_drafts(ana, "profile") == []
    assert workbench.drafts.marks(ana) == {}
    workbench.drafts.keep(ana, "company", "t1", {"name": "x"})
    workbench.drafts.flush(ana)
    assert rows(workbench) == [(ana.user_id, "company", "t1")]


def test_a_tab_goes_on_where_another_was(workbench_on_each: Workbench) -> None:
    """Every page's draft goes along, and nothing of another tab."""
    drafts = workbench_on_each.drafts
    ana = add_user(workbench_on_each, "ana")
    for page, tab in (("profile", "old"), ("company", "old"), ("profile", "other")):
        drafts.keep(ana, page, tab, {"from": tab})
    drafts.move_tab(ana, "old", "new")

    assert sorted(rows(workbench_on_each)) == sorted(
        (ana.user_id, page, tab) for page, tab in (("company", "new"), ("profile", "new"), ("profile", "other"))
    )
    found = drafts.find(ana, "profile", "new")
    assert found is not None
    assert found.content == {"from": "old"}


def test_what_was_typed_until_a_log_in_was_overdue_is_kept(workbench_on_each: Workbench) -> None:
    """The first run after the half hour brings it along; the next log-in finds it."""
    workbench, clock = workbench_on_each, HandClock()
    set_clock(workbench, clock)
    add_person(workbench)
    ana = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    clock.move(minutes=31)
    workbench.drafts.keep(ana, "profile", "t1", {"full_name": "Ana Paz"})
    gone = workbench.identity.sessions.find_actor(ana.session_hash)
    workbench.drafts.flush(ana)
    again = workbench.identity.sessions.log_in("ana", PASSWORD).actor

    assert gone is None
    assert [draft.content for draft in workbench.drafts.list_drafts(again, "profile")] == [{"full_name": "Ana Paz"}]
