"""Export and import of a configuration file: the whole one for an administrator, one's own for everybody."""

from __future__ import annotations

import streamlit as st

from cgcore.documents import DocumentType, type_label
from cgcore.errors import InvalidInput, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.portable.changes import ImportPlan
from cgcore.workbench import Workbench
from pages.ui.cells import cell
from pages.ui.editing import forget_forms
from pages.ui.files import draw_download
from pages.ui.markdown import escape
from pages.ui.texts import portable as texts

__all__ = ["CopyPanel", "draw_apply", "draw_portable"]

_ROWS = 100


def draw_portable(workbench: Workbench, actor: Actor, page: str, *, username: str = "") -> None:
    """Draw both cells; with ``username`` for that user's part only."""
    section = workbench.portable
    with cell("export", texts.EXPORT_TITLE):
        st.caption(texts.EXPORT_OWN if username else texts.EXPORT_ALL)
        draw_download(
            texts.EXPORT_BUTTON,
            lambda asking: section.export_user(asking, username) if username else section.export_all(asking),
            file_name=f"configuracion-{username or 'empresa'}.json",
            mime="application/json",
            key=f"{page}_export",
        )
    with cell("import", texts.IMPORT_TITLE):
        st.caption(texts.IMPORT_EXPLANATION)
        uploads = f"{page}_import_uploads"
        key = f"{page}_import_{st.session_state.get(uploads, 0)}"
        uploaded = st.file_uploader(texts.IMPORT_FILE, type=["json"], key=key)
        if st.session_state.pop(f"{page}_import_done", False):
            st.success(texts.IMPORT_DONE, icon=":material/check:")
        if uploaded is not None:
            _draw_plan(workbench, actor, page, uploaded.getvalue(), username)


def _draw_plan(workbench: Workbench, actor: Actor, page: str, data: bytes, username: str) -> None:
    try:
        plan = workbench.portable.plan(actor, data, username)
    except InvalidInput as refused:
        st.error(escape(refused.problems[0].message), title=texts.IMPORT_REFUSED, icon=":material/error:")
        return
    if not plan.changes:
        st.info(texts.IMPORT_NOTHING, icon=":material/check:")
        return
    _draw_changes(plan)
    if seen := draw_apply(page, plan, texts.IMPORT_APPLY):
        _apply(workbench, actor, page, data, username, seen)


def draw_apply(page: str, plan: ImportPlan, label: str) -> str:
    """Draw the button that imports; return the fingerprint of the plan that was clicked on, ``""`` without a click.

    The run of a click makes a plan of its own, perhaps another one: what counts is what the person has seen.
    """
    kept = f"{page}_import_seen"
    clicked = st.button(
        label,
        icon=":material/upload:",
        key=f"{page}_import_apply",
        on_click=st.session_state.update,
        args=({kept: plan.fingerprint},),
    )
    return str(st.session_state.get(kept, "")) if clicked else ""


def _draw_changes(plan: ImportPlan) -> None:
    st.markdown(f"**{texts.IMPORT_COUNT.format(count=len(plan.changes))}**")
    names = (texts.COLUMN_OBJECT, texts.COLUMN_FIELD, texts.COLUMN_BEFORE, texts.COLUMN_AFTER)
    rows = [(str(change.object), _field(change.field), change.before, change.after) for change in plan.changes[:_ROWS]]
    columns = zip(names, zip(*rows, strict=True), strict=True)
    st.table(
        {name: [escape(value) or texts.EMPTY for value in values] for name, values in columns},
        border="horizontal",
        hide_index=True,
        alt=texts.TABLE_ALT,
    )
    if len(plan.changes) > _ROWS:
        st.caption(texts.IMPORT_MORE.format(count=_ROWS))
    for note in plan.notes:
        st.warning(escape(note), icon=":material/warning:")


def _field(place: str) -> str:
    kinds = {kind.value: type_label(kind) for kind in DocumentType}
    return " · ".join(kinds.get(part) or texts["FIELDS"].get(part, part) for part in place.split("."))


def _apply(workbench: Workbench, actor: Actor, page: str, data: bytes, username: str, seen: str) -> None:
    try:
        workbench.portable.apply(actor, data, username, fingerprint=seen)
    except StaleVersion:
        st.warning(texts.IMPORT_CHANGED, icon=":material/sync_problem:")
        return
    except InvalidInput as refused:
        st.error(escape(refused.problems[0].message), title=texts.IMPORT_REFUSED, icon=":material/error:")
        return
    # Drafts of this session were read before the import: they start anew.
    forget_forms()
    st.session_state[f"{page}_import_uploads"] = st.session_state.get(f"{page}_import_uploads", 0) + 1
    st.session_state[f"{page}_import_done"] = True
    st.rerun()


class CopyPanel:
    """The panel of one run; it has nothing to save."""

    can_save = False
    wants_save = False
    forms = ()

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor

    def changed(self) -> int:
        """Return 0: there is no draft."""
        return 0

    def save(self) -> bool:
        """Return False: there is nothing to store."""
        return False

    def reset(self) -> None:
        """Do nothing: there is no draft."""

    def draw(self) -> None:
        """Draw export and import."""
        draw_portable(self._workbench, self._actor, "administration")
