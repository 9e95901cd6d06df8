"""The preview of a message: parsed from the bytes that would be sent, shown as mail programs show it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Collection
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import StrEnum
from functools import lru_cache

import streamlit as st

from cgcore.templates.sanitise import inert_document
from pages.ui.markdown import escape
from pages.ui.texts import sending_defaults as texts

__all__ = ["View", "build_frame", "draw_inbox_row", "draw_message_view", "parse_message", "sandboxed_html"]

# First in the document, so that it counts for all of it: nothing is fetched, nothing runs, only embedded images show.
# The application's own policy is inherited as well; this one also holds where that one is missing.
_POLICY = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "img-src data:; style-src 'unsafe-inline'; font-src data:; form-action 'none'; base-uri 'none'\">"
    '<meta http-equiv="x-dns-prefetch-control" content="off"><meta name="referrer" content="no-referrer">'
)
# White, whatever the theme: what is shown was written for a white sheet.
_STYLE = "width:100%;height:100vh;border:0;background:#fff"


# What is drawn again by the next key pressed is, but for the text under the cursor, what was drawn before.
_KEPT = 8


@lru_cache(_KEPT)
def build_frame(document: str, title: str) -> str:
    """Return a frame that shows ``document``: no script, no form, no pop-up, no origin, nothing fetched or followed."""
    inner = html.escape(_POLICY + inert_document(document), quote=True)
    return (
        f'<body style="margin:0"><iframe sandbox="" srcdoc="{inner}" title="{html.escape(title, quote=True)}" '
        f'style="{_STYLE}"></iframe></body>'
    )


def sandboxed_html(document: str, height: int, title: str) -> None:
    """Draw ``document`` in such a frame, ``height`` pixels high (its content cannot be measured from outside)."""
    st.iframe(build_frame(document, title), height=height, alt=title)


_HEIGHT = 460
_PHONE_WIDTH = 390
_SUBJECT_ON_A_PHONE = 40
_FIRST_WORDS = 90
_SOURCE_AT_MOST = 40_000
# What a program that darkens every mail does: light turns dark, pictures stay.
_DARK = (
    "<style>html{background:#fff;filter:invert(1) hue-rotate(180deg)}img{filter:invert(1) hue-rotate(180deg)}</style>"
)


class View(StrEnum):
    """The ways to look at a message."""

    DESKTOP = "desktop"
    PHONE = "phone"
    NO_IMAGES = "no_images"
    DARK = "dark"
    TEXT = "text"
    SOURCE = "source"

    @property
    def label(self) -> str:
        """What it is called on the screen."""
        return texts["VIEWS"][self.value]


@lru_cache(_KEPT)
def parse_message(raw: bytes) -> EmailMessage:
    """Return the message as a mail program reads it, to be read only: the same bytes give the same one."""
    message = message_from_bytes(raw, policy=default)
    if not isinstance(message, EmailMessage):
        raise TypeError("the policy builds EmailMessage")
    return message


def draw_inbox_row(message: EmailMessage, *, whole: bool = False, faults: Collection[str] = ()) -> None:
    """Draw the line of an inbox: sender, the subject as a phone cuts it or the ``whole`` of it, the first words.

    ``faults`` are the words in the subject that no value has taken the place of: they are marked.
    """
    sender = message["From"].addresses[0]
    with st.container(border=True, gap="xxsmall"):
        st.markdown(f"**{escape(sender.display_name or sender.addr_spec)}** · {escape(sender.addr_spec)}")
        subject = str(message["Subject"] or "")
        shown = subject if whole else _cut(subject, _SUBJECT_ON_A_PHONE)
        st.markdown(_marked(shown, faults) or f"*{texts.NO_SUBJECT}*")
        words = " ".join(_text(message).split("\n-- \n")[0].split())
        st.caption(escape(_cut(words, _FIRST_WORDS)) or texts.NO_BODY)


def draw_message_view(message: EmailMessage, raw: bytes, view: View) -> None:
    """Draw the message in one of the ways to look at it."""
    if view is View.TEXT:
        st.code(_text(message), language=None, wrap_lines=True, height=_HEIGHT)
        return
    if view is View.SOURCE:
        source = raw.decode("utf-8", "replace").replace("\r\n", "\n")
        st.code(_cut(source, _SOURCE_AT_MOST), language=None, height=_HEIGHT)
        return
    html = _html(message, with_images=view is not View.NO_IMAGES)
    if view is View.DARK:
        html = html.replace("</head>", _DARK + "</head>", 1)
    with st.container(border=True, width=_PHONE_WIDTH if view is View.PHONE else "stretch"):
        sandboxed_html(html, _HEIGHT, texts.FRAME_TITLE)


def _marked(text: str, faults: Collection[str]) -> str:
    """Return ``text`` as Markdown, with each of ``faults`` in it marked."""
    if not faults:
        return escape(text)
    pieces = re.split("(" + "|".join(re.escape(fault) for fault in sorted(faults, key=len, reverse=True)) + ")", text)
    return "".join(f":red-background[{escape(each)}]" if each in faults else escape(each) for each in pieces)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    return part.get_content().replace("\r\n", "\n") if part else ""


def _html(message: EmailMessage, *, with_images: bool) -> str:
    part = message.get_body(("html",))
    images = {str(each["Content-ID"])[1:-1]: each for each in message.walk() if each["Content-ID"]}
    return _embed(part.get_content() if part else "", lambda cid: images.get(cid) if with_images else None)


def _embed(html: str, find: Callable[[str], EmailMessage | None]) -> str:
    def source(match: re.Match[str]) -> str:
        image = find(match.group(1))
        if image is None:
            return ' src=""'
        data = base64.b64encode(image.get_content()).decode()
        return f' src="data:{image.get_content_type()};base64,{data}"'

    return re.sub(r' src="cid:([^"]+)"', source, html)
