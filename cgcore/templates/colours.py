"""CSS colours as mail clients read them: ``#rrggbb``."""

from __future__ import annotations

import re

from PIL import ImageColor

__all__ = ["colour_to_hex", "style_to_declarations"]

_RGB = re.compile(r"rgba?\(\s*(\d{1,3})\s*[,\s]\s*(\d{1,3})\s*[,\s]\s*(\d{1,3})\s*(?:[,/]\s*[\d.]+%?\s*)?\)", re.I)
_ALIGNMENTS = {"center": "center", "right": "right", "end": "right", "justify": "justify"}


def colour_to_hex(value: str) -> str | None:
    """Return ``value`` (name, hex, ``rgb()``, ``hsl()``) as ``#rrggbb``, or None for what is no plain colour."""
    value = value.strip().lower()
    match = _RGB.fullmatch(value)
    if match:
        return "#" + "".join(f"{min(255, int(part)):02x}" for part in match.groups())
    if len(value) > 40:
        return None
    try:
        red, green, blue = ImageColor.getrgb(value)[:3]
    except ValueError:
        return None
    return f"#{red:02x}{green:02x}{blue:02x}"


def style_to_declarations(style: str) -> tuple[dict[str, str], str]:
    """Return the colours of a style attribute, in fixed order, and its alignment («» for left)."""
    if not style:
        return {}, ""
    colours: dict[str, str] = {}
    align = ""
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), value.replace("!important", "").strip()
        if name == "text-align":
            align = _ALIGNMENTS.get(value.lower(), "")
        elif name in ("color", "background-color"):
            colour = colour_to_hex(value)
            if colour:
                colours[name] = colour
    return {name: colours[name] for name in ("color", "background-color") if name in colours}, align
