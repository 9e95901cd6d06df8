"""«Cuenta mail»: the account, its two servers and the test mail, each proven in its own cell."""

from __future__ import annotations

import streamlit as st

from cgcore.errors import VaultError
from cgcore.mail.account import AuthKind
from cgcore.vault.texts import problem_text
from cgcore.workbench import get_workbench
from pages.ui.drafts import draw_draft
from pages.ui.editing import draw_notices, store, wants_save
from pages.ui.explainer import draw_explainer
from pages.ui.heads import page_title, save_bar
from pages.ui.identity import require_actor
from pages.ui.mail import account_cell, by_hand, connection, domain_cell, server_cells, setup, test_cell, watch_part
from pages.ui.mail.form import AccountForm
from pages.ui.mail.view import MailPage
from pages.ui.texts import mail_account as texts

PAGE = "mail_account"
TROUBLE = f"{PAGE}_trouble"  # why the vault did not take the password, until the next attempt

actor = require_actor()
workbench = get_workbench()
form = AccountForm(workbench.mail_presets.propose(actor, workbench.mail_account.get(actor)))
setup.take_over(form)

bar = save_bar(PAGE)
if wants_save(bar, form) and not connection.must_ask(workbench, actor, form, PAGE):
    st.session_state.pop(TROUBLE, None)
    try:
        if store(form, lambda: workbench.mail_account.save(actor, form.draft(), version=form.version)):
            form = AccountForm(workbench.mail_account.get(actor))
            form.reset()
            if form.stored.draft.auth is AuthKind.PASSWORD:
                connection.end_for_password(workbench, actor)
    except VaultError as failed:
        st.session_state[TROUBLE] = failed.code
bar.show(form.count_changed())
page = MailPage(workbench, actor, form, bar)
page.remember()

draw_draft(bar.page, bar.notices, workbench, actor)
draw_notices(bar, form)
if TROUBLE in st.session_state:
    trouble = problem_text(st.session_state[TROUBLE])
    bar.notices.error(str(trouble.fix or ""), title=str(trouble.title), icon=":material/error:")
page_title(texts.TITLE, texts.SUBTITLE)
account_cell.draw(page)
with by_hand.fold(page):
    server_cells.draw_outgoing(page)
    server_cells.draw_incoming(page)
    test_cell.draw(page)
domain_cell.draw(page)
watch_part.draw(page)
draw_explainer(PAGE, page.provider)
