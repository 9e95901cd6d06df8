"""The frame that shows a mail: whatever is in it, and whatever one does to it, nothing is connected to."""

from __future__ import annotations

import socket

import pytest
from playwright.sync_api import Browser

from cgcore.templates.sanitise import inert_document
from pages.ui.preview import build_frame

HOSTILE = """<html><head>
<meta http-equiv="refresh" content="0;url={0}/refresh"><base href="{0}/base/">
<link rel="dns-prefetch" href="{0}"><link rel="preconnect" href="{0}"><link rel="prefetch" href="{0}/prefetch">
<link rel="stylesheet" href="{0}/style.css"><style>@import url({0}/import.css);
@font-face {{ font-family: x; src: url({0}/font) }} body {{ background: url({0}/background); font-family: x }}</style>
</head><body background="{0}/old" onload="location='{0}/script'">
<p><a id="link" href="{0}/link" ping="{0}/ping">un enlace</a> <a id="blank" href="{0}/blank" target="_blank">otro</a>
<a id="top" href="{0}/top" target="_top">arriba</a> <a id="relative" href="relative">aquí</a></p>
<form action="{0}/form" method="get"><input id="field" name="q" value="x"><button id="send">Enviar</button>
<button id="other" formaction="{0}/formaction">Otro</button></form>
<img src="{0}/image" srcset="{0}/set 1x"><iframe src="{0}/frame"></iframe><object data="{0}/object"></object>
<video src="{0}/video" poster="{0}/poster" autoplay></video><embed src="{0}/embed">
<svg><a href="{0}/svg"><text y="20">dibujo</text></a><image href="{0}/svgimage" /><use href="{0}/use" /></svg>
<map name="m"><area id="area" shape="rect" coords="0,0,50,50" href="{0}/area"></map>
<img usemap="#m" width="50" height="50" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<p style="background:url({0}/inline);color:rgb(1,2,3)" id="styled">Texto</p><script>fetch('{0}/fetch')</script>
</body></html>"""


@pytest.mark.parametrize("odd", ["", "  ", "<!-- x -->", "\0", "<!doctype html>", "<?xml version='1.0'?>"])
def test_a_mail_with_nothing_in_it_shows_nothing(odd: str) -> None:
    """And breaks nothing."""
    assert "<p>" not in inert_document(odd)


def test_what_is_written_stays() -> None:
    """Words, look, pictures in it, and letters of every kind; whatever it says of its own encoding."""
    kept = '<p style="color:red">Año 😀 &lt;b&gt; <img src="data:image/png;base64,AA" alt="x"></p>'
    odd = f"<?xml version='1.0' encoding='latin-1'?><html><body>{kept}<a href='javascript:x'>x</a>\ud800</body></html>"

    assert kept in inert_document(odd)
    assert "href" not in inert_document(odd)


@pytest.mark.e2e
def test_nothing_in_a_mail_connects_to_anything(browser: Browser, tracker: socket.socket) -> None:
    """Not by itself, not by a click with or without a key, not by the keyboard; and the mail is still shown."""
    host = "http://{}:{}".format(*tracker.getsockname())
    context = browser.new_context()
    page = context.new_page()
    # On a page of its own: the policy of the application, which the frame inherits there, does not help here.
    page.set_content(build_frame(HOSTILE.format(host), "Mensaje"))
    frame = page.frame_locator("iframe")
    for name in ("link", "blank", "top", "relative", "send", "other", "field"):
        target = frame.locator(f"#{name}")
        target.hover()
        target.click(force=True)
        target.click(modifiers=["Control"], force=True)
        target.click(button="middle", force=True)
        target.focus()
        page.keyboard.press("Enter")
    page.mouse.click(20, 200)

    shown, colour = frame.locator("#styled").inner_text(), frame.locator("#styled").get_attribute("style")
    assert shown == "Texto"
    assert "rgb(1,2,3)" in (colour or "")
    assert frame.locator("#link").get_attribute("title") == f"{host}/link"
    assert len(context.pages) == 1
    with pytest.raises(BlockingIOError):
        tracker.accept()
    context.close()
