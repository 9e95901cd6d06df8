"""Users as administrators keep them, and everybody's own particulars."""

from __future__ import annotations

import threading

import pytest

from cgcore.errors import InvalidInput, NotAllowed, NotFound, StaleVersion
from cgcore.identity.actor import Actor, Role
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.users import Particulars
from tests.servers.house import add_user


@pytest.fixture
def admin(workbench_on_each: Workbench) -> Actor:
    """The administrator of the house."""
    return add_user(workbench_on_each, "ana", Role.ADMIN)


def test_a_new_user_gets_a_link_and_sets_a_password_once(workbench_on_each: Workbench, admin: Actor) -> None:
    """The link is shown once and works once; before that nobody can log in as them."""
    link = workbench_on_each.users.add(admin, NewUser("luis", full_name="Luis Paz", mail="luis@ejemplo.es"))
    code = Secret(link.reveal().rsplit("/", 1)[1]) if link else Secret("")
    waiting = workbench_on_each.users.get(admin, "LUIS")
    workbench_on_each.identity.accounts.reset_password(code, Secret("una frase bastante larga"))
    with pytest.raises(NotAllowed):
        workbench_on_each.identity.accounts.reset_password(code, Secret("otra frase bastante larga"))

    assert (waiting.username, waiting.full_name, waiting.role, waiting.has_password) == (
        "luis",
        "Luis Paz",
        Role.USER,
        False,
    )
    assert workbench_on_each.users.get(admin, "luis").has_password
    assert (
        workbench_on_each.identity.sessions.log_in("luis", Secret("una frase bastante larga")).actor.username == "luis"
    )


def test_particulars_change_with_their_version(workbench_on_each: Workbench, admin: Actor) -> None:
    """A stale save is refused with what stands there; a wrong mail is named."""
    add_user(workbench_on_each, "luis")
    section = workbench_on_each.users
    section.save(admin, "luis", Particulars("Luis Paz", "luis@ejemplo.es", Role.ADMIN), 1)
    with pytest.raises(StaleVersion) as stale:
        section.save(admin, "luis", Particulars("Otro"), 1)
    with pytest.raises(InvalidInput) as wrong:
        section.save(admin, "luis", Particulars("a\nb", "nada"), 2)

    assert stale.value.stored["full_name"] == "Luis Paz"
    assert {problem.field for problem in wrong.value.problems} == {"mail", "full_name"}
    assert section.get(admin, "luis").role is Role.ADMIN


def test_the_last_active_administrator_stays(workbench_on_each: Workbench, admin: Actor) -> None:
    """Neither closed nor made a plain user; a disabled second administrator does not count."""
    section = workbench_on_each.users
    add_user(workbench_on_each, "eva", Role.ADMIN)
    section.disable(admin, "eva")
    for attempt in (
        lambda: section.disable(admin, "ana"),
        lambda: section.save(admin, "ana", Particulars("Ana", "", Role.USER), 1),
    ):
        with pytest.raises(InvalidInput) as caught:
            attempt()

        assert caught.value.problems[0].code == "last_admin"
    kept = section.get(admin, "ana")
    assert (kept.active, kept.role, kept.version) == (True, Role.ADMIN, 1)


def test_two_administrators_who_demote_each_other_at_once_leave_one(workbench_on_each: Workbench, admin: Actor) -> None:
    """The guard holds between two transactions."""
    eva = add_user(workbench_on_each, "eva", Role.ADMIN)
    start = threading.Barrier(2)
    refused: list[str] = []

    def demote(actor: Actor, name: str) -> None:
        start.wait()
        try:
            workbench_on_each.users.save(actor, name, Particulars(role=Role.USER), 1)
        except InvalidInput as error:
            refused.append(error.problems[0].code)

    threads = [threading.Thread(target=demote, args=pair) for pair in ((admin, "eva"), (eva, "ana"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    roles = {user.username: user.role for user in workbench_on_each.users.list(admin)["items"]}
    assert refused == ["last_admin"]
    assert sorted(roles.values()) == [Role.ADMIN, Role.USER]


def test_a_closed_account_stops_at_once(workbench_on_each: Workbench, admin: Actor) -> None:
    """Its log-ins end with it and do not come back with it."""
    workbench_on_each.users.add(admin, NewUser("luis", Secret("una frase bastante larga")))
    actor = workbench_on_each.identity.sessions.log_in("luis", Secret("una frase bastante larga")).actor
    workbench_on_each.users.disable(admin, "luis")
    after = workbench_on_each.identity.sessions.find_actor(actor.session_hash)
    workbench_on_each.users.enable(admin, "luis")

    assert after is None
    assert workbench_on_each.identity.sessions.find_actor(actor.session_hash) is None


def test_an_administrator_ends_the_log_ins_of_one_user_only(workbench_on_each: Workbench, admin: Actor) -> None:
    """Luis is out everywhere, Eva is not."""
    password = Secret("una frase bastante larga")
    for name in ("luis", "eva"):
        workbench_on_each.users.add(admin, NewUser(name, password))
    luis, eva = (workbench_on_each.identity.sessions.log_in(name, password).actor for name in ("luis", "eva"))
    counted = workbench_on_each.users.count_sessions(admin, "luis")

    assert (counted, workbench_on_each.users.end_sessions(admin, "luis")) == (1, 1)
    assert workbench_on_each.identity.sessions.find_actor(luis.session_hash) is None
    assert workbench_on_each.identity.sessions.find_actor(eva.session_hash) is not None


def test_a_user_keeps_their_own_particulars_and_no_role(workbench_on_each: Workbench, admin: Actor) -> None:
    """Name and mail are theirs to change; somebody else looks like nobody."""
    luis = add_user(workbench_on_each, "luis")
    section = workbench_on_each.users
    saved = section.save_own(luis, " Luis Paz ", "luis@ejemplo.es", 1)
    for name in ("ana", "nadie"):
        with pytest.raises(NotFound):
            section.get(luis, name)
    for refused in (
        lambda: section.list(luis),
        lambda: section.add(luis, NewUser("x")),
        lambda: section.save(luis, "luis", Particulars(role=Role.ADMIN), 2),
        lambda: section.disable(luis, "ana"),
        lambda: section.enable(luis, "ana"),
        lambda: section.issue_reset_link(luis, "ana"),
        lambda: section.end_sessions(luis, "ana"),
        lambda: section.count_sessions(luis, "ana"),
    ):
        with pytest.raises(NotAllowed):
            refused()

    assert (saved.full_name, saved.role) == ("Luis Paz", Role.USER)
    assert section.get(admin, "ana").active


def test_pages_of_users_join(workbench_on_each: Workbench) -> None:
    """By name, each once; the search looks at name and mail; a name can be taken once, in whatever case."""
    admin = add_user(workbench_on_each, "ana", Role.ADMIN)
    for number in range(6):
        add_user(workbench_on_each, f"U{number}")
    first = workbench_on_each.users.list(admin, limit=4)
    second = workbench_on_each.users.list(admin, cursor=first["next"], limit=4)

    assert [user.username for page in (first, second) for user in page["items"]] == [
        "ana", "U0", "U1", "U2", "U3", "U4", "U5",
    ]  # fmt: skip
    assert second["next"] is None
    assert [user.username for user in workbench_on_each.users.list(admin, text="u3")["items"]] == ["U3"]
    assert workbench_on_each.users.list(admin, active=False)["items"] == []
    with pytest.raises(InvalidInput) as taken:
        workbench_on_each.users.add(admin, NewUser("u3"))
    assert [problem.code for problem in taken.value.problems] == ["username_taken"]


@pytest.mark.parametrize("text", ["ángela núñez", "ÁNGELA NÚÑEZ", "gela Nú"])
def test_a_search_knows_no_capitals_in_spanish_either(workbench_on_each: Workbench, admin: Actor, text: str) -> None:
    """Letters with accents too; of themselves both databases know the plain ones."""
    for name, full_name in (("angela", "Ángela Núñez"), ("luis", "Luis Nuñez")):
        workbench_on_each.users.add(admin, NewUser(name, full_name=full_name))

    assert [user.username for user in workbench_on_each.users.list(admin, text=text)["items"]] == ["angela"]
