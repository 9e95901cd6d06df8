"""Who may do what: every use case × {own, another user's, administrator, logged out}."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import InvalidInput, NotAllowed, NotFound
from cgcore.identity.actor import Actor, Role
from cgcore.series.drafts import SeriesDraft
from cgcore.series.starters import StarterLayout
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.users import Particulars
from tests.servers.house import add_series, add_user
from tests.servers.pages import open_page, sign_in

T = DocumentType
OK = "ok"
Call = Callable[[Workbench, Actor, Actor], Any]


@dataclass(frozen=True)
class UseCase:
    """A call ``(workbench, who acts, whose it is)``, and the answers expected.

    ``own``: somebody acts on their own; ``other``: on another user's; ``admin``: an administrator on another user's.
    """

    call: Call
    own: Any = OK
    other: Any = OK
    admin: Any = OK


def _draft(code: str) -> SeriesDraft:
    return SeriesDraft(code, next_numbers={T.QUOTE: 1})


def _file(whose: Actor) -> bytes:
    return json.dumps({"format": "cloud-gestion", "version": 1, "users": [{"name": whose.username}]}).encode()


FOR_ADMINS = {"own": NotAllowed, "other": NotAllowed}
OWN_ONLY = {"other": NotFound}

# Everything the sections of this house offer, by the name «section.use case».
USE_CASES: dict[str, UseCase] = {
    "activity.list": UseCase(lambda w, a, _o: w.activity.list(a)),
    "activity.export_csv": UseCase(lambda w, a, _o: list(w.activity.export_csv(a, header=["x"] * 7, labels={}))),
    "company.get": UseCase(lambda w, a, _o: w.company.get(a)),
    "company.save": UseCase(lambda w, a, _o: w.company.save(a, CompanyDraft("Tosma"), 0), **FOR_ADMINS),
    "series.list": UseCase(lambda w, a, _o: w.series.list(a)),
    "series.get": UseCase(lambda w, a, _o: w.series.get(a, "P")),
    "series.count": UseCase(lambda w, a, _o: w.series.count(a)),
    "series.preview": UseCase(lambda w, a, _o: w.series.preview(a, "P", T.QUOTE)),
    "series.overview": UseCase(lambda w, a, _o: w.series.overview(a)),
    "series.check": UseCase(lambda w, a, _o: w.series.check(a, _draft("N")), **FOR_ADMINS),
    "series.add": UseCase(lambda w, a, _o: w.series.add(a, _draft("N")), **FOR_ADMINS),
    "series.save": UseCase(lambda w, a, _o: w.series.save(a, _draft("P"), 1), **FOR_ADMINS),
    "series.delete": UseCase(lambda w, a, _o: w.series.delete(a, "P", 1), **FOR_ADMINS),
    "series.list_orphans": UseCase(lambda w, a, _o: w.series.list_orphans(a, "P", None), **FOR_ADMINS),
    "series.create_starter_set": UseCase(
        lambda w, a, _o: w.series.create_starter_set(a, StarterLayout.SINGLE), **FOR_ADMINS
    ),
    "series.defaults.get": UseCase(lambda w, a, o: w.series.defaults.get(a, o.user_id), **OWN_ONLY),
    "series.defaults.save": UseCase(
        lambda w, a, o: w.series.defaults.save(a, {T.QUOTE: "P"}, None, o.user_id), **OWN_ONLY
    ),
    "series.defaults.get_company": UseCase(lambda w, a, _o: w.series.defaults.get_company(a), **FOR_ADMINS),
    "series.defaults.save_company": UseCase(
        lambda w, a, _o: w.series.defaults.save_company(a, {T.QUOTE: "P"}, None, clear_own=True), **FOR_ADMINS
    ),
    "series.defaults.list_overridden": UseCase(
        lambda w, a, _o: w.series.defaults.list_overridden(a, [T.QUOTE]), **FOR_ADMINS
    ),
    "series.defaults.check_choice": UseCase(lambda w, a, _o: w.series.defaults.check_choice(a, T.QUOTE, "P")),
    "series.checks.start": UseCase(lambda w, a, _o: w.series.checks.start(a)),
    "series.checks.find_last": UseCase(lambda w, a, _o: w.series.checks.find_last(a)),
    "series.checks.overview": UseCase(lambda w, a, _o: w.series.checks.overview(a)),
    "users.list": UseCase(lambda w, a, _o: w.users.list(a), **FOR_ADMINS),
    "users.get": UseCase(lambda w, a, o: w.users.get(a, o.username), **OWN_ONLY),
    "users.add": UseCase(lambda w, a, _o: w.users.add(a, NewUser("zoe")), **FOR_ADMINS),
    "users.save": UseCase(lambda w, a, o: w.users.save(a, o.username, Particulars("X"), 1), **FOR_ADMINS),
    "users.save_own": UseCase(lambda w, a, _o: w.users.save_own(a, "X", "", 1)),
    "users.disable": UseCase(lambda w, a, o: w.users.disable(a, o.username), **FOR_ADMINS),
    "users.enable": UseCase(lambda w, a, o: w.users.enable(a, o.username), **FOR_ADMINS),
    "users.issue_reset_link": UseCase(lambda w, a, o: w.users.issue_reset_link(a, o.username), **FOR_ADMINS),
    "users.count_sessions": UseCase(lambda w, a, o: w.users.count_sessions(a, o.username), **FOR_ADMINS),
    "users.end_sessions": UseCase(lambda w, a, o: w.users.end_sessions(a, o.username), **FOR_ADMINS),
    "portable.export_all": UseCase(lambda w, a, _o: w.portable.export_all(a), **FOR_ADMINS),
    "portable.export_user": UseCase(lambda w, a, o: w.portable.export_user(a, o.username), **OWN_ONLY),
    "portable.plan": UseCase(lambda w, a, o: w.portable.plan(a, _file(o), o.username), **OWN_ONLY),
    "portable.apply": UseCase(lambda w, a, o: w.portable.apply(a, _file(o), o.username), **OWN_ONLY),
    "identity.add_user": UseCase(lambda w, a, _o: w.identity.add_user(a, NewUser("zoe")), **FOR_ADMINS),
    "identity.disable_user": UseCase(lambda w, a, o: w.identity.disable_user(a, o.username), **FOR_ADMINS),
    "identity.enable_user": UseCase(lambda w, a, o: w.identity.enable_user(a, o.username), **FOR_ADMINS),
    "identity.end_sessions_of": UseCase(lambda w, a, o: w.identity.end_sessions_of(a, o.username), **FOR_ADMINS),
    "identity.set_password": UseCase(
        lambda w, a, o: w.identity.set_password(a, o.username, Secret("otra frase larga")), **FOR_ADMINS
    ),
    "identity.issue_reset_link": UseCase(lambda w, a, o: w.identity.issue_reset_link(a, o.username), **FOR_ADMINS),
    "identity.list_sessions": UseCase(lambda w, a, _o: w.identity.list_sessions(a)),
    "identity.end_other_sessions": UseCase(lambda w, a, _o: w.identity.end_other_sessions(a)),
}
# Use cases of the sections below that no actor calls: part of another one's transaction.
INNER = {"activity.record", "series.record_use"}
SECTIONS = ("activity", "company", "series", "series.defaults", "series.checks", "users", "portable")


@pytest.fixture
def people(workbench: Workbench) -> dict[str, Actor]:
    """An administrator, another one (so that neither is the last), and two users."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    add_user(workbench, "zaida", Role.ADMIN)
    add_series(workbench, admin, "P", T.QUOTE)
    return {"admin": admin, "luis": add_user(workbench, "luis"), "eva": add_user(workbench, "eva")}


@pytest.mark.parametrize("who", ["own", "other", "admin"])
@pytest.mark.parametrize("name", USE_CASES)
def test_the_matrix(workbench: Workbench, people: dict[str, Actor], name: str, who: str) -> None:
    """What may be done is done; what is refused changes nothing, so that no line of the trail speaks of it."""
    use_case = USE_CASES[name]
    actor = people["admin" if who == "admin" else "luis"]
    whose = people["luis" if who == "own" else "eva"]
    expected = getattr(use_case, who)
    lines = len(workbench.activity.list(people["admin"], limit=200)["items"])
    if expected is OK:
        use_case.call(workbench, actor, whose)
        return
    with pytest.raises(expected):
        use_case.call(workbench, actor, whose)

    assert len(workbench.activity.list(people["admin"], limit=200)["items"]) == lines


@pytest.mark.parametrize("name", [name for name, case in USE_CASES.items() if case.other is NotFound])
def test_what_is_not_ones_own_looks_like_what_does_not_exist(
    workbench: Workbench, people: dict[str, Actor], name: str
) -> None:
    """The same error, word by word, for another user's and for nobody's."""
    nobody = Actor(10**6, "nadie")
    errors = []
    for whose in (people["eva"], nobody):
        call = USE_CASES[name].call
        try:
            call(workbench, people["luis"], whose)
        except NotFound as error:
            errors.append((type(error), error.code, str(error)))

    assert len(errors) == 2
    assert errors[0] == errors[1]


def test_no_use_case_is_left_out(workbench: Workbench) -> None:
    """Whoever adds one to these sections decides here who may call it."""
    offered = set()
    for name in SECTIONS:
        section: Any = workbench
        for part in name.split("."):
            section = getattr(section, part)
        for member, function in inspect.getmembers(type(section), inspect.isfunction):
            if not member.startswith("_"):
                offered.add(f"{name}.{member}")
                assert "actor" in inspect.signature(function).parameters or f"{name}.{member}" in INNER

    assert offered - set(USE_CASES) - INNER == set()


@pytest.mark.parametrize("script", ["series_defaults.py", "administration.py", "profile.py", "activity.py"])
def test_logged_out_there_is_no_page(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, script: str) -> None:
    """Without a log-in, and after it has ended, a page shows a sentence and not one field."""
    admin = sign_in(workbench, "ana", Role.ADMIN)
    page = open_page(monkeypatch, workbench, admin, script)
    workbench.identity.log_out(admin.session_hash)
    page.run()
    never = open_page(monkeypatch, workbench, None, script)

    for shown in (page, never):
        assert shown.error
        assert not any((shown.text_input, shown.selectbox, shown.table, shown.button))


def test_whoever_was_closed_out_is_nobody(workbench: Workbench) -> None:
    """The log-in of a disabled user finds no actor to act as; the last administrator cannot be closed out."""
    admin, luis = sign_in(workbench, "ana", Role.ADMIN), sign_in(workbench, "luis")
    workbench.users.disable(admin, "luis")

    assert workbench.identity.find_actor(luis.session_hash) is None
    assert workbench.identity.find_actor(admin.session_hash) is not None
    with pytest.raises(InvalidInput):
        workbench.users.disable(admin, "ana")
