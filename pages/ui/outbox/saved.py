"""«Borradores»: documents that were put aside, to open again; and «Guardar como borrador», which puts one aside."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.documents import DocumentType, info
from cgcore.errors import InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.saved import SavedDocument
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.describe import refusal_text
from pages.ui.identity import dialog, while_logged_in
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.outbox.draft import PAGE, DocumentFields
from pages.ui.outbox.form import DocumentForm, tells_coming
from pages.ui.paging import Pager
from pages.ui.texts import common
from pages.ui.texts import send_document as texts
from pages.ui.toasts import announce

__all__ = ["draw_keep", "draw_saved", "take_opened"]

_KEY = f"{PAGE}_saved"
_DELETED = f"{_KEY}_deleted"  # the one that was deleted last, while that can be taken back
_OPENED = f"{_KEY}_opened"  # the one that is opened at the next run
_ROWS = 10


def draw_keep(
    workbench: Workbench, actor: Actor, fields: DocumentFields, form: DocumentForm, row: DeltaGenerator
) -> None:
    """Draw «Guardar como borrador» in ``row``, and do it; what there is to say stands outside of that."""
    if not row.button(texts.KEEP, icon=":material/draft:", key=f"{PAGE}_keep") or tells_coming():
        return
    try:
        saved = workbench.saved.save(actor, form.kept, form.request.attachments, replaces=fields.saved)
    except InvalidInput as refused:
        form.tell(refused.problems)
    except OutboxRefused as refused:
        st.error(refusal_text(refused.code), icon=":material/error:")
    else:
        fields.keep_as(saved.id, form.files)
        announce(texts.KEPT)


def draw_saved(workbench: Workbench, actor: Actor, fields: DocumentFields) -> None:
    """Draw the list of what was put aside."""
    _draw_undo(workbench, actor)
    pager = Pager(_KEY)
    documents, following = workbench.saved.list(actor, cursor=pager.cursor or "", limit=_ROWS)
    if not documents:
        st.caption(texts.NONE_SAVED)
    for document in documents:
        _draw_document(workbench, actor, fields, document)
    pager.draw(following or None)


def _draw_undo(workbench: Workbench, actor: Actor) -> None:
    name = st.session_state.get(_DELETED)
    if name is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key=f"{_KEY}_undo_row"):
        st.markdown(f":material/delete: {texts.SAVED_DELETED}")
        if st.button(texts.UNDO, icon=":material/undo:", key=f"{_KEY}_undo"):
            del st.session_state[_DELETED]
            try:
                workbench.saved.take_back(actor, name)
            except NotFound:
                announce(texts.SAVED_GONE, icon=":material/error:")
            st.rerun()


def _draw_document(workbench: Workbench, actor: Actor, fields: DocumentFields, document: SavedDocument) -> None:
    name = document.id
    row = st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute",
        key=f"cell_saved_{name}",
    )  # fmt: skip
    with row:
        st.markdown(f"**{_title(document)}**  \n:small[:gray[{_about(document)}]]", width="stretch")
        with st.container(horizontal=True, width="content", key=f"{_KEY}_buttons_{name}"):
            if st.button(texts.OPEN, icon=":material/edit:", key=f"{_KEY}_open_{name}"):
                if fields.changed() and fields.saved != name:
                    _ask_to_open(name)
                else:
                    _open(name)
            if st.button(texts.DELETE, icon=":material/delete:", type="tertiary", key=f"{_KEY}_delete_{name}"):
                _delete(workbench, actor, name)


def _title(document: SavedDocument) -> str:
    told = document.fields
    kind = info(DocumentType(told.document_type)).noun
    number, customer = told.texts.get("number", "").strip(), told.texts.get("customer", "").strip()
    title = " ".join(word for word in (kind, told.series, number) if word)
    return escape(f"{title} · {customer}" if customer else title)


def _about(document: SavedDocument) -> str:
    told = [texts.SAVED_AT.format(moment=when(document.saved))]
    if to := document.fields.texts.get("to", "").strip():
        told.append(escape(to))
    if document.files:
        told.append(texts.SAVED_FILES.format(count=len(document.files)))
    return " · ".join(told)


def _delete(workbench: Workbench, actor: Actor, name: str) -> None:
    try:
        workbench.saved.delete(actor, name)
    except NotFound:
        announce(texts.SAVED_GONE, icon=":material/error:")
    else:
        st.session_state[_DELETED] = name
    st.rerun()


def _open(name: str) -> None:
    st.session_state[_OPENED] = name
    st.rerun()


def take_opened(workbench: Workbench, actor: Actor, fields: DocumentFields) -> None:
    """Fill the form with the document that was opened; only before the widgets are drawn."""
    name = st.session_state.pop(_OPENED, None)
    if name is None:
        return
    try:
        document = workbench.saved.get(actor, name)
        files = workbench.saved.read_files(actor, name)
    except NotFound:
        announce(texts.SAVED_GONE, icon=":material/error:")
        return
    fields.open(document, files)
    st.session_state.pop(_DELETED, None)
    st.session_state[f"{PAGE}_tab"] = texts.TAB_ONE


@dialog(lambda: texts.OPEN_TITLE)
@while_logged_in
def _ask_to_open(name: str) -> None:
    """Say that what stands in the form gets lost, then open the other one."""
    st.markdown(texts.OPEN_LOSES)
    with st.container(horizontal=True):
        if st.button(texts.OPEN_ANYWAY, type="primary", icon=":material/edit:", key=f"{_KEY}_open_confirm"):
            _open(name)
        if st.button(common.CANCEL, key=f"{_KEY}_open_cancel"):
            st.rerun()
