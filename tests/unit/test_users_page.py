"""«Administración · Usuarios» and «Mi usuario» without a browser: what an administrator does to an account."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.errors import NotAllowed
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.keys import ISSUE_ACTION
from pages.ui.admin.users import OPEN
from pages.ui.texts import administration as texts
from tests.servers.pages import PASSWORD, open_page, panel, save, sign_in, words

NEW = Secret("otra frase bastante larga")


@pytest.fixture
def admin(workbench: Workbench) -> Actor:
    """The only administrator, logged in."""
    return sign_in(workbench, "ana", Role.ADMIN)


@pytest.fixture
def luis(workbench: Workbench) -> Actor:
    """A user, logged in."""
    return sign_in(workbench, "luis")


def open_user(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, name: str) -> AppTest:
    """Open Administración with one user in the editor."""
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.session_state[OPEN] = ("edit", name)
    return panel(page, "users")


def press(page: AppTest, *acts: str) -> AppTest:
    """Press a button of the open user, and then one in the dialog that it opens."""
    for number in range(1, len(acts) + 1):
        # Without a browser a dialog is there in the run of the button that opens it, and only then.
        for act in acts[:number]:
            page.button(f"administration_user_{act}").click()
        page.run()
        assert not page.exception
    return page


def is_in(workbench: Workbench, actor: Actor) -> bool:
    """Whether this log-in still opens the pages."""
    return workbench.identity.sessions.find_actor(actor.session_hash) is not None


def opens(workbench: Workbench, key: Secret) -> bool:
    """Whether the API still hears this key."""
    return asyncio.run(workbench.keys.access.find_actor(key.reveal())) is not None


def test_a_disabled_user_is_out_at_once_and_comes_back_without_what_has_ended(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """After the question, not before: the open page and the key stop; «Activar» lets in again, by password only."""
    grant = workbench.identity.codes.issue_grant(luis, ISSUE_ACTION, PASSWORD)
    key = workbench.keys.issue(luis, grant, "App", frozenset(Scope)).key
    own = open_page(monkeypatch, workbench, luis, "profile.py")
    page = press(open_user(monkeypatch, workbench, admin, "luis"), "disable")
    asked = words(page)
    before = workbench.users.get(admin, "luis").active, is_in(workbench, luis), opens(workbench, key)
    press(page, "disable", "disable_confirm")
    after = workbench.users.get(admin, "luis").active, is_in(workbench, luis), opens(workbench, key)
    own.run()
    off = words(page.run())
    press(page, "enable")

    assert "¿Desactivar a luis?" in asked
    assert (before, after) == ((True, True, True), (False, False, False))
    assert own.error
    assert not own.text_input
    assert texts.USER_INACTIVE in off
    assert workbench.users.get(admin, "luis").active
    assert (is_in(workbench, luis), opens(workbench, key)) == (False, False)
    assert is_in(workbench, workbench.identity.sessions.log_in("luis", PASSWORD).actor)


def test_the_last_active_administrator_is_not_disabled(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """The dialog says why; a second administrator who is disabled does not count."""
    sign_in(workbench, "zaida", Role.ADMIN)
    workbench.users.disable(admin, "zaida")
    page = press(open_user(monkeypatch, workbench, admin, "ana"), "disable", "disable_confirm")

    assert "única persona que administra" in words(page)
    assert workbench.users.get(admin, "ana").active
    assert is_in(workbench, admin)


def test_the_log_ins_of_one_user_are_ended_after_a_question(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """«Cerrar sus sesiones»: all of theirs, nobody else's, and the account stays open."""
    second = workbench.identity.sessions.log_in("luis", PASSWORD).actor
    eva = sign_in(workbench, "eva")
    page = press(open_user(monkeypatch, workbench, admin, "luis"), "end")
    asked, before = words(page), is_in(workbench, luis)
    press(page, "end", "end_confirm")

    assert "¿Cerrar las sesiones de luis?" in asked
    assert texts.SESSIONS_OPEN.format(count=2) in asked
    assert before
    assert [is_in(workbench, actor) for actor in (luis, second, eva, admin)] == [False, False, True, True]
    assert texts.SESSIONS_OPEN.format(count=0) in words(page.run())
    assert workbench.users.get(admin, "luis").active


def test_a_link_for_somebody_with_a_password_is_shown_once_and_works_once(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """It stands in the dialog with its consequence and is gone with it; used, it ends their log-ins and itself."""
    page = press(open_user(monkeypatch, workbench, admin, "luis"), "link")
    link = page.code[0].value
    said = words(page)
    code = Secret(urlsplit(link).path.rsplit("/", 1)[1])
    page.run()
    left = [*(element.value for element in page.code), words(page), repr(page.session_state._state.filtered_state)]
    before = is_in(workbench, luis)
    workbench.identity.accounts.reset_password(code, NEW)
    for word in (NEW, Secret("y otra frase más larga")):
        with pytest.raises(NotAllowed):
            workbench.identity.accounts.reset_password(code, word)

    assert "Enlace para luis" in said
    assert texts.USER_LINK_WARNING in said
    assert code.reveal() not in "\n".join(left)
    assert (before, is_in(workbench, luis)) == (True, False)
    assert workbench.identity.sessions.log_in("luis", NEW).actor.username == "luis"
    with pytest.raises(NotAllowed):
        workbench.identity.sessions.log_in("luis", PASSWORD)


def test_a_role_is_given_on_the_page(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """Who administers from now on finds the page at the next log-in; the one that was open has ended."""
    page = open_user(monkeypatch, workbench, admin, "luis")
    page.segmented_control(f"administration_user_{luis.user_id}_role").set_value(Role.ADMIN).run()
    unsaved = workbench.users.get(admin, "luis").role
    save(page)
    ended = workbench.identity.sessions.find_actor(luis.session_hash)
    again = workbench.identity.sessions.log_in("luis", PASSWORD).actor
    theirs = open_page(monkeypatch, workbench, again, "administration.py")

    assert unsaved is Role.USER
    assert ended is None
    assert workbench.users.get(admin, "luis").role is Role.ADMIN
    assert texts.TAX_ID in [box.label for box in theirs.text_input]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [("username", "LUIS", "Ya hay un usuario"), ("mail", "nada", "no parece una dirección")],
)
def test_a_new_user_with_a_wrong_field_is_told_beside_it(
    monkeypatch: pytest.MonkeyPatch,
    workbench: Workbench,
    admin: Actor,
    luis: Actor,
    field: str,
    value: str,
    sentence: str,
) -> None:
    """Nobody is added, no link is made, and what was typed stays."""
    page = panel(open_page(monkeypatch, workbench, admin, "administration.py"), "users")
    page.button("administration_user_new").click().run()
    typed = {"username": "eva", "full_name": "Eva Gil", "mail": "eva@tosma.es", field: value}
    for name, text in typed.items():
        page.text_input(f"administration_new_user_{name}").set_value(text).run()
    save(page)

    assert sentence in words(page)
    assert not page.code
    assert {name: page.text_input(f"administration_new_user_{name}").value for name in typed} == typed
    assert [user.username for user in workbench.users.list(admin)["items"]] == ["ana", luis.username]


def test_one_log_in_of_ones_own_is_ended_alone(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """Each open log-in is listed with where it came from; the button ends that one, and not this one or a third."""
    second, third = (
        workbench.identity.sessions.log_in(
            "luis", PASSWORD, ip=ip, user_agent="Mozilla/5.0 (X11; Linux) Firefox/130.0"
        ).actor
        for ip in ("198.51.100.4", "203.0.113.9")
    )
    page = open_page(monkeypatch, workbench, luis, "profile.py")
    listed = words(page).replace("\\", "")
    page.button(f"profile_end_{second.session_hash[:12]}").click().run()

    assert all(ip in listed for ip in ("198.51.100.4", "203.0.113.9"))
    assert listed.count("Firefox · Linux") == 2
    assert "198.51.100.4" not in words(page).replace("\\", "")
    assert [is_in(workbench, actor) for actor in (luis, second, third)] == [True, False, True]


def test_a_new_password_of_ones_own_is_refused_where_the_two_differ(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """Typed once wrong: nothing is changed and nobody is logged out; typed twice alike: the others are out."""
    other = workbench.identity.sessions.log_in("luis", PASSWORD).actor
    page = open_page(monkeypatch, workbench, luis, "profile.py")

    def change(repeated: str) -> str:
        typed = {"old": PASSWORD.reveal(), "new": NEW.reveal(), "repeat": repeated}
        for field, text in typed.items():
            page.text_input(f"profile_{field}_password").set_value(text)
        page.button("profile_change_password").click().run()
        return words(page) + "".join(element.value for element in page.success)

    differ, before = change("otra frase bastante corta"), is_in(workbench, other)
    changed = change(NEW.reveal())

    assert "no son iguales" in differ
    assert before
    assert "Contraseña cambiada" in changed
    assert (is_in(workbench, luis), is_in(workbench, other)) == (True, False)
    assert workbench.identity.sessions.log_in("luis", NEW).actor.username == "luis"
