"""«Actividad»: who did what, when, and how it went; own lines for a user, all for an administrator."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from cgcore.activity import ActivityFilters
from cgcore.workbench import get_workbench
from pages.ui.activity_table import draw_entries, words_of
from pages.ui.files import draw_download
from pages.ui.heads import page_title
from pages.ui.identity import require_actor
from pages.ui.moments import viewer_zone
from pages.ui.paging import Pager
from pages.ui.problems import draw_search_problem
from pages.ui.texts import activity as texts

PAGE = "activity"
ROWS = 50
RESULTS = ("", "ok", "error")
DAYS = {"always": 0, "today": 1, "week": 7, "month": 30}


def _since(days: int) -> datetime | None:
    if days == 0:
        return None
    today = datetime.now(viewer_zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days - 1)


def _filters_label() -> str:
    """Return «Filtros», and how many of the folded ones are set."""
    chosen = [st.session_state.get(f"{PAGE}_{name}") for name in ("action", "user", "result", "days")]
    count = sum(value not in (None, "", "always") for value in chosen)
    return texts.FILTERS_SET.format(count=count) if count else texts.FILTERS


actor = require_actor()
workbench = get_workbench()

page_title(texts.TITLE, texts.SUBTITLE_ALL if actor.is_admin else texts.SUBTITLE_OWN)
with st.container(horizontal=True, vertical_alignment="bottom", key=f"{PAGE}_filters"):
    text = st.text_input(
        texts.SEARCH, placeholder=texts.SEARCH_PLACEHOLDER, icon=":material/search:", key=f"{PAGE}_search", width=300
    )
    # Folded away: on a phone they would be a screen of their own.
    more = st.popover(_filters_label(), icon=":material/filter_list:", key=f"{PAGE}_more")
with more:
    action = st.selectbox(
        texts.ACTION,
        ["", *texts["ACTIONS"]],
        format_func=lambda code: texts["ACTIONS"].get(code, texts.ANY_ACTION),
        key=f"{PAGE}_action",
    )
    username = st.text_input(texts.USER, key=f"{PAGE}_user") if actor.is_admin else ""
    result = st.segmented_control(
        texts.RESULT,
        list(RESULTS),
        format_func=lambda code: texts["RESULT_FILTER"][code or "any"],
        key=f"{PAGE}_result",
        default="",
        required=True,
    )
    days = st.segmented_control(
        texts.DAYS,
        list(DAYS),
        format_func=lambda code: texts["DAYS_OPTIONS"][code],
        key=f"{PAGE}_days",
        default="always",
        required=True,
    )
draw_search_problem(max(text or "", username or "", key=len))
filters = ActivityFilters(
    text=(text or "").strip(),
    action=str(action or ""),
    result=str(result or ""),
    username=(username or "").strip(),
    since=_since(DAYS[days]) if days else None,
)
pager = Pager(PAGE, filters)
page = workbench.activity.list(actor, pager.cursor, ROWS, filters)
if page["items"]:
    draw_entries(page["items"], with_user=actor.is_admin)
else:
    st.caption(texts.EMPTY if filters == ActivityFilters() else texts.EMPTY_FILTERED)
pager.draw(page["next"])
draw_download(
    texts.EXPORT,
    lambda asking: "".join(
        workbench.activity.export_csv(
            asking,
            header=tuple(texts["CSV_HEADER"].values()),
            labels={**texts["ACTIONS"], "ok": texts.OK, "warning": texts.WARNING},
            filters=filters,
            words=words_of,
        )
    ),
    file_name=texts.FILE_NAME,
    mime="text/csv",
    key=f"{PAGE}_export",
)
