"""One-click fixes: each check that offers one is gone after it, and the text is otherwise the same."""

from __future__ import annotations

import base64
import io
import os

import pytest
from PIL import Image

from cgcore.documents import DocumentType
from cgcore.templates.checks import Check, Field
from cgcore.templates.compile import TemplateSource
from cgcore.templates.fixes import append_variable, fix_html, fix_subject, is_fixable, place_of
from cgcore.templates.parse import parse_html
from cgcore.templates.render import render


def checks_of(body: str, subject: str = "x", document_type: DocumentType = DocumentType.SALES_ORDER) -> list[Check]:
    return list(render(document_type, TemplateSource(subject, body, ""), {}).checks)


def uri(image: Image.Image, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


LOGO = uri(Image.new("RGB", (20, 10)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>a {nunero} b</p>", "<p>a {numero} b</p>"),
        ("<p>uno</p><p>a { serie } <b>b</b></p>", "<p>uno</p><p>a {serie} <strong>b</strong></p>"),
        ("<p>{{serie}}</p>", "<p>{serie}</p>"),
        ("<p>[serie]</p>", "<p>{serie}</p>"),
        ("<p>{numero</p>", "<p>{numero}</p>"),
        ("<p>a {vencimiento} b</p>", "<p>a  b</p>"),
        ("<p>{do<em>cu</em>mento}</p>", "<p>{documento}</p>"),
        ('<p><a href="www.x.es/{numero}">l</a></p>', '<p><a href="https://www.x.es/{numero}">l</a></p>'),
        ('<p><a href="a@x.es">l</a></p>', '<p><a href="mailto:a@x.es">l</a></p>'),
        ('<p><a href="#x">l</a></p>', "<p>l</p>"),
        ('<p><a href="javascript:x">l</a></p>', "<p>l</p>"),
        ('<p><a href="x:{numero}">m</a>n</p>', "<p>mn</p>"),
        ('<p>k <a href="{serie}:alert(1)">l</a> <a href="https://x.es/{numero}">m</a></p>', '<p>k l <a href="https://x.es/{numero}">m</a></p>'),
        ("<p>a {nu</p><p>mero} b</p>", "<p>a {numero}</p><p> b</p>"),
        ("<ul><li>{numero</li><li>}</li></ul>", "<ul><li>{numero}</li></ul>"),
        ("<ul><li>a {nu<br>mero} b</li></ul>", "<ul><li>a {numero}<br> b</li></ul>"),
        ('<p><a href="https://x.es/{nunero}">l</a></p>', '<p><a href="https://x.es/{numero}">l</a></p>'),
        ('<p>a<img src="https://x.es/a.png"></p>', "<p>a</p>"),
        ('<p>a <img src="https://x.es/a.png" alt="b"></p>', "<p>a b</p>"),
        ('<p>a <img src="cid:x" alt="b"></p>', "<p>a b</p>"),
        (f'<p><img src="{LOGO}"></p>', f'<p><img src="{LOGO}" alt="Logotipo de {{empresa}}"></p>'),
    ],
)  # fmt: skip
def test_a_fix_puts_right_what_its_check_says(body: str, expected: str) -> None:
    """And nothing else; the check is gone."""
    (check,) = checks_of(body)

    assert is_fixable(check)
    assert fix_html(body, check) == expected
    assert check.code not in {each.code for each in checks_of(expected)}


def test_a_photo_is_reduced_in_the_template_itself() -> None:
    """The stored text becomes as light as the mail."""
    body = f'<p><img src="{uri(Image.frombytes("RGB", (1600, 800), os.urandom(1600 * 800 * 3)), "JPEG")}" alt="a"></p>'
    (check,) = checks_of(body)
    fixed = fix_html(body, check)

    assert len(fixed) < len(body)
    assert 'width="600" height="300"' in fixed
    assert checks_of(fixed) == []


def test_a_subject_is_fixed_at_its_place() -> None:
    """Only the one that the check is about."""
    checks = [check for check in checks_of("<p>x</p>", "{nunero} {nunero}") if check.field is Field.SUBJECT]

    assert fix_subject("{nunero} {nunero}", checks[1]) == "{nunero} {numero}"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("", "<p>{serie}</p>"),
        ("<p>a</p>", "<p>a {serie}</p>"),
        ("<p>a</p><p><br></p>", "<p>a {serie}</p><p><br></p>"),
        ("<ul><li>a</li></ul>", "<ul><li>a {serie}</li></ul>"),
    ],
)
def test_a_variable_is_appended_to_the_last_text(html: str, expected: str) -> None:
    """As the page says."""
    assert append_variable(html, "serie") == expected


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<p>a {nunero} b</p>", ("a ", "{nunero}", " b")),
        ("<p>uno</p><p>{nu<b>ne</b>ro}</p><p>tres</p>", ("", "{nunero}", "")),
        (f"<p>{'x' * 40} {{serie</p>", (f"…{'x' * 23} ", "{serie", "")),
        ('<p>ver <a href="javascript:x">esta web</a></p>', ("ver ", "esta", " web")),
    ],
)
def test_the_place_of_a_mistake_is_shown_in_its_line(body: str, shown: tuple[str, str, str]) -> None:
    """What stands there between what stands around it, not the number of a character."""
    (check,) = [check for check in checks_of(body) if check.blocks]

    assert place_of(parse_html(body).text, check) == shown


def test_what_has_no_place_shows_none() -> None:
    """A check about the whole field, and a picture alone."""
    checks = [*checks_of("<p>x</p>", subject=""), *checks_of(f'<p><img src="{LOGO}"></p>')]

    assert {check.code.value for check in checks} == {"empty_subject", "missing_alt"}
    assert [place_of("", check) for check in checks] == [None, None]
