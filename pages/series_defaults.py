"""«Series por defecto»: the series that each document type proposes, for me, for another user, for everybody."""

from __future__ import annotations

import streamlit as st

from cgcore.workbench import get_workbench
from pages.ui.drafts import draw_draft
from pages.ui.editing import draw_notices, store, wants_save
from pages.ui.heads import page_title, save_bar
from pages.ui.identity import require_actor
from pages.ui.markdown import escape
from pages.ui.panels import AdminPanel, draw_way
from pages.ui.series import check_cell
from pages.ui.series import target as everybody
from pages.ui.series.rows import DefaultsForm, draw_groups, draw_search
from pages.ui.series.target import Whose, choose_target, read_target
from pages.ui.texts import series_defaults as texts

PAGE = "series_defaults"
SEARCH = f"{PAGE}_search"

actor = require_actor()
workbench = get_workbench()
target = read_target(actor)
stored = target.read(workbench, actor)
form = DefaultsForm(PAGE, target, stored)

bar = save_bar(PAGE)
changed = form.changed_choices()
answer: bool | None = st.session_state.pop(everybody.ANSWER, None)
wanted = wants_save(bar, form) or answer is not None
if wanted:
    bar.tell_saving()
overriding = target.whose is Whose.ALL and answer is None and [kind for kind, code in changed.items() if code]
if wanted and overriding and workbench.series.defaults.list_overridden(actor, overriding):
    everybody.ask_everybody(workbench, actor, overriding)
elif wanted and store(form, lambda: target.save(workbench, actor, changed, stored, form.version, clear=bool(answer))):
    stored = target.read(workbench, actor)
    form = DefaultsForm(PAGE, target, stored)
    form.reset()
    changed = {}
bar.show(form.count_changed())

draw_draft(bar.page, bar.notices, workbench, actor)
draw_notices(bar, form)
subtitles = {Whose.ME: texts.SUBTITLE, Whose.OTHER: texts.SUBTITLE_OTHER, Whose.ALL: texts.SUBTITLE_ALL}
page_title(texts.TITLE, subtitles[target.whose].format(name=escape(target.name or texts.SOMEBODY_ELSE)))
choose_target(workbench, actor)
if target.whose is Whose.OTHER and target.user_id is None:
    st.stop()
empty = workbench.series.count(actor) == 0
if empty:
    st.info(texts.EMPTY_ADMIN if actor.is_admin else texts.EMPTY_USER, title=texts.EMPTY_TITLE, icon=":material/info:")
    if actor.is_admin:
        draw_way(AdminPanel.SERIES, texts.GO_TO_ADMIN, icon=":material/apartment:")
search = st.session_state.get(SEARCH, "")
if search or any(row.more for row in stored.rows):
    draw_search(SEARCH)
shown = target.read(workbench, actor, search=search, choices=changed)
draw_groups(workbench, actor, target, form, shown, quiet=empty)
st.caption(texts.SEVERAL_NUMBERS)
if target.whose is Whose.ME:
    check_cell.draw(workbench, actor, stored)
elif target.whose is Whose.ALL:
    everybody.draw_clear_own(workbench, actor, stored.choices)
