"""HTML that nobody vouches for, in a frame without rights."""

from __future__ import annotations

import html

import streamlit as st

__all__ = ["build_frame", "sandboxed_html"]

# First in the document, so that it counts for all of it: nothing is fetched, nothing runs, only embedded images show.
# The application's own policy is inherited as well; this one also holds where that one is missing.
_POLICY = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    'img-src data:; style-src \'unsafe-inline\'; font-src data:"><meta name="referrer" content="no-referrer">'
)
# White, whatever the theme: what is shown was written for a white sheet.
_STYLE = "width:100%;height:100vh;border:0;background:#fff"


def build_frame(document: str, title: str) -> str:
    """Return a frame that shows ``document``: no script, no form, no pop-up, no origin, nothing fetched."""
    inner = html.escape(_POLICY + document, quote=True)
    return (
        f'<body style="margin:0"><iframe sandbox="" srcdoc="{inner}" title="{html.escape(title, quote=True)}" '
        f'style="{_STYLE}"></iframe></body>'
    )


def sandboxed_html(document: str, height: int, title: str) -> None:
    """Draw ``document`` in such a frame, ``height`` pixels high (its content cannot be measured from outside)."""
    st.iframe(build_frame(document, title), height=height, alt=title)
