"""What the parts of the page share: who, the drafts, and saving them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.identity.actor import Actor
from cgcore.templates.checks import Check, sort_checks
from cgcore.templates.compile import TemplateSource
from cgcore.templates.stored import default_source
from cgcore.workbench import Workbench
from pages.ui.drafts import keep_what_is_typed
from pages.ui.editing import store
from pages.ui.heads import SaveBar
from pages.ui.markdown import escape
from pages.ui.templates.drafts import PAGE, Drafts
from pages.ui.texts import common
from pages.ui.texts import sending_defaults as texts
from pages.ui.toasts import announce

__all__ = ["SendingPage", "draw_head", "draw_tabs", "is_left", "keep_up", "type_parameters"]


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
        return sort_checks(dict.fromkeys(check for template in compiled for check in template.sample_checks))

    def save(self) -> None:
        """Save everything that has changed, and say so; what cannot be saved stays as it is."""
        self.drafts.mark_click()
        self._save(self.drafts.changed())

    def save_late(self) -> None:
        """Save what the editor hands over just after Guardar was clicked."""
        if not any(form.stale for form in self.drafts.forms.values()):
            self._save(self.drafts.changed_late())

    def _save(self, kinds: Sequence[DocumentType | None]) -> None:
        saved = False
        for kind in kinds:
            # Of a type that this click has saved already these are the last characters: one save, one line.
            amends = kind in self.drafts.just_saved
            if store(self.drafts.forms[kind], partial(self._save_one, kind, amends=amends), quiet=True):
                saved = saved or not amends
                self.drafts.just_saved.add(kind)
        if saved:
            announce(common.SAVED_TOAST)

    def draw_refusals(self) -> None:
        """Say what was not saved and why, until it is changed or saved."""
        for form in self.drafts.refused():
            name = info(form.kind).tab if form.kind else texts.SIGNATURE
            message = form.problems_of_save[0].message
            st.error(escape(f"{name}: {message}"), title=common.NOTHING_SAVED, icon=":material/error:")

    def _save_one(self, kind: DocumentType | None, *, amends: bool) -> None:
        section, form = self.workbench.templates, self.drafts.forms[kind]
        values = [field.value for field in self.drafts.of(kind)]
        if kind is None:
            saved = section.save_signature(self.actor, values[0], version=form.version, amends=amends)
            form.follow({"html": saved.html}, saved.version)
        else:
            saved = section.save(self.actor, kind, *values, version=form.version, amends=amends)
            form.follow({"subject": saved.subject, "body": saved.body}, saved.version)


def draw_head(page: SendingPage) -> None:
    """Draw the state beside Guardar, and one line over the tabs."""
    count, summary, refusals = _head(page)
    page.bar.show(count)
    page.summary.markdown(summary or f":small[:gray[{texts.ALL_DEFAULT}]]")
    page.bar.remember((count, summary, refusals))


def keep_up(page: SendingPage) -> None:
    """In a tab: run the page again where its head is no longer true."""
    keep_what_is_typed(page.workbench)
    page.bar.keep_up(_head(page))


def _head(page: SendingPage) -> tuple[int, str, str]:
    own: list[str] = []
    broken: list[str] = []
    for entry in types_with_template():
        source, default = page.source(entry.code), default_source(entry.code)
        if any(check.blocks for check in page.workbench.templates.compile(entry.code, source).sample_checks):
            broken.append(entry.tab)
        elif tuple(field.clean for field in page.drafts.of(entry.code)) != (default.subject, default.body):
            own.append(entry.tab)
    parts = [texts.SUMMARY_OWN.format(names=own)] if own else []
    parts += [f":red[:material/error: {texts.SUMMARY_ERRORS.format(names=broken)}]"] if broken else []
    return page.drafts.count_changed(), " ".join(parts), str([form.name for form in page.drafts.refused()])


_TYPE = "tipo"
_TAB = f"{PAGE}_tab"


def type_parameters(document_type: DocumentType) -> dict[str, str]:
    """Return the parameters of a link to the template of ``document_type``."""
    return {_TYPE: document_type.value}


def draw_tabs() -> tuple[DocumentType, DeltaGenerator]:
    """Draw a tab for each type; return the type that is open and its tab, the only one to be filled.

    What is typed in a tab has been handed over before another one opens (cgcore/web/editor.js).
    """
    entries = types_with_template()
    asked = st.query_params.get(_TYPE)
    default = next((entry.tab for entry in entries if entry.code.value == asked), None)
    tabs = st.tabs([entry.tab for entry in entries], default=default, on_change="rerun", key=_TAB)
    return next((entry.code, tab) for entry, tab in zip(entries, tabs, strict=True) if tab.open)


def is_left(kind: DocumentType) -> bool:
    """Whether another tab than that of ``kind`` is the open one by now."""
    return st.session_state.get(_TAB) != info(kind).tab
