"""The head of the page: how many fields differ, and which types have their own template or errors."""

from __future__ import annotations

from cgcore.documents import types_with_template
from cgcore.templates.defaults import default_source
from pages.ui.sending.view import SendingPage
from pages.ui.texts import sending_defaults as texts

__all__ = ["draw_head", "keep_up"]


def draw_head(page: SendingPage) -> None:
    """Draw the state beside Guardar, and one line over the tabs."""
    count, summary, refusals = _head(page)
    page.bar.show(count)
    page.summary.markdown(summary or f":small[:gray[{texts.ALL_DEFAULT}]]")
    page.bar.remember((count, summary, refusals))


def keep_up(page: SendingPage) -> None:
    """In a tab: run the page again where its head is no longer true."""
    page.bar.keep_up(_head(page))


def _head(page: SendingPage) -> tuple[int, str, str]:
    own: list[str] = []
    broken: list[str] = []
    for entry in types_with_template():
        source, default = page.source(entry.code), default_source(entry.code)
        if page.workbench.templates.compile(entry.code, source).fill({}).errors:
            broken.append(entry.tab)
        elif tuple(field.clean for field in page.drafts.of(entry.code)) != (default.subject, default.body):
            own.append(entry.tab)
    parts = [texts.SUMMARY_OWN.format(names=", ".join(own))] if own else []
    parts += [f":red[:material/error: {texts.SUMMARY_ERRORS.format(names=', '.join(broken))}]"] if broken else []
    return page.drafts.count_changed(), " ".join(parts), str([form.name for form in page.drafts.refused()])
