"""The places of a compiled text that wait for values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from cgcore.templates.links import JudgedLink, fill_link, judge_link
from cgcore.templates.scan import Kind, scan

__all__ = [
    "Filling",
    "Link",
    "LinkClose",
    "LinkOpen",
    "Op",
    "Plain",
    "Slots",
    "Subject",
    "Value",
    "fill_html",
    "fill_plain",
    "split_html",
    "split_text",
]

# Noncharacters: the sanitiser lets none of them in, so a mark is always ours.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_HTML_TOKEN = re.compile(f'<a href="{_OPEN}(\\d+){_CLOSE}"([^>]*)>|(</a>)|{_OPEN}(\\d+){_CLOSE}')


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Plain:
    """A text with variables of its own (an alternative text), as literals and values."""

    parts: tuple[str | Value, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of the message, for the title."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link: its target with braces decoded, and the verdict when no variable can change it."""

    href: str
    judged: JudgedLink | None = None


@dataclass(frozen=True, slots=True)
class LinkOpen:
    """The start of a link; ``rest`` are the other attributes of its tag."""

    link: Link
    rest: str = ""


@dataclass(frozen=True, slots=True)
class LinkClose:
    """The end of a link."""

    link: Link


Slot = Value | Plain | Subject | Link | LinkClose
Op = str | Value | Plain | Subject | LinkOpen | LinkClose


@dataclass(slots=True)
class Slots:
    """Gives out marks for places while a text is written, and knows what each stands for."""

    entries: list[Slot] = field(default_factory=list["Slot"])

    def mark(self, slot: Slot) -> str:
        """Return the mark that stands for ``slot`` until the text is split."""
        self.entries.append(slot)
        return f"{_OPEN}{len(self.entries) - 1}{_CLOSE}"

    def link(self, number: int) -> Link:
        """Return the link whose mark has ``number``."""
        entry = self.entries[number]
        if not isinstance(entry, Link):
            raise TypeError("the mark of a target stands for something else")
        return entry

    def plain(self, text: str, names: Mapping[str, str]) -> str:
        """Return the mark of an attribute's text; the variables of it that ``names`` holds are values."""
        parts: list[str | Value] = []
        end = 0
        for found in scan(text):
            if found.kind is Kind.VARIABLE and found.name in names:
                parts += [text[end : found.start], Value(found.name)]
                end = found.end
        return self.mark(Plain((*parts, text[end:])))


def split_html(html: str, slots: Slots) -> tuple[Op, ...]:
    """Return ``html`` as literals and slots; a link's opening and closing tag become one pair of slots."""
    ops: list[Op] = []
    opened: list[Link | None] = []
    end = 0
    for match in _HTML_TOKEN.finditer(html):
        number, rest, closing, mark = match.groups()
        ops.append(html[end : match.start()])
        end = match.end()
        if number is not None:
            link = slots.link(int(number))
            opened.append(link)
            ops.append(LinkOpen(link, rest))
        elif closing:
            link = opened.pop() if opened else None
            ops.append(LinkClose(link) if link else closing)
        else:
            ops.append(_op(slots.entries[int(mark)]))
    return _merge([*ops, html[end:]])


def split_text(text: str, slots: Slots) -> tuple[Op, ...]:
    """Return the text alternative as literals and slots."""
    ops: list[Op] = []
    end = 0
    for match in _MARK.finditer(text):
        ops += [text[end : match.start()], _op(slots.entries[int(match.group(1))])]
        end = match.end()
    return _merge([*ops, text[end:]])


def _op(slot: Slot) -> Op:
    return LinkOpen(slot) if isinstance(slot, Link) else slot


def _merge(ops: Sequence[Op]) -> tuple[Op, ...]:
    merged: list[Op] = []
    for op in ops:
        if isinstance(op, str) and merged and isinstance(merged[-1], str):
            merged[-1] += op
        elif op != "":
            merged.append(op)
    return tuple(merged)


@dataclass(slots=True)
class Filling:
    """The values of one message, the same escaped, its subject, and the links judged with them."""

    values: Mapping[str, str]
    subject: str = ""
    escaped: dict[str, str] = field(default_factory=dict[str, str])
    judged: dict[str, JudgedLink] = field(default_factory=dict[str, JudgedLink])

    def __post_init__(self) -> None:
        self.escaped = {name: escape(value) for name, value in self.values.items()}

    def judge(self, link: Link) -> JudgedLink:
        """Return the verdict on a link with the values in it."""
        if link.judged:
            return link.judged
        if link.href not in self.judged:
            self.judged[link.href] = judge_link(fill_link(link.href, self.values))
        return self.judged[link.href]


def fill_plain(ops: Sequence[Op], filling: Filling) -> str:
    """Return the text alternative: values as they are, a link's target after its text when the text is another."""
    out: list[str] = []
    starts: list[int] = []
    for op in ops:
        if isinstance(op, str):
            out.append(op)
        elif isinstance(op, Value):
            out.append(filling.values[op.name])
        elif isinstance(op, Plain):
            out += [part if isinstance(part, str) else filling.values[part.name] for part in op.parts]
        elif isinstance(op, LinkOpen):
            starts.append(len(out))
        elif isinstance(op, LinkClose):
            out.append(_target("".join(out[starts.pop() :]), filling.judge(op.link)))
    return "".join(out)


def _target(text: str, judged: JudgedLink) -> str:
    url = judged.url
    shown = text.strip().rstrip("/").lower()
    bare = url.split("://", 1)[-1].removeprefix("mailto:").removeprefix("tel:").rstrip("/").lower()
    same = not url or shown in (bare, url.rstrip("/").lower(), bare.removeprefix("www."))
    # A host and a path of other letters are written in ASCII in the target.
    same = same or (not shown.isascii() and judge_link(shown).url.lower() == url.rstrip("/").lower())
    return "" if same else f" ({url})" if shown else url


def fill_html(ops: Sequence[Op], filling: Filling) -> str:
    """Return the HTML: values escaped, targets judged with the values in them, unsafe links left out."""
    out: list[str] = []
    for op in ops:
        if isinstance(op, str):
            out.append(op)
        elif isinstance(op, Value):
            out.append(filling.escaped[op.name])
        elif isinstance(op, Plain):
            out += [escape(part) if isinstance(part, str) else filling.escaped[part.name] for part in op.parts]
        elif isinstance(op, Subject):
            out.append(escape(filling.subject, quote=False))
        elif isinstance(op, LinkOpen):
            judged = filling.judge(op.link)
            out.append(f'<a href="{escape(judged.url)}"{op.rest}>' if judged.url else "")
        else:
            out.append("</a>" if filling.judge(op.link).url else "")
    return "".join(out)
