"""The company's logo at the end of a body."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from cgcore.company.company import Logo
from cgcore.documents import DocumentType
from cgcore.templates.canonical import canonical_html
from cgcore.templates.compile import TemplateSource
from cgcore.templates.fixes import append_image, default_alt
from cgcore.templates.render import render


def test_an_inserted_logo_is_one_part_of_the_mail_in_its_shown_size() -> None:
    """It stands after the text, has an alternative text with the company's name, and the form is canonical."""
    picture = BytesIO()
    Image.new("RGB", (400, 100), "#0B6BCB").save(picture, "PNG")
    logo = Logo("image/png", 400, 100, picture.getvalue())

    body = append_image("<p>Hola</p>", logo.as_data_uri(), alt=default_alt(), width=200, height=50)
    rendered = render(DocumentType.SALES_INVOICE, TemplateSource("Asunto", body, ""), {"empresa": "Tosma & Hijas"})

    assert canonical_html(body) == body
    assert body.startswith("<p>Hola</p><p><img ")
    assert [(image.width, image.height) for image in rendered.images] == [(200, 50)]
    assert 'alt="Logotipo de Tosma &amp; Hijas"' in rendered.html
    assert not rendered.errors
