"""Text from outside, within Markdown."""

from __future__ import annotations

import re

__all__ = ["escape"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>@^=&])")
# Where a mail or web address would begin to be one, after escaping.
_LINK_JOINTS = re.compile(r"(?i)(?=\\@)|(?<=www)(?=\\\.)|(?<=https\\:)(?=//)|(?<=http\\:)(?=//)")


def escape(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is: no link, no image, no colour, no formula.

    Addresses of mail and web become links whatever is escaped in them, so an invisible joiner (U+2060) breaks them.
    """
    return _LINK_JOINTS.sub("\u2060", _SPECIAL.sub(r"\\\1", text))
