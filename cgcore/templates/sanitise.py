"""The HTML that a template may contain, and nothing else: one nh3 policy, for what comes in and what goes out."""

from __future__ import annotations

import re
from html import unescape

import nh3

__all__ = ["INLINE_CLASSES", "clean_html", "inert_document", "replace_unprintable", "restore_marks"]

_SIZES = {"ql-size-small", "ql-size-large", "ql-size-huge"}
_FONTS = {"ql-font-serif", "ql-font-monospace"}
_COLOURS = {"white", "red", "orange", "yellow", "green", "blue", "purple"}
INLINE_CLASSES = frozenset(
    _SIZES
    | _FONTS
    | {f"ql-color-{name}" for name in _COLOURS}
    | {f"ql-bg-{name}" for name in _COLOURS | {"black"}}
    | {"ql-formula"}
)
_BLOCK_CLASSES = (
    {f"ql-indent-{level}" for level in range(1, 9)}
    | {f"ql-align-{side}" for side in ("center", "right", "justify")}
    | {"ql-direction-rtl"}
)
_INLINE_TAGS = {"strong", "b", "em", "i", "u", "ins", "s", "strike", "del", "span", "font", "sub", "sup", "code", "a"}
_BLOCK_TAGS = {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "li"}
_STRUCTURE = {"ol", "ul", "br", "img", "table", "thead", "tbody", "tfoot", "tr", "td", "th"}
_CLEANER = nh3.Cleaner(
    tags=_INLINE_TAGS | _BLOCK_TAGS | _STRUCTURE,
    # What these hold is no text for a reader, or is text that a second parser could read as tags.
    clean_content_tags={
        *("script", "style", "title", "template", "noscript", "noembed", "noframes", "iframe", "object", "svg"),
        *("math", "xml", "xmp", "select", "textarea", "button", "audio", "video", "canvas"),
    },
    # «class» is not here: a tag of allowed_classes has it already.
    attributes={
        **{tag: {"style"} for tag in _INLINE_TAGS | _BLOCK_TAGS},
        "a": {"style", "href", "name", "id"},
        "img": {"src", "alt", "width", "height"},
        "ol": {"start"},
        # Not HTML: the editor keeps the number of a list at its items.
        "li": {"style", "start"},
    },
    allowed_classes={
        **{tag: set(INLINE_CLASSES) for tag in _INLINE_TAGS},
        **{tag: set(_BLOCK_CLASSES) for tag in _BLOCK_TAGS},
        "pre": _BLOCK_CLASSES | {"ql-syntax"},
    },
    filter_style_properties={"color", "background-color", "text-align"},
    url_schemes={"http", "https", "mailto", "tel", "data", "cid"},
    attribute_filter=lambda tag, name, value: _filter_attribute(tag, name, value),
    link_rel=None,
)

# What fetches, navigates or runs, whatever a frame forbids; and names that only other parsers see as such.
_ACTIVE_TAGS = frozenset(
    {"link", "base", "meta", "object", "embed", "applet", "iframe", "frame", "frameset", "portal", "noscript"}
    | {"template", "svg", "math", "audio", "video", "source", "track", "dialog", "fencedframe"}
)
_ACTIVE_ATTRIBUTES = frozenset(
    {"href", "action", "formaction", "ping", "target", "srcset", "imagesrcset", "background", "cite", "longdesc"}
    | {"usemap", "manifest", "data", "srcdoc", "lowsrc", "dynsrc", "poster", "attributionsrc", "profile", "codebase"}
    | {"popovertarget", "is", "slot", "autofocus"}
)
_LINK_LOOK = "color:#0b6bcb;text-decoration:underline;"
_UNPARSEABLE = {0: None, **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}

# HTML holds no NUL, no lone surrogate; noncharacters are kept for our own marks.
_CONTROLS = re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# html5ever takes quadratic time over thousands of character references, and over thousands of nested blocks. So the
# references are resolved before it, with marks for the characters that are markup, and deep nesting is cut.
_REFERENCE = re.compile(r"&(?:(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)?")
_MARKS = dict(zip(map(ord, "&<>\"'"), "\ufde0\ufde1\ufde2\ufde3\ufde4", strict=True))
_CHARACTERS = {ord(mark): chr(code) for code, mark in _MARKS.items()}
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)[^<>]*>?")
_NEVER_NEST = {"p", "br", "img", "hr", "input", "meta", "link", "col", "area", "base", "wbr", "li", "tr", "td", "th"}
_DEEPEST = 100


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    if tag == "a" and name == "href" and value.strip().lower().startswith(("data:", "cid:")):
        return None
    return value


def clean_html(html: str) -> str:
    """Return ``html`` cleaned: known tags, the editor's classes, colours, and links of known schemes.

    Texts and attributes still hold marks for ``& < > " '`` and need :func:`restore_marks`. Never raises: what cannot
    be kept is left out. A link whose scheme is refused stays as an ``a`` without ``href`` and an image as an ``img``
    without ``src``, so that the caller can say so.
    """
    resolved = _REFERENCE.sub(_resolve, replace_unprintable(html))
    return _CLEANER.clean(_flatten(_CONTROLS.sub("", resolved)))


def replace_unprintable(text: str) -> str:
    """Return ``text`` with a replacement character for whatever is no text: NUL, lone surrogates, noncharacters."""
    return _NOT_TEXT.sub("\ufffd", text)


def restore_marks(text: str) -> str:
    """Return a text or an attribute of the cleaned tree with the marks for markup characters as characters again."""
    return text.translate(_CHARACTERS)


def _resolve(match: re.Match[str]) -> str:
    return unescape(match.group()).translate(_MARKS)


def _flatten(html: str) -> str:
    depth = deepest = 0
    for match in _TAG.finditer(html):
        if match.group(2).lower() not in _NEVER_NEST:
            depth = max(0, depth - 1) if match.group(1) else depth + 1
            deepest = max(deepest, depth)
    if deepest <= _DEEPEST:
        return html
    level = 0

    def keep(match: re.Match[str]) -> str:
        nonlocal level
        if match.group(2).lower() in _NEVER_NEST:
            return match.group()
        if match.group(1):
            level = max(0, level - 1)
            return match.group() if level < _DEEPEST else ""
        level += 1
        return match.group() if level <= _DEEPEST else ""

    return _TAG.sub(keep, html)


def inert_document(document: str) -> str:
    """Return an HTML document that leads nowhere: it looks the same, and nothing in it can be followed or sent.

    A frame without rights still follows its links, and a browser looks their hosts up before that. What a link led to
    stands in its title. Only embedded pictures keep their source.
    """
    from lxml import etree, html

    # As bytes: a text that names its own encoding is not parsed.
    content = document.translate(_UNPARSEABLE).encode()
    try:
        root = html.document_fromstring(content, parser=html.HTMLParser(encoding="utf-8", huge_tree=True))
    except etree.ParserError:  # nothing but space or comments
        return ""
    for element in list(root.iter()):
        if element.getparent() is not None and (not isinstance(element.tag, str) or element.tag == "script"):
            element.drop_tree()
            continue
        if element.getparent() is not None and element.tag in _ACTIVE_TAGS:
            # What it holds stays: to this parser a tag without an end may hold the rest of the page.
            element.drop_tag()
            continue
        address = element.get("href", "")
        for name in list(element.attrib):
            if name in _ACTIVE_ATTRIBUTES or name.startswith("on") or ":" in name:
                del element.attrib[name]
            elif name == "src" and not element.attrib[name].strip().lower().startswith("data:image/"):
                element.attrib[name] = ""
        if element.tag in ("a", "area") and address:
            element.set("title", address)
            element.set("style", _LINK_LOOK + element.get("style", ""))
        elif element.tag == "form":
            element.tag = "div"
    return html.tostring(root, encoding="unicode", doctype="<!doctype html>")
