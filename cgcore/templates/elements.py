"""What single elements of the cleaned tree say: formats, targets of links, images."""

from __future__ import annotations

import re

from lxml import html

from cgcore.templates.colours import style_to_declarations
from cgcore.templates.document import Format, Image
from cgcore.templates.sanitise import INLINE_CLASSES, restore_marks

__all__ = ["INLINE_TAGS", "read_format", "read_image"]

INLINE_TAGS = {
    **{tag: tag for tag in ("strong", "em", "u", "s", "sub", "sup", "span", "a")},
    "b": "strong",
    "i": "em",
    "ins": "u",
    "strike": "s",
    "del": "s",
    "font": "span",
    "code": "span",
}


def read_format(element: html.HtmlElement) -> Format:
    """Return the format that an inline element stands for."""
    tag = INLINE_TAGS[str(element.tag)]
    classes = sorted(set(element.get("class", "").split()) & INLINE_CLASSES)
    if element.tag == "code":
        classes = sorted({*classes, "ql-font-monospace"})
    colours, _ = style_to_declarations(element.get("style", ""))
    attributes: list[tuple[str, str]] = []
    if tag == "a":
        attributes += _read_target(element)
    if classes:
        attributes.append(("class", " ".join(classes)))
    if colours:
        attributes.append(("style", "; ".join(f"{name}: {value}" for name, value in colours.items()) + ";"))
    return Format(tag, tuple(attributes))


def _read_target(element: html.HtmlElement) -> list[tuple[str, str]]:
    href = element.get("href")
    if href is not None:
        return [("href", restore_marks(href).strip())] if href.strip() else []
    # The sanitiser took the target away; a mere anchor (Word's table of contents) never had one.
    return [] if element.get("name") is not None or element.get("id") is not None else [("refused", "")]


def read_image(element: html.HtmlElement, formats: tuple[Format, ...]) -> Image:
    """Return the image that an ``img`` stands for."""
    width, height = (_pixels(element.get(name, "")) for name in ("width", "height"))
    src, alt = (restore_marks(element.get(name, "")).strip() for name in ("src", "alt"))
    return Image(src, alt, width, height, formats)


def _pixels(value: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,5})(?:\.\d+)?(?:px)?\s*", value)
    return int(match.group(1)) if match else 0
