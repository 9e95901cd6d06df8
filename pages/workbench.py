"""Router and frame: who is there, which pages exist, and the one that is asked for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import streamlit as st

from cgcore.identity.actor import Actor
from cgcore.language import current_language
from cgcore.workbench import get_workbench
from pages.ui.drafts import begin_tab, keep_drafts, keep_what_is_typed
from pages.ui.identity import refused_when_ended, require_actor, while_logged_in
from pages.ui.keys.dialogs import forget
from pages.ui.light import draw_frame, draw_logo
from pages.ui.log_out import leave
from pages.ui.markdown import escape
from pages.ui.problems import storage_failures_told
from pages.ui.texts import common as texts
from pages.ui.texts import drafts as draft_texts
from pages.ui.toasts import draw_toast
from pages.ui.uploads import begin_page

_MENU = "menu_of_pages"
# The pages that edit, by address.
_SCRIPTS = {
    "cuenta-mail": "mail_account",
    "valores-por-defecto": "sending_defaults",
    "series-por-defecto": "series_defaults",
    "enviar-documento": "send_document",
    "administracion": "administration",
    "mi-usuario": "profile",
}


def _pages(actor: Actor, marks: Collection[str]) -> dict[str, list[st.Page]]:
    """Return the pages of the menu; the same ones as in the run before, while they would be made alike."""
    wanted = actor.is_admin, frozenset(marks), current_language()
    kept: tuple[object, dict[str, list[st.Page]]] | None = st.session_state.get(_MENU)
    if kept is None or kept[0] != wanted:
        kept = st.session_state[_MENU] = wanted, _make_pages(actor, marks)
    return kept[1]


def _make_pages(actor: Actor, marks: Collection[str]) -> dict[str, list[st.Page]]:
    def _page(name: str, url_path: str, icon: str, title: str, help_text: str, *, default: bool = False) -> st.Page:
        if name in marks:
            title, icon = draft_texts.MARKED.format(title=title), "edit"
        script = f"{name}.py"
        return st.Page(
            script, title=title, icon=f":material/{icon}:", url_path=url_path, default=default, help=help_text
        )

    own = [
        _page("mail_account", "cuenta-mail", "mail", texts.PAGE_MAIL_ACCOUNT, texts.HELP_MAIL_ACCOUNT),
        _page("sending_defaults", "valores-por-defecto", "edit_note", texts.PAGE_SENDING, texts.HELP_SENDING),
        _page("series_defaults", "series-por-defecto", "format_list_numbered", texts.PAGE_SERIES, texts.HELP_SERIES),
        _page("api_key", "api-key", "key", texts.PAGE_API_KEY, texts.HELP_API_KEY),
    ]
    work = [
        _page("send_document", "enviar-documento", "send", texts.PAGE_SEND, texts.HELP_SEND),
        _page("sandbox", "bandeja-de-pruebas", "inbox", texts.PAGE_TEST_MAILBOX, texts.HELP_TEST_MAILBOX),
        _page("activity", "actividad", "history", texts.PAGE_ACTIVITY, texts.HELP_ACTIVITY),
    ]
    house = [_page("profile", "mi-usuario", "person", texts.PAGE_PROFILE, texts.HELP_PROFILE)]
    if actor.is_admin:
        house.insert(0, _page("administration", "administracion", "apartment", texts.PAGE_ADMIN, texts.HELP_ADMIN))
    # Its url_path is ignored: the default page is at «/». It must be unequal to the others all the same.
    overview = _page("overview", "resumen", "dashboard", texts.PAGE_OVERVIEW, texts.HELP_OVERVIEW, default=True)
    return {"": [overview], texts.SECTION_OWN: own, texts.SECTION_WORK: work, texts.SECTION_HOUSE: house}


def _name(page: st.Page) -> str:
    return _SCRIPTS.get(page.url_path, page.url_path)


@st.fragment(run_every=timedelta(hours=12))
@while_logged_in
def _draw_lifeline() -> None:
    """Draw nothing. A tab that has a fragment of this kind asks for a run as soon as it is connected again."""


draw_frame(texts.PRODUCT)
with storage_failures_told(), refused_when_ended():
    # Before the log-in is looked up: one that has ended takes the tab away at once, and what this run brings with it.
    keep_what_is_typed(get_workbench())
    actor = require_actor()
    draw_logo()
    workbench = get_workbench()
    begin_tab(workbench, actor)
    page = st.navigation(_pages(actor, workbench.drafts.marks(actor)))
    with st.sidebar:
        st.caption(texts.SIGNED_IN_AS.format(name=escape(actor.username)))
        leaving = st.button(texts.LOG_OUT, type="tertiary", icon=":material/logout:", key="log_out")
        _draw_lifeline()
    if page.url_path != "api-key":
        # A key that is shown once does not stay in the session of somebody who has left its page.
        forget()
    begin_page(page.url_path)
    with keep_drafts(workbench, _name(page)):
        if leaving:
            leave(workbench, actor)
        if workbench.settings.demo:
            st.info(texts.DEMO, icon=":material/science:")
        page.run()
        draw_toast()
