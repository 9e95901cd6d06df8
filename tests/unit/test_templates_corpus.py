"""Real pastes and editor output: canonical form, mail and text as files, read as text when they change.

``CG_UPDATE_GOLDEN=1 pytest tests/unit/test_templates_corpus.py`` writes them anew.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cgcore.documents import DocumentType
from cgcore.mail.message import InlineImage, build_message
from cgcore.templates.canonical import canonical_html
from cgcore.templates.checks import Code, Field, Severity
from cgcore.templates.compile import TemplateSource
from cgcore.templates.render import render
from cgcore.templates.stored import default_signature

DATA = Path(__file__).parents[1] / "data" / "templates"
UPDATE = os.environ.get("CG_UPDATE_GOLDEN") == "1"
NAMES = ["word", "web", "gdocs", "editor", "excel", "outlook", "gsheets"]


def check_against(name: str, found: str) -> None:
    path = DATA / name
    if UPDATE:
        path.write_text(found, encoding="utf-8", newline="\n")

    assert path.read_text(encoding="utf-8") == found


@pytest.mark.parametrize("name", NAMES)
def test_what_is_pasted_is_stored_in_one_known_form(name: str) -> None:
    """And that form is canonical."""
    stored = canonical_html((DATA / f"{name}.html").read_text(encoding="utf-8"))

    check_against(f"{name}.canonical", stored.replace("</p><", "</p>\n<") + "\n")
    assert canonical_html(stored) == stored


@pytest.mark.parametrize("name", NAMES)
def test_the_message_is_the_one_on_file(name: str) -> None:
    """Golden messages; time, Message-ID and boundaries are fixed."""
    body = (DATA / f"{name}.html").read_text(encoding="utf-8")
    source = TemplateSource("Adjunto {documento} {serie} {numero} de {empresa} – ñ", body, default_signature())
    rendered = render(DocumentType.SALES_INVOICE, source, {"cliente": "Pérez & Hijos <Ñ>"})
    message = build_message(
        sender="facturas@tosma.example",
        sender_name="Electricidad Tosma, S.L.",
        recipients=["cliente@ejemplo.example"],
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        images=[InlineImage(image.cid, image.type, image.data) for image in rendered.images],
        date=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
        message_id="<1@tosma.example>",
    )
    raw = message.as_bytes().decode("ascii").replace("\r\n", "\n")
    for number, boundary in enumerate(dict.fromkeys(re.findall(r'boundary="([^"]+)"', raw))):
        raw = raw.replace(boundary, f"boundary-{number}")

    checks = "".join(f"{check.code.value} {check.position}\n" for check in rendered.checks)
    check_against(f"{name}.eml", raw)
    check_against(f"{name}.checks", checks)


def test_a_table_is_said_to_become_text_and_one_for_layout_is_not() -> None:
    """A warning on the field that had it, and on no other; it stops nothing."""
    table, single = (f"<table><tr><td>a</td>{more}</tr></table>" for more in ("<td>b</td>", ""))

    rendered = render(DocumentType.SALES_INVOICE, TemplateSource("a", table, single), {})

    told = [(check.field, check.severity) for check in rendered.checks if check.code is Code.TABLE_AS_TEXT]
    assert told == [(Field.BODY, Severity.WARNING)]
    assert rendered.errors == ()


def test_a_picture_that_is_left_out_leaves_its_words() -> None:
    """In HTML and text, with the variables of the document; what stands behind it is still found at its place."""
    body = '<p>a <img src="https://x.es/l.png" alt="Logo de {empresa} &lt;x&gt;"> {nunca} {serie}</p><p><img src="data:x"></p>'

    rendered = render(DocumentType.SALES_INVOICE, TemplateSource("a", body, ""), {"empresa": "P&Q", "serie": "S"})

    assert "a Logo de P&amp;Q &lt;x&gt; {nunca} S</p>" in rendered.html
    assert rendered.text.splitlines()[0] == "a Logo de P&Q <x> {nunca} S"
    assert "<img" not in rendered.html
    assert {check.code: check.position for check in rendered.checks}[Code.UNKNOWN_VARIABLE] == 3


def test_a_list_goes_on_with_its_number() -> None:
    """Nested lists have numbers of their own, and the text counts as the HTML does."""
    body = "<ol><li>a</li></ol><p>x</p><ol start=2><li>b<ol start=4><li>c</li><li>d</li></ol></li><li>e</li></ol>"

    rendered = render(DocumentType.SALES_INVOICE, TemplateSource("a", body, ""), {})

    assert re.findall("<ol[^>]*?( start=.[0-9]+.)?(?: style[^>]*)?>", rendered.html) == ["", ' start="2"', ' start="4"']
    assert rendered.text.splitlines() == ["1. a", "x", "2. b", "  4. c", "  5. d", "3. e"]
