"""What the page remembers of the document that is being written: its fields, its preview, the message made of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from cgcore.documents import DocumentType, types_with_template
from cgcore.errors import NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.message import Attachment
from cgcore.outbox.saved import SavedDocument
from cgcore.templates.variables import list_variables
from cgcore.workbench import Workbench
from pages.ui.tab import find_held_mount, first_mount, is_settling
from pages.ui.templates.drafts import FieldDraft, TextForm

__all__ = ["GIVEN", "PAGE", "RECEIPT", "DocumentDraft", "DocumentFields", "load_document", "name_adviser"]

PAGE = "send_document"
# The variables that the fields of the document, its type or the house give a value.
GIVEN = {"documento", "el_documento", "del_documento", "serie", "numero", "cliente", "empresa", "usuario"}

_STATE = f"{PAGE}_draft"
_SAVED = "saved"  # no field of the page: it goes with the fields
RECEIPT = "receipt"
_LINES = ("number", "customer", "to", "cc", "bcc")


@dataclass(slots=True)
class DocumentDraft:
    """One document of one user. ``key`` makes two clicks one message, ``round`` counts the documents of this tab.

    ``seen`` is the hash of what was previewed last, ``handed`` the id of the message that was made of it. ``files`` are
    those of the document put aside ``files_of``; ``discarded`` is the one that the message was made of. ``choices`` are
    how the switches stood by account and preferences when they were read last.
    """

    user_id: int
    round: int
    texts: Mapping[str, FieldDraft]
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    is_shown: bool = False
    seen: str = ""
    handed: str = ""
    files: Sequence[Attachment] = ()
    files_of: str = ""
    discarded: str = ""
    choices: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def show(self) -> None:
        """Show the preview from now on."""
        self.is_shown = True

    def hand(self, message: str, discarded: str = "") -> None:
        """Remember the message that was made; the next one needs a key of its own."""
        self.handed, self.is_shown, self.seen = message, False, ""
        self.discarded = discarded
        self.key = secrets.token_hex(16)

    def take_back(self) -> None:
        """Go on with the document after its message was undone."""
        self.handed = self.discarded = ""

    def begin_another(self) -> None:
        """Begin the next document: the type stays, the fields are empty, the texts are the template's."""
        self.round += 1
        self.handed, self.is_shown, self.seen = "", False, ""
        self.files, self.files_of, self.discarded = (), "", ""
        for draft in self.texts.values():
            draft.put(draft.stored)


class DocumentFields(TextForm):
    """The fields of the document in one run: what is typed outlives the tab, as on every page. Of the files
    only those do that were put aside with it.
    """

    def __init__(self, draft: DocumentDraft, choices: Mapping[str, bool]) -> None:
        self.draft = draft
        variables = {each.name for kind in _kinds() for each in list_variables(kind)} - GIVEN
        lines = dict.fromkeys((*_LINES, _SAVED, *sorted(f"variables.{name}" for name in variables)), "")
        super().__init__(PAGE, PAGE, draft.texts, {**lines, **choices}, 0, {})
        self._follow(choices)

    def key(self, name: str) -> str:
        """Return the key of a field's widget: another one for each document."""
        return super().key(name) if name in self.fields else f"{PAGE}_{name}-{self.draft.round}"

    def changed(self) -> list[str]:
        """Return the fields that were typed into; none once the message is made."""
        return [] if self.draft.handed else super().changed()

    def chosen(self, name: str) -> bool | None:
        """Return what was chosen with a switch, ``None`` where it stands as account and preferences have it."""
        value = bool(self.value(name))
        return None if value == self.stored_values[name] else value

    def _follow(self, choices: Mapping[str, bool]) -> None:
        """Let the switches that nobody has changed here stand as account and preferences have them by now."""
        for name, stored in choices.items():
            if self.value(name) == self.draft.choices.get(name, stored) != stored:
                self.put(name, stored)
        self.draft.choices = choices

    @property
    def saved(self) -> str:
        """The document put aside that this one goes on with, ``""`` for none."""
        return self.value(_SAVED) or ""

    def keep_as(self, saved: str, files: Sequence[Attachment]) -> None:
        """Note that it was put aside; ``files`` are those of before that are still with it."""
        self.draft.files, self.draft.files_of = files, saved
        self.put(_SAVED, saved)

    def begin_another(self) -> None:
        """Begin the next document; only before the widgets are drawn, or in a run that ends with it."""
        self.draft.begin_another()
        self.reset()

    def open(self, document: SavedDocument, files: Sequence[Attachment]) -> None:
        """Go on with a document that was put aside; only before the widgets are drawn."""
        self.begin_another()
        told = document.fields
        kind = DocumentType(told.document_type)
        for name, text in told.texts.items():
            if name in self.stored_values:
                self.put(name, text)
        for name, text in ((_subject(kind), told.subject), (_body(kind), told.body)):
            if text is not None and name in self.fields:
                self.put(name, text)
        st.session_state[f"{PAGE}_type"] = kind
        if told.series:
            st.session_state[f"{PAGE}_series_{kind}"] = told.series
        for name, chosen in ((name_adviser(kind), told.adviser), (RECEIPT, told.read_receipt)):
            if chosen is not None:
                self.put(name, chosen)
        self.keep_as(document.id, files)

    def texts_of(self, kind: DocumentType) -> tuple[FieldDraft, FieldDraft]:
        """Return subject and body of a type."""
        return self.fields[_subject(kind)], self.fields[_body(kind)]


def load_document(workbench: Workbench, actor: Actor) -> DocumentFields:
    """Return the document that ``actor`` is writing in this tab, over the templates as they are now."""
    stored = {
        name: text
        for kind, template in workbench.templates.get_all(actor).items()
        for name, text in ((_subject(kind), template.subject), (_body(kind), template.body))
    }
    draft: DocumentDraft | None = st.session_state.get(_STATE)
    if draft is None or draft.user_id != actor.user_id:
        draft = st.session_state[_STATE] = _begin(actor, stored)
    for name, each in draft.texts.items():
        each.collect()
        if each.stored != stored[name]:
            was_changed, each.stored = each.is_changed, stored[name]
            if not was_changed:
                each.put(stored[name])
    fields = DocumentFields(draft, _read_choices(workbench, actor))
    if fields.saved != draft.files_of:
        _find_files(workbench, actor, fields)
    return fields


def _read_choices(workbench: Workbench, actor: Actor) -> Mapping[str, bool]:
    """Return how the switches stand before anybody changes one: the adviser's by type, the receipt as the account."""
    preferences = workbench.outbox.preferences.get(actor)
    advised = {name_adviser(kind): preferences.copy_kind(kind.value) is not None for kind in _kinds()}
    return {**advised, RECEIPT: workbench.mail_account.get(actor).draft.read_receipt}


def _find_files(workbench: Workbench, actor: Actor, fields: DocumentFields) -> None:
    """Bring the files back of a document that a tab which has come back goes on with."""
    try:
        files = workbench.saved.read_files(actor, fields.saved) if fields.saved else ()
    except NotFound:
        fields.keep_as("", ())
    else:
        fields.keep_as(fields.saved, files)


def _begin(actor: Actor, stored: Mapping[str, str]) -> DocumentDraft:
    number = find_held_mount(f"{PAGE}_number") if is_settling() else first_mount()
    texts: dict[str, Any] = {}
    for name, text in stored.items():
        texts[name] = draft = FieldDraft(f"{PAGE}_{name}", name.startswith("body"), text)
        draft.mount = find_held_mount(draft.name) if is_settling() else first_mount()
    return DocumentDraft(actor.user_id, number, texts)


def _kinds() -> list[DocumentType]:
    return [entry.code for entry in types_with_template()]


def _subject(kind: DocumentType) -> str:
    return f"subject_{kind}"


def _body(kind: DocumentType) -> str:
    return f"body_{kind}"


def name_adviser(kind: DocumentType) -> str:
    """Return the name of the switch by which the adviser gets a copy of a document of this type."""
    return f"adviser_{kind}"
