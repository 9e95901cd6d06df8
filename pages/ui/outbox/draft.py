"""What the page remembers of the document that is being written: its texts, its preview, the message made of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import streamlit as st

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from pages.ui.tab import find_held_mount, first_mount, is_settling
from pages.ui.templates.drafts import FieldDraft

__all__ = ["PAGE", "DocumentDraft", "load_draft", "load_texts"]

PAGE = "send_document"
_STATE = f"{PAGE}_draft"


@dataclass(slots=True)
class DocumentDraft:
    """One document of one user. ``key`` makes two clicks one message, ``round`` counts the documents of this tab.

    ``seen`` is the hash of what was previewed last, ``handed`` the id of the message that was made of it.
    """

    user_id: int
    round: int
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    texts: dict[DocumentType, tuple[FieldDraft, FieldDraft]] = field(
        default_factory=dict[DocumentType, tuple[FieldDraft, FieldDraft]]
    )
    is_shown: bool = False
    seen: str = ""
    handed: str = ""

    def name(self, field: str) -> str:
        """Return the key of a widget: another one for each document."""
        return f"{PAGE}_{field}-{self.round}"

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
        for draft in (each for pair in self.texts.values() for each in pair):
            draft.put(draft.stored)


def load_draft(actor: Actor) -> DocumentDraft:
    """Return the document that ``actor`` is writing in this tab."""
    draft: DocumentDraft | None = st.session_state.get(_STATE)
    if draft is None or draft.user_id != actor.user_id:
        number = find_held_mount(f"{PAGE}_number") if is_settling() else first_mount()
        draft = st.session_state[_STATE] = DocumentDraft(actor.user_id, number)
    return draft


def load_texts(
    workbench: Workbench, actor: Actor, draft: DocumentDraft, kind: DocumentType
) -> tuple[FieldDraft, FieldDraft]:
    """Return subject and body for a type, as they stand in the editor; the template's where nobody has touched them."""
    template = workbench.templates.get(actor, kind)
    stored = template.subject, template.body
    if kind not in draft.texts:
        subject = FieldDraft(f"{PAGE}_{kind}_subject", False, stored[0])
        body = FieldDraft(f"{PAGE}_{kind}_body", True, stored[1])
        for each in (subject, body):
            each.mount = find_held_mount(each.name) if is_settling() else first_mount()
        draft.texts[kind] = subject, body
    for each, text in zip(draft.texts[kind], stored, strict=True):
        each.collect()
        if each.stored != text:
            was_changed, each.stored = each.is_changed, text
            if not was_changed:
                each.put(text)
    return draft.texts[kind]
