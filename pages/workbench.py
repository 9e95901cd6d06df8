"""Router and frame: who is there, which pages exist, and the one that is asked for."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cgcore.identity.actor import Actor
from cgcore.workbench import get_workbench
from pages.ui.identity import require_actor
from pages.ui.keys.dialogs import forget
from pages.ui.problems import storage_failures_told
from pages.ui.texts import common as texts
from pages.ui.toasts import draw_toast

_LOGO = Path(__file__).parent / "ui" / "logo.svg"
_ICON = Path(__file__).parent / "ui" / "icon.svg"


def _pages(actor: Actor) -> dict[str, list[st.Page]]:
    own = [
        _page("mail_account", "cuenta-mail", "mail", texts.PAGE_MAIL_ACCOUNT, texts.HELP_MAIL_ACCOUNT),
        _page("sending_defaults", "valores-por-defecto", "edit_note", texts.PAGE_SENDING, texts.HELP_SENDING),
        _page("series_defaults", "series-por-defecto", "format_list_numbered", texts.PAGE_SERIES, texts.HELP_SERIES),
        _page("api_key", "api-key", "key", texts.PAGE_API_KEY, texts.HELP_API_KEY),
    ]
    work = [
        _page("sandbox", "bandeja-de-pruebas", "inbox", texts.PAGE_TEST_MAILBOX, texts.HELP_TEST_MAILBOX),
        _page("activity", "actividad", "history", texts.PAGE_ACTIVITY, texts.HELP_ACTIVITY),
    ]
    house = [_page("profile", "mi-usuario", "person", texts.PAGE_PROFILE, texts.HELP_PROFILE)]
    if actor.is_admin:
        house.insert(0, _page("administration", "administracion", "apartment", texts.PAGE_ADMIN, texts.HELP_ADMIN))
    # Its url_path is ignored: the default page is at «/». It must be unequal to the others all the same.
    overview = _page("overview", "resumen", "dashboard", texts.PAGE_OVERVIEW, texts.HELP_OVERVIEW, default=True)
    return {"": [overview], texts.SECTION_OWN: own, texts.SECTION_WORK: work, texts.SECTION_HOUSE: house}


def _page(name: str, url_path: str, icon: str, title: str, help_text: str, *, default: bool = False) -> st.Page:
    return st.Page(
        f"{name}.py", title=title, icon=f":material/{icon}:", url_path=url_path, default=default, help=help_text
    )


st.set_page_config(page_title=texts.PRODUCT, page_icon=str(_ICON), layout="wide")
with storage_failures_told():
    actor = require_actor()
    st.logo(_LOGO, size="large", icon_image=_ICON)
    page = st.navigation(_pages(actor))
    with st.sidebar:
        st.caption(texts.SIGNED_IN_AS.format(name=actor.username))
        if st.button(texts.LOG_OUT, type="tertiary", icon=":material/logout:", key="log_out"):
            # The gate sends every tab of this log-in to the log-in page.
            get_workbench().identity.log_out(actor.session_hash)
            st.stop()
    if page.url_path != "api-key":
        # A key that is shown once does not stay in the session of somebody who has left its page.
        forget()
    page.run()
    draw_toast()
