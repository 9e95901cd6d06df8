"""Series: the list, or the one series that is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.documents import DOCUMENT_TYPES, DocumentType, DocumentTypeInfo, SeriesGroup, type_label
from cgcore.errors import InvalidInput, NotFound, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.series.defaults import OwnChoice
from cgcore.series.series import Series, SeriesDraft, SeriesKind, format_number
from cgcore.series.starters import STARTER_SETS, StarterLayout
from cgcore.texts import wordings
from cgcore.workbench import Workbench
from pages.ui.admin.objects import ROWS, ObjectPanel, draw_edit_button, draw_filters
from pages.ui.cells import cell
from pages.ui.editing import Form, store
from pages.ui.identity import dialog, while_logged_in
from pages.ui.markdown import escape
from pages.ui.paging import Pager
from pages.ui.problems import draw_problems
from pages.ui.texts import administration as texts
from pages.ui.texts import common
from pages.ui.toasts import announce

__all__ = ["CONFIRMED", "OPEN", "SeriesForm", "SeriesPanel", "ask_about_orphans", "draw_editor", "draw_list"]

OPEN = "administration_series_open"


def draw_list(workbench: Workbench, actor: Actor) -> None:
    """Draw search, rows and pages; where there is no series yet, the sets to start from come first."""
    empty = workbench.series.count(actor) == 0
    if empty:
        st.info(texts.SERIES_EMPTY, icon=":material/info:")
        _draw_starters(workbench, actor)
    st.button(
        texts.SERIES_NEW, icon=":material/add:", key="administration_series_new", on_click=_open, args=(("new", ""),)
    )
    if empty:
        return
    text, active = draw_filters("administration_series", texts.SERIES_SEARCH, texts["STATE_FILTER"])
    pager = Pager("administration_series", (text, active))
    page = workbench.series.list(actor, text=text, active=active, cursor=pager.cursor, limit=ROWS)
    if not page["items"]:
        st.caption(texts.SERIES_NONE)
    for series in page["items"]:
        _draw_row(series)
    pager.draw(page["next"])
    with st.expander(texts.STARTERS_TITLE, icon=":material/auto_awesome:"):
        _draw_starters(workbench, actor)


def _draw_row(series: Series) -> None:
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = f" · {escape(series.name)}" if series.name else ""
            st.markdown(f"**{escape(series.code)}**{name}", width="stretch")
            st.badge(wordings("cgcore.series", "kinds")[series.kind], color="gray")
            if series.active:
                st.badge(texts.ACTIVE, icon=":material/check_circle:", color="green")
            else:
                st.badge(texts.INACTIVE, icon=":material/block:", color="gray")
            draw_edit_button(f"administration_series_edit_{series.code}", series.code, OPEN)
        numbers = [
            f"{type_label(entry.code)} {format_number(series.code, series.counters[entry.code].next_number)}"
            for entry in DOCUMENT_TYPES
            if entry.code in series.counters
        ]
        st.caption(escape(" · ".join(numbers)))


def _draw_starters(workbench: Workbench, actor: Actor) -> None:
    st.caption(texts.STARTERS_EXPLANATION)
    for starter, column in zip(STARTER_SETS, st.columns(len(STARTER_SETS)), strict=True):
        title, explanation = texts["STARTERS"][starter.layout], texts["STARTER_HELP"][starter.layout]
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.caption(explanation)
            st.markdown(" ".join(f":gray-badge[{escape(draft.code)}]" for draft in starter.series))
            if st.button(texts.STARTER_CREATE, key=f"administration_starter_{starter.layout}"):
                _create(workbench, actor, starter.layout)


def _create(workbench: Workbench, actor: Actor, layout: StarterLayout) -> None:
    try:
        made = workbench.series.create_starter_set(actor, layout)
    except InvalidInput as refused:
        st.error(escape(refused.problems[0].message), icon=":material/error:")
        return
    announce(texts.STARTER_DONE.format(codes=[escape(series.code) for series in made]))
    st.rerun()


def _open(what: tuple[str, str]) -> None:
    st.session_state[OPEN] = what


CONFIRMED = "administration_series_confirmed"
_PAGE = "administration"
_SHOWN = 20


class SeriesForm(Form):
    """The draft of one series; for each type whether it is served, and its next number."""

    def __init__(self, stored: Series | None) -> None:
        self.stored = stored
        prefix = f"administration_series_{stored.code}" if stored else "administration_new_series"
        values = series_values(stored.as_json() if stored else {})
        labels: dict[str, str] = {"name": texts.SERIES_NAME, "kind": texts.KIND, "active": texts.ACTIVE_FIELD}
        for entry in DOCUMENT_TYPES:
            labels[f"serves_{entry.code}"] = type_label(entry.code)
            labels[f"number_{entry.code}"] = texts.NEXT_NUMBER.format(kind=type_label(entry.code))
        super().__init__(_PAGE, prefix, values, stored.version if stored else 0, labels)

    def draft(self) -> SeriesDraft:
        """Return what the fields hold now."""
        numbers = {
            entry.code: int(self.value(f"number_{entry.code}") or 0)
            for entry in DOCUMENT_TYPES
            if self.value(f"serves_{entry.code}")
        }
        return SeriesDraft(
            self.value("code"), self.value("name").strip(), self.value("kind"), self.value("active"), numbers
        )

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return the fields that differ from ``stored``, a series as the API shows it."""
        return super().differences(series_values(stored))


def series_values(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a series as the API shows it; an empty mapping is a new one."""
    numbers: Mapping[str, int] = stored.get("document_types", {})
    values: dict[str, Any] = {
        "code": stored.get("code", ""),
        "name": stored.get("name", ""),
        "kind": SeriesKind(stored.get("kind", SeriesKind.ORDINARY)),
        "active": stored.get("active", True),
    }
    for entry in DOCUMENT_TYPES:
        values[f"serves_{entry.code}"] = entry.code.value in numbers
        values[f"number_{entry.code}"] = numbers.get(entry.code.value, 1)
    return values


def draw_editor(workbench: Workbench, actor: Actor, form: SeriesForm) -> None:
    """Draw the fields, the previews, and the way out."""
    if st.button(texts.BACK, icon=":material/arrow_back:", type="tertiary", key="administration_series_back"):
        st.session_state.pop(OPEN, None)
        st.rerun()
    title = texts.SERIES_EDITOR.format(code=escape(form.stored.code)) if form.stored else texts.SERIES_EDITOR_NEW
    with cell("series_editor", title):
        _draw_head(form)
        st.markdown(f"**{texts.TYPES}**")
        st.caption(texts.TYPES_EXPLANATION)
        form.problems_under("document_types", widget="code")
        for group in SeriesGroup:
            st.caption(group.label)
            for entry in DOCUMENT_TYPES:
                if entry.group is group:
                    _draw_type(form, entry)
        warnings = [problem for problem in workbench.series.check(actor, form.draft()) if not problem.blocking]
        for problem in warnings if form.value("code") else ():
            draw_problems([problem], problem.field)
    if form.stored is None:
        return
    if form.stored.used:
        st.caption(texts.USED_NOTE)
    elif st.button(texts.SERIES_DELETE, icon=":material/delete:", key="administration_series_delete"):
        _ask_delete(workbench, actor, form.stored)


def _draw_head(form: SeriesForm) -> None:
    code, name = st.columns([1, 3], gap="medium")
    with code:
        st.text_input(
            texts.CODE, live=True, help=texts.CODE_HELP, disabled=form.stored is not None, **form.widget("code")
        )
        form.problems_under("code")
    with name:
        st.text_input(texts.SERIES_NAME, live=True, **form.widget("name"))
        form.problems_under("name")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control(
            texts.KIND,
            list(SeriesKind),
            format_func=wordings("cgcore.series", "kinds").__getitem__,
            help=texts.KIND_HELP,
            required=True,
            **form.choice("kind"),
        )
        st.toggle(texts.ACTIVE_FIELD, **form.widget("active"))


def _draw_type(form: SeriesForm, entry: DocumentTypeInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        served = st.checkbox(entry.series_label, width=190, **form.widget(f"serves_{entry.code}"))
        if not served:
            return
        st.number_input(
            texts.NEXT_NUMBER.format(kind=type_label(entry.code)),
            label_visibility="collapsed",
            step=1,
            width=170,
            **form.widget(f"number_{entry.code}"),
        )
        if form.value("code"):
            first = int(form.value(f"number_{entry.code}") or 0)
            numbers = [escape(format_number(form.value("code"), first + step)) for step in range(3)]
            st.caption(texts.PREVIEW.format(numbers=numbers))
    form.problems_under(f"next_number.{entry.code}", widget=f"number_{entry.code}")


@dialog(lambda: texts.ORPHANS_HEAD, icon=":material/warning:")
@while_logged_in
def ask_about_orphans(code: str, orphans: list[OwnChoice]) -> None:
    """List the defaults that the save leaves behind, and leave the answer in the session."""
    st.markdown(f"**{texts.ORPHANS_TITLE.format(code=escape(code))}**")
    st.write(texts.ORPHANS_EXPLANATION)
    _draw_choices(orphans)
    with st.container(horizontal=True):
        if st.button(texts.ORPHANS_CONFIRM, type="primary", key="administration_series_orphans_confirm"):
            st.session_state[CONFIRMED] = True
            st.rerun()
        if st.button(common.CANCEL, key="administration_series_orphans_cancel"):
            st.rerun()


@dialog(lambda: texts.SERIES_DELETE, icon=":material/delete:")
@while_logged_in
def _ask_delete(workbench: Workbench, actor: Actor, series: Series) -> None:
    st.markdown(f"**{texts.SERIES_DELETE_TITLE.format(code=escape(series.code))}**")
    st.write(texts.SERIES_DELETE_EXPLANATION)
    orphans = list(workbench.series.list_orphans(actor, series.code, None))
    if orphans:
        st.write(texts.ORPHANS_EXPLANATION)
        _draw_choices(orphans)
    with st.container(horizontal=True):
        if st.button(texts.SERIES_DELETE, type="primary", key="administration_series_delete_confirm"):
            try:
                workbench.series.delete(actor, series.code, series.version)
            except (InvalidInput, StaleVersion) as refused:
                problems = refused.problems if isinstance(refused, InvalidInput) else ()
                st.error(escape(problems[0].message) if problems else common.STALE_TITLE, icon=":material/error:")
                return
            st.session_state.pop(OPEN, None)
            st.rerun()
        if st.button(common.CANCEL, key="administration_series_delete_cancel"):
            st.rerun()


def _draw_choices(choices: list[OwnChoice]) -> None:
    for choice in choices[:_SHOWN]:
        name, kind = choice.username or texts.ORPHAN_COMPANY, type_label(DocumentType(choice.document_type))
        st.text(texts.ORPHAN_ROW.format(name=name, kind=kind))
    if len(choices) > _SHOWN:
        st.caption(texts.AND_MORE.format(count=len(choices) - _SHOWN))


class SeriesPanel(ObjectPanel[SeriesForm]):
    """The panel of one run; it can save while a series is open."""

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor
        super().__init__(self._find_form())

    @property
    def wants_save(self) -> bool:
        """Whether a question about the save has just been answered by yes."""
        return bool(st.session_state.get(CONFIRMED))

    def save(self) -> bool:
        """Store the open series, after asking where defaults would be left behind; return whether it is stored."""
        form = self.form
        if form is None:
            return False
        confirmed, draft = st.session_state.pop(CONFIRMED, False), form.draft()
        section = self._workbench.series
        if form.stored is None:
            if not store(form, lambda: section.add(self._actor, draft)):
                return False
            st.session_state[OPEN] = ("edit", draft.code)
            # The next new series starts empty.
            form.reset()
            return True
        orphans = list(section.list_orphans(self._actor, draft.code, draft))
        if orphans and not confirmed:
            ask_about_orphans(draft.code, orphans)
            return False
        return store(form, lambda: section.save(self._actor, draft, form.version))

    def draw(self) -> None:
        """Draw the open series, else the list."""
        if self.form is None:
            draw_list(self._workbench, self._actor)
        else:
            draw_editor(self._workbench, self._actor, self.form)

    def _find_form(self) -> SeriesForm | None:
        act, code = st.session_state.get(OPEN, ("", ""))
        if not act:
            return None
        try:
            return SeriesForm(self._workbench.series.get(self._actor, code) if act == "edit" else None)
        except NotFound:
            # Somebody else deleted it in the meantime.
            st.session_state.pop(OPEN, None)
            return None
