"""What the page remembers of the document that is being written: its fields, its preview, the message made of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from cgcore.documents import DocumentType, types_with_template
from cgcore.identity.actor import Actor
from cgcore.templates.variables import list_variables
from cgcore.workbench import Workbench
from pages.ui.tab import find_held_mount, first_mount, is_settling
from pages.ui.templates.drafts import FieldDraft, TextForm

__all__ = ["GIVEN", "PAGE", "DocumentDraft", "DocumentFields", "load_document"]

PAGE = "send_document"
# The variables that the fields of the document, its type or the house give a value.
GIVEN = {"documento", "el_documento", "del_documento", "serie", "numero", "cliente", "empresa", "usuario"}

_STATE = f"{PAGE}_draft"
_LINES = ("number", "customer", "to", "cc", "bcc")


@dataclass(slots=True)
class DocumentDraft:
    """One document of one user. ``key`` makes two clicks one message, ``round`` counts the documents of this tab.

    ``seen`` is the hash of what was previewed last, ``handed`` the id of the message that was made of it.
    """

    user_id: int
    round: int
    texts: Mapping[str, FieldDraft]
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    is_shown: bool = False
    seen: str = ""
    handed: str = ""

    def show(self) -> None:
        """Show the preview from now on."""
        self.is_shown = True

    def hand(self, message: str) -> None:
        """Remember the message that was made; the next one needs a key of its own."""
        self.handed, self.is_shown, self.seen = message, False, ""
        self.key = secrets.token_hex(16)

    def take_back(self) -> None:
        """Go on with the document after its message was undone."""
        self.handed = ""

    def begin_another(self) -> None:
        """Begin the next document: the type stays, the fields are empty, the texts are the template's."""
        self.round += 1
        self.handed, self.is_shown, self.seen = "", False, ""
        for draft in self.texts.values():
            draft.put(draft.stored)


class DocumentFields(TextForm):
    """The fields of the document in one run: what is typed outlives the tab, as on every page. Files do not."""

    def __init__(self, draft: DocumentDraft) -> None:
        self.draft = draft
        variables = {each.name for kind in _kinds() for each in list_variables(kind)} - GIVEN
        lines = dict.fromkeys((*_LINES, *sorted(f"variables.{name}" for name in variables)), "")
        super().__init__(PAGE, PAGE, draft.texts, lines, 0, {})

    def key(self, name: str) -> str:
        """Return the key of a field's widget: another one for each document."""
        return super().key(name) if name in self.fields else f"{PAGE}_{name}-{self.draft.round}"

    def changed(self) -> list[str]:
        """Return the fields that were typed into; none once the message is made."""
        return [] if self.draft.handed else super().changed()

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
    return DocumentFields(draft)


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
