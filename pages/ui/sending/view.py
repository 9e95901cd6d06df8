"""What the parts of the page share: who, the drafts, and saving them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.errors import InvalidInput, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.templates.checks import Check, sort_checks
from cgcore.templates.compiled import TemplateSource
from cgcore.workbench import Workbench
from pages.ui.heads import SaveBar
from pages.ui.results import escape
from pages.ui.sending.drafts import PAGE, Drafts
from pages.ui.texts import common
from pages.ui.texts import sending_defaults as texts
from pages.ui.toasts import announce

__all__ = ["SendingPage", "StaleTemplate"]


@dataclass(frozen=True, slots=True)
class SendingPage:
    """One run of the page."""

    workbench: Workbench
    actor: Actor
    drafts: Drafts
    bar: SaveBar
    summary: DeltaGenerator

    def source(self, document_type: DocumentType) -> TemplateSource:
        """Return the template on the screen."""
        subject, body = self.drafts.of(document_type)
        return TemplateSource(subject.value, body.value, self.drafts.signature.value)

    def signature_checks(self, html: str) -> tuple[Check, ...]:
        """Return what is wrong with a signature for any of the types: it goes below all of them."""
        source = TemplateSource("-", "<p>-</p>", html)
        compiled = (self.workbench.templates.compile(entry.code, source) for entry in types_with_template())
        return sort_checks(dict.fromkeys(check for template in compiled for check in template.fill({}).checks))

    def save(self) -> None:
        """Save everything that has changed, and say so; what cannot be saved stays as it is."""
        self.drafts.mark_click()
        self._save(self.drafts.changed())

    def save_late(self) -> None:
        """Save what the editor hands over just after Guardar was clicked."""
        if f"{PAGE}_stale" not in st.session_state:
            self._save(self.drafts.changed_late())

    def _save(self, kinds: Sequence[DocumentType | None]) -> None:
        saved = False
        for kind in kinds:
            # Of a type that this click has saved already these are the last characters: one save, one line.
            amends = kind in self.drafts.just_saved
            try:
                self._save_one(kind, amends=amends)
                saved = saved or not amends
                self.drafts.just_saved.add(kind)
            except InvalidInput as refused:
                self.drafts.refuse(kind, refused.problems[0].message)
            except StaleVersion as stale:
                st.session_state[f"{PAGE}_stale"] = stale
                st.session_state[f"{PAGE}_stale_kind"] = kind
        if saved:
            announce(common.SAVED_TOAST)

    def draw_refusals(self) -> None:
        """Say what was not saved and why, until it is changed or saved."""
        for kind, message in self.drafts.refusals().items():
            st.error(escape(f"{_name(kind)}: {message}"), title=common.NOTHING_SAVED, icon=":material/error:")

    def _save_one(self, kind: DocumentType | None, *, amends: bool) -> None:
        section, version = self.workbench.templates, self.drafts.versions[kind]
        values = [field.value for field in self.drafts.of(kind)]
        if kind is None:
            saved = section.save_signature(self.actor, values[0], version=version, amends=amends)
            stored: tuple[str, ...] = (saved.html,)
        else:
            saved = section.save(self.actor, kind, *values, version=version, amends=amends)
            stored = (saved.subject, saved.body)
        for field, text in zip(self.drafts.of(kind), stored, strict=True):
            field.stored = text
        self.drafts.versions[kind] = saved.version


@dataclass(frozen=True, slots=True)
class StaleTemplate:
    """A type (None: the signature) whose save waits for a choice, as :func:`pages.ui.stale.draw_stale` asks."""

    drafts: Drafts
    kind: DocumentType | None

    def reset(self) -> None:
        """Take what is stored."""
        stale: StaleVersion = st.session_state[f"{PAGE}_stale"]
        for field, (_, text) in zip(self.drafts.of(self.kind), stale.stored.items(), strict=True):
            field.stored = text
            field.put(text)
        self.drafts.versions[self.kind] = stale.version

    def accept_version(self, version: int) -> None:
        """Keep the draft, based on ``version`` from now on."""
        self.drafts.versions[self.kind] = version

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return label, own value and stored value of each field that differs from ``stored``."""
        rows: list[tuple[str, str, str]] = []
        for field, (name, text) in zip(self.drafts.of(self.kind), stored.items(), strict=True):
            if field.clean != text:
                label = {"subject": texts.SUBJECT, "body": texts.BODY}.get(name, texts.SIGNATURE)
                rows.append((f"{_name(self.kind)} · {label}", readable(field.clean), readable(str(text))))
        return rows


def readable(html: str) -> str:
    """Return the words of a subject, body or signature."""
    from cgcore.templates.parsing import parse_html

    return parse_html(html).text if html.startswith("<") else html


def _name(kind: DocumentType | None) -> str:
    return info(kind).tab if kind else texts.SIGNATURE
