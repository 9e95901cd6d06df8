"""The HTML of the log-in pages: one template, fields with their errors; what comes from outside is escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from cgcore.language import current_language
from cgcore.texts import sentence

__all__ = ["Field", "Page", "render_page", "tell_on_every_page"]

_standing: list[Callable[[], str]] = []


def tell_on_every_page(tell: Callable[[], str]) -> None:
    """Have every page of this process say what ``tell`` returns."""
    _standing[:] = [tell]


@dataclass(frozen=True, slots=True)
class Field:
    """One input. A password's ``value`` is never written back; ``error`` stands beside it and is announced."""

    name: str
    label: str
    autocomplete: str
    kind: str = "text"
    value: str = ""
    hint: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What one page shows. Without a ``button`` there is no form; ``link`` is (address, words)."""

    title: str
    intro: str = ""
    notice: str = ""
    alert: str = ""
    action: str = ""
    button: str = ""
    fields: Sequence[Field] = ()
    hidden: tuple[tuple[str, str], ...] = ()
    link: tuple[str, str] | None = None


def render_page(page: Page) -> str:
    """Return the whole document."""
    content = [
        _paragraph("intro", page.intro),
        *(_paragraph("notice", tell()) for tell in _standing),
        _paragraph("notice", page.notice, role="status"),
        _paragraph("alert", page.alert, role="alert"),
        _render_form(page) if page.button else _render_link(page.link),
    ]
    return _template().substitute(
        language=current_language(),
        title=escape(page.title),
        product=escape(sentence("cgcore.web", "product")),
        section=escape(sentence("cgcore.web", "section")),
        content="\n".join(part for part in content if part),
    )


@cache
def _template() -> Template:
    return Template(files("cgcore.web").joinpath("page.html").read_text("utf-8"))


def _render_form(page: Page) -> str:
    # The cursor goes to the first field that is wrong, else to the first that is empty.
    wanted = next((field for field in page.fields if field.error), None) or next(
        (field for field in page.fields if not field.value), None
    )
    parts = [f'<form method="post" action="{escape(page.action)}">']
    parts += [f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in page.hidden]
    parts += [_render_field(field, autofocus=field is wanted) for field in page.fields]
    parts.append(
        f'<div class="actions"><button type="submit">{escape(page.button)}</button>{_render_link(page.link)}</div>'
    )
    return "\n".join([*parts, "</form>"])


def _render_field(field: Field, *, autofocus: bool) -> str:
    name = escape(field.name)
    # An error takes the place of the hint: it says the same, more exactly.
    note, words = ("error", field.error) if field.error else ("hint", field.hint)
    attributes = [
        f'id="{name}" name="{name}" type="{escape(field.kind)}" autocomplete="{escape(field.autocomplete)}"',
        'required autocapitalize="none" spellcheck="false"',
        f'value="{escape(field.value)}"' if field.kind != "password" else "",
        f'aria-describedby="{name}-{note}"' if words else "",
        'aria-invalid="true"' if field.error else "",
        "autofocus" if autofocus else "",
    ]
    return "\n".join(
        part
        for part in (
            f'<div class="field"><label for="{name}">{escape(field.label)}</label>',
            f"<input {' '.join(filter(None, attributes))}>",
            _paragraph(note, words, role="alert" if field.error else "", identifier=f"{name}-{note}"),
            "</div>",
        )
        if part
    )


def _render_link(link: tuple[str, str] | None) -> str:
    return f'<a href="{escape(link[0])}">{escape(link[1])}</a>' if link else ""


def _paragraph(style: str, words: str, *, role: str = "", identifier: str = "") -> str:
    if not words:
        return ""
    extra = (f' role="{role}"' if role else "") + (f' id="{identifier}"' if identifier else "")
    return f'<p class="{style}"{extra}>{escape(words)}</p>'
