"""Nothing typed is lost: on every editing page, in the tab that comes back and in the one that is opened anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.storage.identity import mark_seen
from cgcore.storage.tables import DraftRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from pages.ui.admin.series import OPEN as OPEN_SERIES
from pages.ui.admin.users import OPEN as OPEN_USER
from pages.ui.drafts import moment_of
from pages.ui.templates.drafts import PAGE as SENDING
from pages.ui.texts import drafts as texts
from tests.servers.house import add_series, add_user
from tests.servers.pages import panel, sign_in, words
from tests.servers.tabs import come_back, open_tab

T = DocumentType
TYPED, HOST = "Lo que escribí", "smtp.ejemplo.es"


@dataclass(frozen=True)
class Edited:
    """One editing page: how to get to its object, how to type into it, and what the field holds."""

    script: str
    write: Callable[[AppTest, str], None]
    read: Callable[[AppTest], str | None]
    stored: Callable[[Workbench, Actor], str]
    open: Callable[[AppTest], AppTest] = lambda page: page
    save: str = ""


def _fill(key: str) -> tuple[Callable[[AppTest, str], None], Callable[[AppTest], str | None]]:
    def write(page: AppTest, text: str) -> None:
        page.text_input(key).set_value(text).run()

    return write, lambda page: page.text_input(key).value


def _open_series(page: AppTest) -> AppTest:
    panel(page, "series")
    page.session_state[OPEN_SERIES] = ("edit", "P")
    return page.run()


def _open_user(page: AppTest) -> AppTest:
    panel(page, "users")
    page.session_state[OPEN_USER] = ("edit", "luis")
    return page.run()


def _write_body(page: AppTest, text: str) -> None:
    page.session_state[SENDING].bodies[T.QUOTE].put(f"<p>{text}</p>")
    page.run()


def _choose(page: AppTest, text: str) -> None:
    del text
    page.selectbox("series_defaults_me__quote").set_value("P").run()


EDITED = {
    "mail_account": Edited(
        "mail_account.py", *_fill("mail_account_smtp_host"), lambda w, a: w.mail_account.get(a).draft.smtp.host
    ),
    "sending_defaults": Edited(
        "sending_defaults.py",
        _write_body,
        lambda page: page.session_state[SENDING].bodies[T.QUOTE].clean,
        lambda w, a: w.templates.get(a, T.QUOTE).body,
    ),
    "series_defaults": Edited(
        "series_defaults.py",
        _choose,
        lambda page: page.selectbox("series_defaults_me__quote").value,
        lambda w, a: w.series.defaults.get(a).as_choices().get("quote") or "",
    ),
    "company": Edited("administration.py", *_fill("administration_company_name"), lambda w, a: w.company.get(a).name),
    "series": Edited(
        "administration.py",
        *_fill("administration_series_P_name"),
        lambda w, a: w.series.get(a, "P").name,
        _open_series,
    ),
    "user": Edited(
        "administration.py",
        *_fill("administration_user_2_full_name"),
        lambda w, a: w.users.get(a, "luis").full_name,
        _open_user,
    ),
    "profile": Edited("profile.py", *_fill("profile_full_name"), lambda w, a: w.users.get(a, a.username).full_name),
}
_SHOWN = {"mail_account": HOST, "sending_defaults": f"<p>{TYPED}</p>", "series_defaults": "P"}


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """An administrator, beside another user and a series."""
    ana = sign_in(workbench, "ana", Role.ADMIN)
    add_user(workbench, "luis")
    add_series(workbench, ana, "P", T.QUOTE)
    return ana


def press(page: AppTest, label: str) -> AppTest:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception
    return page


def drafts(workbench: Workbench, actor: Actor) -> list[str]:
    workbench.drafts.flush(actor)
    with workbench.database.read() as session:
        return [row.page for row in session.exec(select(DraftRow)).all()]


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (datetime(2020, 11, 24, 16, 2, tzinfo=UTC), "del 24/11/2020 a las 16:02"),
        (datetime(2020, 11, 24, 1, 5, tzinfo=UTC), "del 24/11/2020 a la 1:05"),
        (datetime.now(UTC).replace(hour=1, minute=5), "de la 1:05"),
        (datetime.now(UTC).replace(hour=0, minute=0), "de las 0:00"),
    ],
)
def test_the_moment_of_a_draft_is_told_as_people_say_it(moment: datetime, told: str) -> None:
    """The hour today, the day before any other."""
    assert moment_of(moment) == told


@pytest.mark.parametrize("name", EDITED)
def test_a_tab_that_comes_back_has_its_fields_and_saves_them(
    name: str, monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The server has forgotten its session: the fields are there by themselves, and Guardar stores what is seen."""
    edited, shown = EDITED[name], _SHOWN.get(name, TYPED)
    before = edited.open(open_tab(monkeypatch, workbench, ana, edited.script, "one"))
    edited.write(before, HOST if name == "mail_account" else TYPED)
    page = open_tab(monkeypatch, workbench, ana, edited.script, "two", former="one")
    back, told = edited.read(page), words(page)
    unsaved = edited.stored(workbench, ana)
    press(page, "Guardar")

    assert back == shown
    assert texts.RESTORED in told
    assert unsaved != shown
    assert edited.stored(workbench, ana) == shown
    assert drafts(workbench, ana) == []
    assert "Todo guardado" in words(page)


@pytest.mark.parametrize("name", EDITED)
def test_a_page_that_is_opened_offers_the_draft(
    name: str, monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """A reload, a new log-in, a second tab: what is stored is shown until the person takes the draft."""
    edited, shown = EDITED[name], _SHOWN.get(name, TYPED)
    before = edited.open(open_tab(monkeypatch, workbench, ana, edited.script, "one"))
    edited.write(before, HOST if name == "mail_account" else TYPED)
    page = open_tab(monkeypatch, workbench, ana, edited.script, "two")
    told, unsaved = words(page), "Hay cambios sin guardar" in words(page)
    press(page, texts.TAKE)

    assert "Tienes un borrador de la" in told
    assert not unsaved
    assert edited.read(page) == shown
    assert edited.stored(workbench, ana) != shown
    assert len(drafts(workbench, ana)) == 1
    assert texts.TAKE not in [button.label for button in page.button]


@pytest.mark.parametrize("name", ["mail_account", "company", "series", "user", "profile"])
def test_a_save_writes_to_no_field_that_shows_what_is_stored(
    name: str, monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """What the server writes into a field reaches the browser after a click of meanwhile, and would take it back."""
    edited = EDITED[name]
    page = edited.open(open_tab(monkeypatch, workbench, ana, edited.script, "one"))
    edited.write(page, HOST if name == "mail_account" else TYPED)
    press(page, "Guardar")
    fields = [*page.text_input, *page.number_input, *page.selectbox, *page.checkbox, *page.toggle]
    written = [field.label for field in fields if field.proto.set_value and not field.disabled]

    assert "Todo guardado" in words(page)
    assert len(fields) > 1
    assert written == []


def test_a_draft_that_is_given_up_is_gone(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """Descartar leaves what is stored, and nobody is asked again."""
    edited = EDITED["profile"]
    edited.write(open_tab(monkeypatch, workbench, ana, edited.script, "one"), TYPED)
    press(open_tab(monkeypatch, workbench, ana, edited.script, "two"), texts.DROP)
    page = open_tab(monkeypatch, workbench, ana, edited.script, "three")

    assert drafts(workbench, ana) == []
    assert texts.DROP not in [button.label for button in page.button]
    assert edited.read(page) == "Ana"


def test_two_tabs_keep_two_drafts(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """What is typed in one overwrites nothing of the other, and a save removes its own draft only."""
    edited = EDITED["profile"]
    first = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    edited.write(first, "Una")
    second = open_tab(monkeypatch, workbench, ana, edited.script, "two")
    edited.write(second, "Otra")
    both = drafts(workbench, ana)
    press(second, "Guardar")
    left = workbench.drafts.list_drafts(ana, "profile")

    assert both == ["profile", "profile"]
    assert edited.stored(workbench, ana) == "Otra"
    assert [draft.content["forms"]["profile"]["values"] for draft in left] == [{"full_name": "Una"}]
    assert edited.read(first.run()) == "Una"


def test_a_draft_meets_what_was_saved_in_between(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """It keeps the version that it was read at: its save is set against the newer one, and overwrites nothing."""
    edited = EDITED["company"]
    edited.write(open_tab(monkeypatch, workbench, ana, edited.script, "one"), TYPED)
    workbench.company.save(ana, CompanyDraft("De otra persona"), 0)
    page = open_tab(monkeypatch, workbench, ana, edited.script, "two", former="one")
    press(page, "Guardar")

    assert "No se ha perdido nada" in words(page)
    assert edited.stored(workbench, ana) == "De otra persona"
    assert edited.read(page) == TYPED


def test_a_password_is_in_no_draft_and_the_field_says_so(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Neither typed nor brought along; the rest of the account is kept."""
    secret = "Clave-que-nadie-ve-9"
    page = open_tab(monkeypatch, workbench, ana, "mail_account.py", "one")
    before = words(page)
    page.text_input("mail_account_user").set_value("ana@ejemplo.es").run()
    page.text_input("mail_account_password").set_value(secret).run()
    workbench.drafts.flush(ana)
    with workbench.database.read() as session:
        content = str(session.exec(select(DraftRow)).one().content)

    assert "ana@ejemplo.es" in content
    assert secret not in content
    assert texts.PASSWORD_NOT_KEPT in words(page)
    assert texts.PASSWORD_NOT_KEPT not in before


def test_a_password_alone_is_no_draft(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """There is nothing that could be given back."""
    account = MailAccountDraft("ana@ejemplo.es", Secret("vieja"), ServerDraft("smtp.ejemplo.es"))
    workbench.mail_account.save(ana, account, version=0)
    page = open_tab(monkeypatch, workbench, ana, "mail_account.py", "one")
    page.text_input("mail_account_password").set_value("Nueva-clave-9").run()

    assert drafts(workbench, ana) == []


def test_resumen_and_the_navigation_mark_a_page_with_a_draft(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """In words, and until it is saved."""
    edited = EDITED["mail_account"]
    page = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    edited.write(page, "smtp.ejemplo.es")
    page.switch_page("overview.py").run()
    marked = words(page)
    page.switch_page(edited.script).run()
    press(page, "Guardar")
    page.switch_page("overview.py").run()

    assert "Borrador sin guardar de la" in marked
    assert "Borrador sin guardar" not in words(page)


def test_leaving_with_unsaved_work_is_asked_first(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The log-in goes on until the answer; without changes nobody is asked."""
    edited = EDITED["profile"]
    page = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    edited.write(page, TYPED)
    page.button("log_out").click().run()
    asked, still_in = words(page), workbench.identity.sessions.find_actor(ana.session_hash) is not None
    page.button("log_out").click()  # a dialog is drawn again by what has opened it
    page.button("log_out_confirm").click().run()
    workbench.drafts.flush(ana)

    assert texts.LEAVE_EXPLANATION in asked
    assert "Mi usuario" in asked
    assert still_in
    assert workbench.identity.sessions.find_actor(ana.session_hash) is None
    later = replace(ana, session_hash="")
    assert [draft.page for draft in workbench.drafts.list_drafts(later, "profile")] == ["profile"]


def test_what_is_typed_after_the_log_in_has_ended_is_kept(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """It was idle for too long: the page is refused, its last keys wait for the next log-in, nothing was stored."""
    edited = EDITED["profile"]
    page = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    with workbench.database.session() as session:
        mark_seen(session, ana.session_hash, workbench.clock() - timedelta(minutes=31))
    page.text_input("profile_full_name").set_value(TYPED).run()
    refused = words(page)
    again = workbench.identity.sessions.log_in("ana", Secret("una frase bastante larga")).actor
    fresh = open_tab(monkeypatch, workbench, again, edited.script, "two")
    press(fresh, texts.TAKE)

    assert "Entra de nuevo" in refused
    assert edited.read(fresh) == TYPED
    assert edited.stored(workbench, again) == "Ana"


def test_a_draft_that_is_not_kept_is_told_on_the_page(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The page works as before; the sentence goes when the draft is kept again."""
    edited = EDITED["profile"]
    page = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    with monkeypatch.context() as full:
        full.setattr("cgcore.storage.drafts.put_draft", lambda *_a, **_n: 1 / 0)
        edited.write(page, "A")
        workbench.drafts.flush(ana)
        told = words(page.run())
        value = edited.read(page)
    workbench.drafts.flush(ana)
    page.run()
    workbench.drafts.flush(ana)

    assert "Tu borrador no se puede guardar" in told
    assert value == "A"
    assert "Tu borrador no se puede guardar" not in words(page.run())
    assert drafts(workbench, ana) == ["profile"]


def test_a_click_of_a_lost_session_counts_for_nothing_and_says_so(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Neither Guardar nor the end of other log-ins; the fields hold what the browser shows, the last keys included."""
    edited = EDITED["profile"]
    page = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    edited.write(page, TYPED)
    workbench.drafts.flush(ana)
    again = come_back(monkeypatch, page, "one", click="profile_save", profile_mail="nueva@tosma.es")
    told, stored = words(again), workbench.users.get(ana, "ana")
    shown = edited.read(again), again.text_input("profile_mail").value
    press(again, "Guardar")
    saved = workbench.users.get(ana, "ana")

    assert texts.CLICK_REFUSED in told
    assert (stored.full_name, stored.mail) == ("Ana", "")
    assert shown == (TYPED, "nueva@tosma.es")
    assert (saved.full_name, saved.mail) == shown
    assert texts.CLICK_REFUSED not in words(again)


def test_leaving_by_a_click_of_a_lost_session_does_not_happen(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The rule holds for every button of every page."""
    page = open_tab(monkeypatch, workbench, ana, "profile.py", "one")
    again = come_back(monkeypatch, page, "one", click="log_out")

    assert workbench.identity.sessions.find_actor(ana.session_hash) is not None
    assert texts.CLICK_REFUSED in words(again)


def test_what_was_typed_and_never_kept_overwrites_nobody(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Nobody knows at which version it was read: the person chooses, and both are there."""
    edited = EDITED["company"]
    page = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    workbench.company.save(ana, CompanyDraft("De otra persona"), 0)
    again = come_back(monkeypatch, page, "one", administration_company_name="Mía")
    back = edited.read(again)
    press(again, "Guardar")
    met = words(again)
    press(again, "Guardar lo mío")

    assert back == "Mía"
    assert "No se ha perdido nada" in met
    assert edited.stored(workbench, ana) == "Mía"


def test_a_tab_that_comes_back_untouched_has_nothing_to_save(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """No page calls its own defaults a change."""
    for name, edited in EDITED.items():
        page = edited.open(open_tab(monkeypatch, workbench, ana, edited.script, name))
        again = come_back(monkeypatch, page, name)

        assert "Hay cambios sin guardar" not in words(again), name
        assert drafts(workbench, ana) == [], name


def test_the_typed_password_is_still_there_in_a_tab_that_comes_back(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """From the browser, which shows it; the server kept the rest."""
    page = open_tab(monkeypatch, workbench, ana, "mail_account.py", "one")
    page.text_input("mail_account_user").set_value("ana@ejemplo.es").run()
    page.text_input("mail_account_smtp_host").set_value(HOST).run()
    page.text_input("mail_account_password").set_value("Nueva-clave-9").run()
    workbench.drafts.flush(ana)
    again = come_back(monkeypatch, page, "one")
    press(again, "Guardar")
    stored = workbench.mail_account.get(ana)

    assert (stored.draft.user, stored.draft.smtp.host, stored.password_set) == ("ana@ejemplo.es", HOST, True)


def test_the_bar_at_the_bottom_saves_like_guardar(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """It is there while something is unsaved, wherever the page is scrolled to; Guardar stays the first element."""
    edited = EDITED["profile"]
    page = open_tab(monkeypatch, workbench, ana, edited.script, "one")
    before = [button.label for button in page.button]
    edited.write(page, TYPED)
    first = page.main.children[0].children[0]
    press(page, "Guardar cambios")

    assert "Guardar cambios" not in before
    assert getattr(first, "label", "") == "Guardar"
    assert edited.stored(workbench, ana) == TYPED
    assert "Guardar cambios" not in [button.label for button in page.button]
