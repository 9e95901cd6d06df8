"""Targets of links: variables inside them, and which may leave. A target is judged again after substitution."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from html import unescape
from unicodedata import normalize
from urllib.parse import quote, unquote

from cgcore.templates.document import INVISIBLE
from cgcore.templates.scan import Found, scan
from cgcore.templates.variables import is_known, normalise_name

__all__ = ["JudgedLink", "LinkState", "decode_braces", "fill_link", "judge_link"]

_SAFE_SCHEMES = {"http", "https", "mailto", "tel"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9\-]+(\.[A-Za-z0-9\-]+)+:\d{1,5}(?=[/?#]|\Z)")
_MAIL_ADDRESS = re.compile(r"[^\s@/:]+@[^\s@/:]+\.[^\s@/:]+")
# A browser drops these before it reads the scheme (WHATWG URL, 4.4).
_DROPPED = re.compile("[\x00-\x1f\x7f\u2028\u2029]")
_INVISIBLE = dict.fromkeys(map(ord, INVISIBLE))
# What a second reader could decode to a script, once more than it should.
_DISGUISED = re.compile(r"[\s/]*(javascript|vbscript|data|file)\s*:", re.I)
_SCHEME_AT_MOST = 200
_HOST = re.compile(r"(https?://|mailto:[^/?#:@]*@)([^/?#:@]+)(?=[/?#:]|\Z)", re.I)
_LABELS = re.compile(r"[\w\-]+(\.[\w\-]+)*\.?")
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
_BRACED = re.compile(r"(?:\{|%7B)(?P<name>(?:[\w ]|%(?!7[BD])[0-9A-F]{2}){1,120}?)(?:\}|%7D)", re.I)


class LinkState(Enum):
    """What becomes of a link."""

    FINE = "fine"
    REPAIRED = "repaired"  # a scheme was added
    POINTLESS = "pointless"  # nowhere to go from a mail: an anchor, a path of its own
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class JudgedLink:
    """The verdict, and the target to write into the mail (empty for a link that is left out)."""

    state: LinkState
    url: str = ""


def decode_braces(href: str) -> str:
    """Return ``href`` with ``%7Bname%7D`` of a known variable read as ``{name}``; every other percent sign stays.

    A target may carry JSON of its own (``?f=%7B%22a%22…``): decoded, it would be another address.
    """
    return _BRACED.sub(_decode_name, href)


def _decode_name(match: re.Match[str]) -> str:
    name = unquote(match["name"])
    return f"{{{name}}}" if is_known(normalise_name(name)) else match.group()


def judge_link(href: str) -> JudgedLink:
    """Judge a target without variables left in it (RFC 3986; schemes http, https, mailto and tel)."""
    kept = _DROPPED.sub("", href)
    url = quote(kept.strip(), safe=_URL_CHARACTERS)
    # Blanks do not make a scheme less of one: a tab in a value is a trick, and has become a blank by now. Nor do
    # characters without width or of another width.
    seen = normalize("NFKC", "".join(kept.translate(_INVISIBLE).split()))
    scheme = _SCHEME.match(seen)
    if scheme and not _HOST_AND_PORT.match(url):
        return _judge_scheme(scheme.group(1).lower(), url)
    if _DISGUISED.match(unquote(unescape(seen[:_SCHEME_AT_MOST]))):
        return JudgedLink(LinkState.UNSAFE)
    if url.startswith("//") and url.strip("/"):
        return JudgedLink(LinkState.REPAIRED, _ascii_host("https:" + url))
    if not url or url[0] in "/?#.\\":
        return JudgedLink(LinkState.POINTLESS)
    if _MAIL_ADDRESS.fullmatch(url):
        return JudgedLink(LinkState.REPAIRED, _ascii_host("mailto:" + url))
    return JudgedLink(LinkState.REPAIRED, _ascii_host("https://" + url))


def _judge_scheme(scheme: str, url: str) -> JudgedLink:
    if scheme not in _SAFE_SCHEMES:
        return JudgedLink(LinkState.UNSAFE)
    leads_nowhere = not url.partition(":")[2].strip("/")
    return JudgedLink(LinkState.POINTLESS) if leads_nowhere else JudgedLink(LinkState.FINE, _ascii_host(url))


def _ascii_host(url: str) -> str:
    """Return ``url`` with a host of other letters in its ASCII form (RFC 5891, UTS 46); percent signs are no host."""
    match = _HOST.match(url) if "%" in url else None
    host = unquote(match.group(2)) if match else ""
    if not match or host.isascii() or not _LABELS.fullmatch(host):
        return url
    import idna

    try:
        return match.group(1) + idna.encode(host, uts46=True).decode("ascii") + url[match.end() :]
    except idna.IDNAError:
        return url


def fill_link(href: str, values: Mapping[str, str]) -> str:
    """Return ``href`` (braces decoded) with the values in it, percent-encoded.

    A value that comes before any scheme is itself the target or its beginning: it is written as it is, and judged.
    """
    parts: list[str] = []
    end = 0
    for found in scan(href, in_link=True):
        value = _value(found, values)
        if value is None:
            continue
        before = href[: found.start]
        parts += [href[end : found.start], _encode(value, before)]
        end = found.end
    return "".join(parts) + href[end:]


def _value(found: Found, values: Mapping[str, str]) -> str | None:
    return None if found.suggestion else values.get(found.name)


def _encode(value: str, before: str) -> str:
    scheme = _SCHEME.match(before.strip())
    if not scheme and not before.strip().startswith("//"):
        return value if not before.strip() or not re.search(r"[./]", before) else quote(value, safe="")
    return quote(value, safe="@" if scheme and scheme.group(1).lower() == "mailto" else "")
