"""The drafts of the page: one for each type and field, kept in the session whatever is mounted.

A draft belongs to one user, type and field. Its widget is mounted under a key with a number; a text that does not
come from the widget (restored, copied, fixed, imported) needs the next number, or the old one would still be shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.identity.actor import Actor
from cgcore.templates.canonical import canonical_html
from cgcore.workbench import Workbench
from pages.ui.editing import Form, list_forms
from pages.ui.tab import find_held_mount, first_mount, is_settling
from pages.ui.texts import sending_defaults as texts

__all__ = ["PAGE", "Drafts", "FieldDraft", "TemplateForm", "TextForm", "load_drafts", "readable"]

PAGE = "sending_defaults"
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
        return self.value != self.stored and self.clean != self.stored

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


class TextForm(Form):
    """A form of which some fields, or all, are texts with a draft of their own (``fields``)."""

    def __init__(
        self,
        page: str,
        name: str,
        fields: Mapping[str, FieldDraft],
        stored: Mapping[str, Any],
        version: int,
        labels: Mapping[str, str],
    ) -> None:
        self.fields = fields
        super().__init__(
            page, name, {**{name: draft.stored for name, draft in fields.items()}, **stored}, version, labels
        )

    def key(self, name: str) -> str:
        """Return the key of a field's widget."""
        return self.fields[name].key if name in self.fields else super().key(name)

    def value(self, name: str) -> Any:
        """Return what a field holds, a text in the form in which it would be stored."""
        return self.fields[name].clean if name in self.fields else super().value(name)

    def put(self, name: str, value: Any) -> None:
        """Show another text, or another value."""
        if name not in self.fields:
            super().put(name, value)
            return
        draft = self.fields[name]
        if is_settling():
            # Under the key that the browser shows it with: the widget brings its own value.
            draft.value = draft.seed = str(value)
        elif draft.value != value:
            draft.put(str(value))

    def changed(self) -> list[str]:
        """Return the fields that differ from what is stored."""
        plain = [name for name in self.stored_values if name not in self.fields]
        return [
            *(name for name, draft in self.fields.items() if draft.is_changed),
            *(name for name in plain if self.value(name) != self.stored_values[name]),
        ]

    def kept(self) -> dict[str, Any] | None:
        """Return what a draft keeps."""
        for draft in self.fields.values():
            draft.collect()
        return super().kept()

    def settle(self) -> None:
        """Take over what the editors show, and mount them anew: then they show what is known here, whatever it was."""
        for draft in self.fields.values():
            draft.collect()
            draft.mount = max(draft.mount, first_mount())
            draft.put(draft.value)
        super().settle()

    def _show(self, name: str, value: Any) -> None:
        """Leave the widget of a text alone: it starts with what its field is mounted with."""
        if name not in self.fields:
            super()._show(name, value)


class TemplateForm(TextForm):
    """The draft of one type (``kind``), or of the signature (None); its widgets are those of its fields."""

    def __init__(self, kind: DocumentType | None, fields: Mapping[str, FieldDraft], version: int) -> None:
        self.kind = kind
        title = info(kind).tab if kind else texts.SIGNATURE
        names = {"subject": texts.SUBJECT, "body": texts.BODY, "html": texts.SIGNATURE}
        labels = {name: f"{title} · {names[name]}" for name in fields}
        super().__init__(PAGE, f"{PAGE}_{kind or 'signature'}", fields, {}, version, labels)

    def take_stored(self) -> None:
        """Answer to a stale save: give the draft up for what stands there now."""
        if self.stale is not None:
            self.follow(dict(self.stale.stored), self.stale.version)
            for name, text in self.stored_values.items():
                self.put(name, text)
        super().take_stored()

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return label, own words and stored words of each field that differs from ``stored``."""
        rows = [(name, draft.clean, str(stored.get(name, ""))) for name, draft in self.fields.items()]
        return [(self._labels[name], readable(ours), readable(theirs)) for name, ours, theirs in rows if ours != theirs]

    def follow(self, stored: Mapping[str, str], version: int) -> None:
        """Take note of what is stored now, read at ``version``; what the fields hold stays."""
        for name, draft in self.fields.items():
            draft.stored = stored[name]
        self.stored_values, self._stored_version = dict(stored), version
        self.accept_version(version)


@dataclass(slots=True)
class Drafts:
    """Every draft of one user."""

    user_id: int
    subjects: dict[DocumentType, FieldDraft]
    bodies: dict[DocumentType, FieldDraft]
    signature: FieldDraft
    forms: dict[DocumentType | None, TemplateForm]
    clicked_at: float = float("-inf")
    clicked_keys: frozenset[str] = frozenset()
    just_saved: set[DocumentType | None] = field(default_factory=set["DocumentType | None"])

    @property
    def fields(self) -> list[FieldDraft]:
        """Every field, in the order of the page."""
        return [*self.subjects.values(), *self.bodies.values(), self.signature]

    def of(self, document_type: DocumentType | None) -> list[FieldDraft]:
        """Return the fields of a type; the signature for None."""
        return list(self.forms[document_type].fields.values())

    def is_changed(self, document_type: DocumentType | None) -> bool:
        """Whether a type (None: the signature) has something to save."""
        return bool(self.forms[document_type].changed())

    def changed(self) -> list[DocumentType | None]:
        """Return what has something to save."""
        return [kind for kind in self.forms if self.is_changed(kind)]

    def count_changed(self) -> int:
        """Return how many fields differ from what is stored."""
        return sum(form.count_changed() for form in self.forms.values())

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

    def refused(self) -> list[TemplateForm]:
        """Return the drafts that were not saved, while their texts are those that were refused."""
        return [form for form in self.forms.values() if form.is_refused and form.changed()]


def load_drafts(workbench: Workbench, actor: Actor) -> Drafts:
    """Return the drafts of ``actor`` in this session, with whatever was saved elsewhere in the meantime."""
    templates = workbench.templates.get_all(actor)
    signature = workbench.templates.get_signature(actor)
    stored: dict[DocumentType | None, tuple[dict[str, str], int]] = {
        kind: ({"subject": template.subject, "body": template.body}, template.version)
        for kind, template in templates.items()
    }
    stored[None] = {"html": signature.html}, signature.version
    drafts: Drafts | None = st.session_state.get(PAGE)
    if drafts is None or drafts.user_id != actor.user_id or not list_forms(PAGE):
        # No key may come back: it would bring the text that its widget held.
        mount = max(draft.mount for draft in drafts.fields) + 1 if drafts else 0
        drafts = st.session_state[PAGE] = _begin(actor, stored, mount)
    st.session_state.pop(f"{PAGE}_version_taken", None)
    drafts.collect()
    for kind, form in drafts.forms.items():
        texts_now, version = stored[kind]
        if form.version != version and not form.changed():
            form.follow(texts_now, version)
            for name in form.changed():
                form.put(name, texts_now[name])
    return drafts


def _begin(actor: Actor, stored: Mapping[DocumentType | None, tuple[dict[str, str], int]], mount: int) -> Drafts:
    kinds = [entry.code for entry in types_with_template()]
    subjects = {kind: FieldDraft(f"{kind}-subject", False, stored[kind][0]["subject"]) for kind in kinds}
    bodies = {kind: FieldDraft(f"{kind}-body", True, stored[kind][0]["body"]) for kind in kinds}
    signature = FieldDraft("signature", True, stored[None][0]["html"])
    for draft in (*subjects.values(), *bodies.values(), signature):
        draft.mount = find_held_mount(draft.name) if is_settling() else mount
    forms: dict[DocumentType | None, TemplateForm] = {
        kind: TemplateForm(kind, {"subject": subjects[kind], "body": bodies[kind]}, stored[kind][1]) for kind in kinds
    }
    forms[None] = TemplateForm(None, {"html": signature}, stored[None][1])
    return Drafts(actor.user_id, subjects, bodies, signature, forms)


def readable(html: str) -> str:
    """Return the words of a subject, body or signature."""
    from cgcore.templates.parse import parse_html

    return parse_html(html).text if html.startswith("<") else html
