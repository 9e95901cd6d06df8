"""The drafts of the page: one for each type and field, kept in the session whatever is mounted.

A draft belongs to one user, type and field. Its widget is mounted under a key with a number; a text that does not
come from the widget (restored, copied, fixed, imported) needs the next number, or the old one would still be shown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import streamlit as st

from cgcore.documents import DocumentType, types_with_template
from cgcore.identity.actor import Actor
from cgcore.templates.canonical import canonical_html
from cgcore.workbench import Workbench

__all__ = ["PAGE", "Drafts", "FieldDraft", "load_drafts"]

PAGE = "sending_defaults"
_SEEDED = f"{PAGE}_seeded_version"  # the name that an import elsewhere removes, so that drafts start anew
_LATE_S = 2.0  # the editor hands over its last characters up to this long after a click


@dataclass(slots=True)
class FieldDraft:
    """One field: what is stored, what stands in the widget, and what the widget was mounted with."""

    name: str
    is_html: bool
    stored: str
    value: str = ""
    seed: str = ""
    mount: int = 0

    def __post_init__(self) -> None:
        self.value = self.seed = self.stored

    @property
    def key(self) -> str:
        """The key of the widget."""
        return f"{self.name}-{self.mount}"

    @property
    def clean(self) -> str:
        """The value in the form in which it would be stored."""
        return canonical_html(self.value) if self.is_html else self.value.strip()

    @property
    def is_changed(self) -> bool:
        """Whether it differs from what is stored; an editor that only rewrote its HTML has changed nothing."""
        return self.clean != self.stored

    def collect(self) -> None:
        """Take what the widget holds; when it is not mounted, what was last seen is what it will start with."""
        held = st.session_state.get(self.key)
        if isinstance(held, str):
            self.value = held
        elif self.seed != self.value:
            self.put(self.value)

    def put(self, text: str) -> None:
        """Show another text."""
        self.value = self.seed = text
        self.mount += 1


@dataclass(slots=True)
class Drafts:
    """Every draft of one user, and the versions they were read at."""

    user_id: int
    subjects: dict[DocumentType, FieldDraft]
    bodies: dict[DocumentType, FieldDraft]
    signature: FieldDraft
    versions: dict[DocumentType | None, int]
    clicked_at: float = float("-inf")
    clicked_keys: frozenset[str] = frozenset()
    just_saved: set[DocumentType | None] = field(default_factory=set["DocumentType | None"])
    refused: dict[DocumentType | None, tuple[str, list[str]]] = field(default_factory=dict)

    @property
    def fields(self) -> list[FieldDraft]:
        """Every field, in the order of the page."""
        return [*self.subjects.values(), *self.bodies.values(), self.signature]

    def of(self, document_type: DocumentType | None) -> list[FieldDraft]:
        """Return the fields of a type; the signature for None."""
        if document_type is None:
            return [self.signature]
        return [self.subjects[document_type], self.bodies[document_type]]

    def is_changed(self, document_type: DocumentType | None) -> bool:
        """Whether a type (None: the signature) has something to save."""
        return any(draft.is_changed for draft in self.of(document_type))

    def changed(self) -> list[DocumentType | None]:
        """Return what has something to save."""
        kinds: list[DocumentType | None] = [*self.bodies, None]
        return [kind for kind in kinds if self.is_changed(kind)]

    def count_changed(self) -> int:
        """Return how many fields differ from what is stored."""
        return sum(draft.is_changed for draft in self.fields)

    def collect(self) -> None:
        """Take what every mounted widget holds."""
        for draft in self.fields:
            draft.collect()

    def mark_click(self) -> None:
        """Remember the moment of Guardar: characters that arrive just after it belong to it."""
        self.clicked_at = time.monotonic()
        self.clicked_keys = frozenset(draft.key for draft in self.fields)
        self.just_saved.clear()

    def changed_late(self) -> list[DocumentType | None]:
        """Return what changed by characters typed before the last click on Guardar and handed over after it.

        A field that was mounted anew since (restored, fixed, copied) was changed by another click.
        """
        if time.monotonic() - self.clicked_at >= _LATE_S:
            return []
        same = self.clicked_keys
        return [kind for kind in self.changed() if all(draft.key in same for draft in self.of(kind))]

    def refuse(self, kind: DocumentType | None, why: str) -> None:
        """Remember why the texts of a type, as they stand, were not saved."""
        self.refused[kind] = why, [draft.clean for draft in self.of(kind)]

    def refusals(self) -> dict[DocumentType | None, str]:
        """Return why a type was not saved, while its texts are those that were refused."""
        return {
            kind: why
            for kind, (why, texts) in self.refused.items()
            if self.is_changed(kind) and texts == [draft.clean for draft in self.of(kind)]
        }

    def refresh(self, kind: DocumentType | None, stored: tuple[str, ...], version: int) -> None:
        """Take note of what is stored now. A field without changes of its own follows it."""
        for draft, text in zip(self.of(kind), stored, strict=True):
            was_changed = draft.is_changed
            draft.stored = text
            if not was_changed and draft.is_changed:
                draft.put(text)
        self.versions[kind] = version


def load_drafts(workbench: Workbench, actor: Actor) -> Drafts:
    """Return the drafts of ``actor`` in this session, with whatever was saved elsewhere in the meantime."""
    templates = workbench.templates.get_all(actor)
    signature = workbench.templates.get_signature(actor)
    drafts: Drafts | None = st.session_state.get(PAGE)
    if drafts is None or drafts.user_id != actor.user_id or _SEEDED not in st.session_state:
        # No key may come back: it would bring the text that its widget held.
        mount = max(draft.mount for draft in drafts.fields) + 1 if drafts else 0
        kinds = [entry.code for entry in types_with_template()]
        drafts = Drafts(
            actor.user_id,
            {kind: FieldDraft(f"{kind}-subject", False, templates[kind].subject) for kind in kinds},
            {kind: FieldDraft(f"{kind}-body", True, templates[kind].body) for kind in kinds},
            FieldDraft("signature", True, signature.html),
            {**{kind: templates[kind].version for kind in kinds}, None: signature.version},
        )
        for draft in drafts.fields:
            draft.mount = mount
        st.session_state[PAGE] = drafts
        st.session_state[_SEEDED] = True
    st.session_state.pop(f"{PAGE}_version_taken", None)
    drafts.collect()
    for kind, template in templates.items():
        if drafts.versions[kind] != template.version and not drafts.is_changed(kind):
            drafts.refresh(kind, (template.subject, template.body), template.version)
    if drafts.versions[None] != signature.version and not drafts.is_changed(None):
        drafts.refresh(None, (signature.html,), signature.version)
    return drafts
