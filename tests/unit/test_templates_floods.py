"""Long inputs: every one is answered, in time that grows with its length and not with its square.

No clock: each case is one that took minutes, or is of the kind; a quadratic one would not end.
"""

from __future__ import annotations

import pytest

from cgcore.documents import DocumentType
from cgcore.templates.canonical import canonical_html
from cgcore.templates.compile import TemplateSource
from cgcore.templates.render import render

_LENGTH = 1_000_000
_FLOODS = {
    "blanks": "a" + " " * _LENGTH + "b",
    "opening braces": "{" * _LENGTH,
    "open names": "{a " * (_LENGTH // 3),
    "zero width": "{" + "\u200b" * _LENGTH + "serie}",
    "brackets": "[   a" * (_LENGTH // 5),
    "per cent": "%a" * (_LENGTH // 2),
    "references": "&amp;" * (_LENGTH // 5),
    "unclosed tag": '<p style="' + "a;" * (_LENGTH // 2),
    "deep": "<b><i><div>" * (_LENGTH // 11),
    "lists": "<ul><li>" * (_LENGTH // 8),
    "lower than": "<" * _LENGTH,
    "entities": '<!DOCTYPE x [<!ENTITY a "a"><!ENTITY b "&a;&a;">]><p>' + "&b;" * (_LENGTH // 3),
}


@pytest.mark.parametrize("name", _FLOODS)
def test_a_megabyte_of_anything_gets_an_answer(name: str) -> None:
    """Rendered and in canonical form."""
    rendered = render(DocumentType.SALES_INVOICE, TemplateSource("x", _FLOODS[name], ""), {})

    assert rendered.html.endswith("</html>")
    assert len(rendered.checks) <= 3000
    assert len(canonical_html(_FLOODS[name])) <= 40 * _LENGTH


def test_checks_about_values_have_an_end_too() -> None:
    """Thousands of links without scheme and of empty variables."""
    body = "".join(f'<a href="x{number}.es/{{serie}}">x</a> {{numero}} ' for number in range(3000))
    rendered = render(DocumentType.SALES_INVOICE, TemplateSource("x", f"<p>{body}</p>", ""), {"numero": ""})

    assert 1000 < len(rendered.checks) <= 3000
