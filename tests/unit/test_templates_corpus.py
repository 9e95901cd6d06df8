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
from cgcore.templates.compile import TemplateSource
from cgcore.templates.render import render
from cgcore.templates.stored import default_signature

DATA = Path(__file__).parents[1] / "data" / "templates"
UPDATE = os.environ.get("CG_UPDATE_GOLDEN") == "1"
NAMES = ["word", "web", "gdocs", "editor"]


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
