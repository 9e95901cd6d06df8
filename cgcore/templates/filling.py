"""Puts the values of one message into a compiled text, in one pass: what a value holds is never read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from cgcore.templates.links import JudgedLink, fill_link, judge_link
from cgcore.templates.slots import Link, LinkClose, LinkOpen, Op, Plain, Subject, Value

__all__ = ["Filling", "fill_html", "fill_plain"]


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
