"""Parts of «Valores por defecto para envío»: what is said under a field, and the ways to look at a message."""

from __future__ import annotations

import base64
import io
import os
import re
from dataclasses import dataclass
from html import unescape

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from cgcore.mail.message import InlineImage, build_message
from cgcore.templates.checks import SEVERITY, Code, Severity
from cgcore.templates.fixes import default_alt
from pages.ui.preview import View
from pages.ui.templates.portable import contrast


def uri(image: Image.Image, form: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


LOGO = uri(Image.new("RGB", (20, 10)))
PHOTO = uri(Image.frombytes("RGB", (1600, 800), os.urandom(1600 * 800 * 3)), "JPEG")
BOMB = uri(Image.new("1", (20000, 20000)))
DEFAULT_ALT = default_alt()
ALT = f"Poner «{DEFAULT_ALT}»"


@dataclass(frozen=True, slots=True)
class Said:
    """What stands under a field: the code, a part of the sentence, the place, a button and the paragraph it makes.

    The place is a piece of the line, with bars around what is marked in it.
    """

    code: Code
    paragraph: str
    words: str
    place: str = ""
    click: str = ""
    after: str | None = None
    subject: str = "Asunto"


C = Code
REMOTE, SVG = "https://x.es/a.png", "data:image/svg+xml;base64,PA=="
LINK = '<a href="https://x.es">b</a>'
SAID = [
    Said(C.UNKNOWN_VARIABLE, "a {nunero}", "¿Quisiste decir {numero}?", "a |{nunero}|", "Poner {numero}", "a {numero}"),
    Said(C.UNKNOWN_VARIABLE, "{xyzzy}", "{xyzzy} no existe", "|{xyzzy}|"),
    Said(C.WRONG_BRACES, "a { serie } b", "«{ serie }»", "a |{ serie }| b", "Poner {serie}", "a {serie} b"),
    Said(C.WRONG_BRACES, "a {{serie}} b", "«{{serie}}»", "a |{{serie}}| b", "Poner {serie}", "a {serie} b"),
    Said(C.WRONG_BRACES, "a %serie% b", "«%serie%»", "a |%serie%| b", "Poner {serie}", "a {serie} b"),
    Said(C.WRONG_BRACES, "a [serie] b", "«[serie]»", "a |[serie]| b", "Poner {serie}", "a {serie} b"),
    Said(C.WRONG_BRACES, "a {serie b", "«{serie»", "a |{serie| b", "Poner {serie}", "a {serie} b"),
    Said(C.WRONG_BRACES, "{se</p><p>rie}", "partida entre dos párrafos", "|{se\nrie}|", "Poner {serie}", "{serie}"),
    Said(C.SPLIT_VARIABLE, "{nu<em>mero}</em>", "Se reúne al guardar", "|{numero}|", "Corregir", "{numero}"),
    Said(C.VARIABLE_NOT_FOR_TYPE, "a {vencimiento}", "este tipo", "a |{vencimiento}|", "Quitar", "a "),
    Said(C.LINK_WITHOUT_SCHEME, 'a <a href="x.es">b</a>', "«x.es»", "a |b|", "Corregir", f"a {LINK}"),
    Said(C.UNSAFE_LINK, 'a <a href="javascript:x">b</a>', "no es seguro", "a |b|", "Quitar", "a b"),
    Said(C.REMOTE_IMAGE, f'a <img src="{REMOTE}" alt="b">', "otra web", "a ", "Quitar", "a b"),
    Said(C.UNREADABLE_IMAGE, f'a <img src="{SVG}" alt="b">', "PNG, JPEG o GIF", "a ", "Quitar", "a b"),
    Said(C.IMAGE_TOO_LARGE, f'a <img src="{PHOTO}" alt="b">', "Se reduce al enviar", "a ", "Corregir"),
    Said(C.IMAGE_TOO_LARGE, f'a <img src="{BOMB}" alt="b">', "demasiados píxeles", "a ", "Quitar", "a b"),
    Said(C.MISSING_ALT, f'<img src="{LOGO}">', "no tiene texto", "", ALT, f'<img src="{LOGO}" alt="{DEFAULT_ALT}">'),
    Said(C.TABLE_AS_TEXT, "x</p><table><tr><td>a</td><td>b</td></tr></table><p>y", "cada fila en una línea"),
    Said(C.NEAR_CLIPPING, "a" * 85_000, "A partir de 102 KB"),
    Said(C.TOO_BIG, "a" * 110_000, "Acorta el texto"),
    Said(C.EMPTY_SUBJECT, "x", "El asunto está vacío", subject=" "),
    Said(C.EMPTY_BODY, "<br>", "El cuerpo del mail está vacío"),
]


def draw_fields(subject_text: str, body_html: str) -> None:
    import streamlit as st

    from cgcore.documents import DocumentType
    from cgcore.templates.checks import Field
    from cgcore.templates.compile import TemplateSource
    from cgcore.templates.render import render
    from pages.ui.templates.drafts import FieldDraft
    from pages.ui.templates.type_tab import draw_checks

    made = (FieldDraft("s", is_html=False, stored=subject_text), FieldDraft("b", is_html=True, stored=body_html))
    subject, body = st.session_state.setdefault("fields", made)
    checks = render(DocumentType.SALES_ORDER, TemplateSource(subject.value, body.value, ""), {}).checks
    draw_checks(checks, subject, Field.SUBJECT)
    draw_checks(checks, body, Field.BODY)


def plain(markdown: str) -> str:
    """What the reader sees of a text that was escaped."""
    return re.sub(r"\\(?=\W)|\u2060", "", markdown)


@pytest.mark.parametrize("said", SAID, ids=lambda said: f"{said.code}: {said.words}")
def test_each_mistake_stands_under_its_field_with_its_place_and_its_cure(said: Said) -> None:
    """The sentence, an error in red and a warning in orange, the place, and the click that puts it right."""
    app = AppTest.from_function(draw_fields, args=(said.subject, f"<p>{said.paragraph}</p>")).run()
    (line,) = [plain(entry.value) for entry in app.markdown]
    buttons = [button.label for button in app.button]
    is_error = SEVERITY[said.code] is Severity.ERROR or "demasiados" in said.words

    assert line.startswith(":red[:material/error:" if is_error else ":orange[:material/warning:")
    assert said.words in line
    color = "red" if is_error else "orange"
    marked = re.sub(r"(?s)\|(.+)\|", rf":{color}-background[\1]", said.place)
    assert line.partition("\n")[2] == (f":small[{marked}]" if said.place else "")
    assert buttons == ([said.click] if said.click else [])
    if said.click:
        app.button[0].click().run()
        assert not app.exception
        assert not app.markdown
        assert said.after is None or app.session_state["fields"][1].value == f"<p>{said.after}</p>"


def test_a_mistake_in_the_subject_stands_under_the_subject() -> None:
    """Its click changes the subject alone."""
    app = AppTest.from_function(draw_fields, args=("Va {nunero}", "<p>{nunero}</p>")).run()
    app.button[0].click().run()

    assert [field.value for field in app.session_state["fields"]] == ["Va {numero}", "<p>{nunero}</p>"]


def test_many_mistakes_are_counted_and_not_all_drawn() -> None:
    """Six, and how many follow."""
    app = AppTest.from_function(draw_fields, args=("x", "<p>" + "{nunero} " * 7 + "</p>")).run()

    assert len(app.markdown) == 6
    assert [caption.value for caption in app.caption] == ["Avisos que siguen a estos: 1."]


def test_every_code_is_shown_somewhere() -> None:
    """Empty values are said with the sample document, the others under their field."""
    assert {said.code for said in SAID} == set(Code) - {Code.EMPTY_VALUE}


SUBJECT = "Adjunto Factura F 21043 de *Electricidad* Tosma, S.L."
RAW = build_message(
    sender="ana@tosma.example",
    sender_name="[Ana](https://malo.example)",
    recipients=["eva@ejemplo.example"],
    subject=SUBJECT,
    text=f"Hola:\n\nLe adjuntamos la *factura* F 21043, con fecha {'24/11/2026' * 9}.\n\n-- \nAna\n",
    html='<html><head></head><body><p>Señor<img src="cid:logo@x" alt="Logotipo"></p><script>x()</script></body></html>',
    images=[InlineImage("logo@x", "image/png", base64.b64decode(LOGO.partition(",")[2]))],
).as_bytes()


def draw_view(raw: bytes, view: str) -> None:
    from pages.ui.preview import View, draw_inbox_row, draw_message_view, parse_message

    message = parse_message(raw)
    draw_inbox_row(message)
    draw_message_view(message, raw, View(view))


def look(view: View, raw: bytes = RAW) -> AppTest:
    app = AppTest.from_function(draw_view, args=(raw, view.value)).run()
    assert not app.exception
    return app


def framed(app: AppTest) -> tuple[str, str]:
    """The element of the frame that shows the message, and the document in it."""
    (frame,) = app.get("iframe")
    element = re.search(r"<iframe ([^>]*)>", frame.proto.srcdoc)
    assert element
    inner = re.search(r'srcdoc="([^"]*)"', element.group(1))
    assert inner
    return element.group(1).replace(inner.group(), ""), unescape(inner.group(1))


@pytest.mark.parametrize("view", [View.DESKTOP, View.PHONE, View.NO_IMAGES, View.DARK])
def test_a_message_is_shown_as_each_program_shows_it(view: View) -> None:
    """Wide, as narrow as a phone, without its images but with their texts, dark; never with a right to run anything."""
    app = look(view)
    attributes, document = framed(app)
    widths = [block.proto.width_config.pixel_width for block in app.get("flex_container")]

    assert 'sandbox=""' in attributes
    assert "default-src 'none'" in document
    assert "<script" not in document
    assert "Señor" in document
    assert 'alt="Logotipo"' in document
    assert "cid:" not in document
    assert (f'src="{LOGO}"' in document) is (view is not View.NO_IMAGES)
    assert ("filter:invert(1)" in document) is (view is View.DARK)
    assert (390 in widths) is (view is View.PHONE)


def test_the_text_and_the_source_are_those_of_the_message() -> None:
    """Letter by letter, as text and not as Markdown."""
    text, source = look(View.TEXT), look(View.SOURCE)

    assert text.code[0].value.startswith("Hola:\n\nLe adjuntamos la *factura* F 21043")
    assert text.code[0].value.endswith("\n\n-- \nAna")
    assert source.code[0].value == RAW.decode("ascii").replace("\r\n", "\n").strip()
    assert not [*text.get("iframe"), *source.get("iframe")]


def test_the_inbox_row_is_cut_as_a_phone_cuts_it() -> None:
    """Sender, forty letters of the subject, the first words without the signature; nothing of them is Markdown."""
    app = look(View.TEXT)
    sender, subject = (entry.value for entry in app.markdown)
    words = plain(app.caption[0].value)

    assert plain(sender) == "**[Ana](https://malo.example)** · ana@tosma.example"
    assert "[Ana](" not in sender
    assert plain(subject) == SUBJECT[:39] + "…"
    assert "*Electricidad*" not in subject
    assert words.startswith("Hola: Le adjuntamos la *factura* F 21043")
    assert len(words) <= 90
    assert words.endswith("…")


def test_an_inbox_row_says_what_is_missing() -> None:
    """No subject and no words, only a signature."""
    raw = build_message(sender="a@x.es", recipients=["b@x.es"], subject="", text="\n-- \nAna\n").as_bytes()
    app = look(View.TEXT, raw)

    assert [entry.value for entry in app.markdown][1:] == ["*Sin asunto*"]
    assert app.caption[0].value == "Sin texto"


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        ("", "<p>Hola</p>", ("(predeterminado o vacío)", "Hola")),
        ("Va {numero}", "Va {serie}", ("Va {numero}", "Va {serie}")),
        (f"<p>{'a' * 300} fin</p>", f"<p>{'a' * 300} final</p>", (f"…{'a' * 26} fin", f"…{'a' * 26} final")),
        ("<p>Hola</p>", f"<p>Hola{'o' * 300}</p>", ("Hola", f"Hola{'o' * 196}…")),
        ("<p>Hola</p>", "<p><strong>Hola</strong></p>", ("<p>Hola</p>", "<p><strong>Hola</strong></p>")),
    ],
)
def test_what_an_import_would_change_is_in_sight(before: str, after: str, seen: tuple[str, str]) -> None:
    """Also at the end of a long text, and where only the format is another."""
    assert tuple(map(plain, contrast(before, after))) == seen
