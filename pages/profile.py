"""«Mi usuario»: own name and mail, password, open log-ins, own configuration as a file."""

from __future__ import annotations

import streamlit as st

from cgcore.workbench import get_workbench
from cgcore.workbench.users import User
from pages.ui.cells import cell
from pages.ui.drafts import draw_draft
from pages.ui.editing import Form, draw_notices, store, wants_save
from pages.ui.heads import page_title, save_bar
from pages.ui.identity import require_actor
from pages.ui.markdown import escape
from pages.ui.portable import draw_portable
from pages.ui.profile_cells import draw_password, draw_sessions
from pages.ui.texts import profile as texts

PAGE = "profile"


def _form(stored: User) -> Form:
    labels = {"full_name": texts.FULL_NAME, "mail": texts.MAIL}
    return Form(PAGE, PAGE, {"full_name": stored.full_name, "mail": stored.mail}, stored.version, labels)


actor = require_actor()
workbench = get_workbench()
form = _form(workbench.users.get(actor, actor.username))

bar = save_bar(PAGE)
if wants_save(bar, form):
    values = form.values()
    if store(form, lambda: workbench.users.save_own(actor, values["full_name"], values["mail"], form.version)):
        form = _form(workbench.users.get(actor, actor.username))
        form.reset()
bar.show(form.count_changed())

draw_draft(bar.page, bar.notices, workbench, actor)
draw_notices(bar, form)
page_title(texts.TITLE, texts.SUBTITLE.format(name=escape(actor.username)))
with cell("particulars", texts.CELL_PARTICULARS):
    name, mail = st.columns(2, gap="medium")
    with name:
        st.text_input(texts.FULL_NAME, live=True, **form.widget("full_name"))
        form.problems_under("full_name")
    with mail:
        st.text_input(texts.MAIL, live=True, help=texts.MAIL_HELP, **form.widget("mail"))
        form.problems_under("mail")
draw_password(workbench, actor)
draw_sessions(workbench, actor)
draw_portable(workbench, actor, PAGE, username=actor.username)
