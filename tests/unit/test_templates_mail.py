"""Links, images, mail HTML, text part, sizes, and what must never get through."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from PIL import Image
from sqlmodel import select

from cgcore.documents import DocumentType, types_with_template
from cgcore.storage.tables import MailTemplateRow, SignatureRow
from cgcore.templates.canonical import canonical_html
from cgcore.templates.checks import SEVERITY
from cgcore.templates.compile import Rendered, TemplateSource, compile_template
from cgcore.templates.fixes import fix_html
from cgcore.templates.render import render
from cgcore.workbench import Workbench
from tests.servers.house import add_user
from tests.servers.vectors import XSS

INVOICE = DocumentType.SALES_INVOICE


def render_body(body: str, signature: str = "", **values: str) -> Rendered:
    return render(INVOICE, TemplateSource("Asunto", body, signature), values)


def codes(rendered: Rendered) -> list[str]:
    return [check.code.value for check in rendered.checks]


def data_uri(image: Image.Image, form: str = "PNG", **options) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture(width: int = 120, height: int = 40, colour: str = "red", mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), colour)


# --- links


@pytest.mark.parametrize(
    ("href", "value", "expected", "said"),
    [
        ("https://x.es/{numero}", "a&b /ñ", "https://x.es/a%26b%20%2F%C3%B1", []),
        ("https://x.es/?n=%7Bnumero%7D", "7", "https://x.es/?n=7", []),
        ("https://x.es/?n=%7bn%75mero%7d", "7", "https://x.es/?n=7", []),
        # A target with JSON of its own is not touched: only the name of a variable is one.
        (
            "https://x.test/?f=%7B%22a%22%3A%22x%26y%22%7D&amp;n=1",
            "7",
            "https://x.test/?f=%7B%22a%22%3A%22x%26y%22%7D&amp;n=1",
            [],
        ),
        ("https://x.test/%7Bcosa%7D?a=%7B%7D&amp;b=%7B", "7", "https://x.test/%7Bcosa%7D?a=%7B%7D&amp;b=%7B", []),
        ("https://x.test/%7B%22n%22%3A%7Bnumero%7D%7D", "7", "https://x.test/%7B%22n%22%3A7%7D", []),
        ("www.x.es/{numero}", "7", "https://www.x.es/7", ["link_without_scheme"]),
        ("https://faß.de/", "", "https://xn--fa-hia.de/", []),
        ("x.es", "", "https://x.es", ["link_without_scheme"]),
        ("//x.es/a", "", "https://x.es/a", ["link_without_scheme"]),
        ("ana@x.es", "", "mailto:ana@x.es", ["link_without_scheme"]),
        ("mailto:ana@x.es?subject={numero}", "a b", "mailto:ana@x.es?subject=a%20b", []),
        ("tel:+34950000000", "", "tel:+34950000000", []),
        ("{numero}", "https://x.es/a?b=c", "https://x.es/a?b=c", []),
        ("https://x.es/?a=1&amp;b=2", "", "https://x.es/?a=1&amp;b=2", []),
        ("https://peña.es/año", "", "https://xn--pea-8ma.es/a%C3%B1o", []),
        ("peña.es", "", "https://xn--pea-8ma.es", ["link_without_scheme"]),
        ("ana@peña.es", "", "mailto:ana@xn--pea-8ma.es", ["link_without_scheme"]),
        ("https://{numero}.es/", "malo.com/ñ", "https://malo.com%2F%C3%B1.es/", []),
    ],
)
def test_links_keep_repair_and_encode(href: str, value: str, expected: str, said: list[str]) -> None:
    """Values are percent-encoded; a missing scheme is added and said."""
    rendered = render_body(f'<p><a href="{href}">ver</a></p>', numero=value or "1")

    assert f'<a href="{expected}"' in rendered.html
    assert codes(rendered) == said


@pytest.mark.parametrize(
    ("href", "values"),
    [
        ("javascript:alert(1)", {}),
        ("JaVaScRiPt:alert(1)", {}),
        ("java&#10;script:alert(1)", {}),
        ("&#1;javascript:alert(1)", {}),
        ("java{serie}script:alert(1)", {"serie": ""}),
        ("{serie}", {"serie": "javascript:alert(1)"}),
        ("{serie}", {"serie": " java\tscript:alert(1)"}),
        ("{serie}:alert(1)", {"serie": "javascript"}),
        ("{serie}{numero}", {"serie": "javas", "numero": "cript:alert(1)"}),
        ("data:text/html,<script>alert(1)</script>", {}),
        ("vbscript:x", {}),
        ("file:///etc/passwd", {}),
        ("cid:x", {}),
        ("javascript%3Aalert(1)", {}),
        ("//javascript:alert(1)", {}),
        ("\u200bjavascript:alert(1)", {}),
        ("{serie}", {"serie": "\ufeffjavascript:alert(1)"}),
        ("{serie}", {"serie": "java&#115;cript:alert(1)"}),
        ("{serie}", {"serie": "\uff4aavascript:alert(1)"}),
    ],
)
def test_an_unsafe_link_is_dropped_and_said_also_after_substitution(href: str, values: dict[str, str]) -> None:
    """The text stays, the link goes, and sending is blocked."""
    rendered = render_body(f"<p><a href='{href}'>ver</a></p>", **values)

    assert "<a " not in rendered.html
    assert "ver" in rendered.text
    assert "script:" not in rendered.text
    assert "unsafe_link" in codes(rendered)
    assert rendered.errors


def test_an_unknown_variable_in_a_link_or_alt_is_said() -> None:
    """The same grammar everywhere."""
    body = f'<p><a href="https://x.es/{{nunero}}">l</a><img src="{data_uri(picture())}" alt="{{seire}}"></p>'
    rendered = render_body(body)

    assert [(c.code.value, c.suggestion) for c in rendered.errors] == [
        ("unknown_variable", "numero"),
        ("unknown_variable", "serie"),
    ]


@pytest.mark.parametrize(
    ("href", "written"),
    [
        ("https://x.es/%serie%", "%serie%"),
        ("https://x.es/[serie]", "[serie]"),
        ("https://x.es/?a=%C3%B1&n=%Serie%", "%Serie%"),
    ],
)
def test_a_variable_with_the_wrong_marks_in_a_link_is_said_and_put_right(href: str, written: str) -> None:
    """One click away from the right braces."""
    body = f'<p><a href="{href}">ver</a></p>'
    (check,) = render_body(body).checks

    assert (check.code.value, check.suggestion) == ("wrong_braces", "serie")
    assert written in check.message
    assert check.blocks
    assert unquote(href).replace(written, "{serie}").replace("&", "&amp;") in unquote(fix_html(body, check))


@pytest.mark.parametrize(
    "href", ["https://x.es/?f[serie]=1", "https://x.es/?f[a][serie]=1", "https://x.es/[serio]%20a%"]
)
def test_ordinary_brackets_and_percent_signs_in_a_link_are_left_alone(href: str) -> None:
    """They belong to the address."""
    assert not render_body(f'<p><a href="{href}">ver</a></p>').checks


def test_an_empty_item_is_one_line_of_the_text() -> None:
    """The break that the editor writes into it is not a line of its own."""
    rendered = render_body("<ol><li>uno</li><li><br></li><li>tres<br>y pico</li></ol>")

    assert rendered.text.startswith("1. uno\n2.\n3. tres\n   y pico\n")


def test_words_anchors_are_no_links() -> None:
    """A named anchor, as Word writes it, is no dropped link."""
    rendered = render_body('<p><a name="_Toc1">Título</a></p>')

    assert codes(rendered) == []


# --- images


def test_an_image_becomes_one_part_however_often_it_is_shown() -> None:
    """Same bytes in body and signature: one part, every cid resolves, nothing embedded is left."""
    src = data_uri(picture())
    other = data_uri(picture(colour="blue"))
    rendered = render_body(
        f'<p><img src="{src}" alt="a"><img src="{src}" alt="b" width="60"></p><p><img src="{other}" alt="c"></p>',
        f'<p><img src="{src}" alt="d"></p>',
    )

    assert [image.type for image in rendered.images] == ["image/png", "image/png"]
    assert set(re.findall(r'src="cid:([^"]+)"', rendered.html)) == {image.cid for image in rendered.images}
    assert "data:" not in rendered.html
    assert codes(rendered) == []
    assert 'width="120" height="40"' in rendered.html
    assert 'width="60" height="20"' in rendered.html


@pytest.mark.parametrize("form", ["WEBP", "BMP"])
def test_formats_that_mail_clients_do_not_know_are_converted(form: str) -> None:
    """PNG, JPEG and GIF only."""
    rendered = render_body(f'<p><img src="{data_uri(picture(), form)}" alt="a"></p>')

    assert rendered.images[0].type in ("image/png", "image/jpeg")
    assert Image.open(io.BytesIO(rendered.images[0].data)).size == (120, 40)


def test_a_moving_gif_stays_one() -> None:
    """Its bytes are not touched."""
    frames = [picture(colour=colour) for colour in ("red", "blue")]
    src = data_uri(frames[0], "GIF", save_all=True, append_images=frames[1:])
    (image,) = render_body(f'<p><img src="{src}" alt="a"></p>').images

    assert image.type == "image/gif"
    assert image.data == base64.b64decode(src.partition(",")[2])


def test_a_photo_is_reduced_to_twice_its_shown_size_and_said() -> None:
    """A large photo is a warning, not an error."""
    photo = Image.frombytes("RGB", (2400, 1200), os.urandom(2400 * 1200 * 3))
    rendered = render_body(f'<p><img src="{data_uri(photo, "JPEG")}" alt="a"></p>')

    assert codes(rendered) == ["image_too_large"]
    assert not rendered.errors
    assert (rendered.images[0].width, rendered.images[0].height) == (600, 300)
    assert Image.open(io.BytesIO(rendered.images[0].data)).size == (1200, 600)


def test_a_turned_photo_is_turned_and_loses_its_place() -> None:
    """EXIF orientation is applied; nothing of EXIF is sent."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rendered = render_body(f'<p><img src="{data_uri(picture(), "JPEG", exif=exif)}" alt="a"></p>')

    assert (rendered.images[0].width, rendered.images[0].height) == (40, 120)
    assert not Image.open(io.BytesIO(rendered.images[0].data)).getexif()


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
def test_other_images_are_turned_as_well(form: str) -> None:
    """The editor shows them turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rendered = render_body(f'<p><img src="{data_uri(picture(), form, exif=exif)}" alt="a"></p>')

    assert (rendered.images[0].width, rendered.images[0].height) == (40, 120)
    assert Image.open(io.BytesIO(rendered.images[0].data)).size == (40, 120)


def test_odd_metadata_is_no_reason_to_lose_a_photo() -> None:
    """An orientation that does not exist turns nothing."""
    exif = Image.Exif()
    exif[0x0112] = 99
    rendered = render_body(f'<p><img src="{data_uri(picture(), "JPEG", exif=exif)}" alt="a"></p>')

    assert codes(rendered) == []
    assert (rendered.images[0].width, rendered.images[0].height) == (120, 40)


def test_sixteen_bits_a_pixel_keep_their_shades() -> None:
    """A reduced scan is not white."""
    rendered = render_body(f'<p><img src="{data_uri(Image.new("I;16", (1300, 10), 0x8000))}" alt="a"></p>')

    assert Image.open(io.BytesIO(rendered.images[0].data)).convert("L").getpixel((5, 2)) == 128


def test_pictures_in_a_row_stay_in_their_line() -> None:
    """Three linked icons are a line, with or without blanks between them; one alone is a block of its own."""
    icon = f'<a href="https://x.es"><img src="{data_uri(picture())}" alt="a"></a>'
    row, spaced, alone = (render_body(f"<p>{body}</p>").html for body in (icon * 3, f"{icon} {icon} {icon}", icon))

    assert row.count("display: inline-block") == spaced.count("display: inline-block") == 3
    assert "display: block" not in row + spaced
    assert "display: block" in alone


def test_a_long_word_may_break_anywhere_and_the_table_keeps_its_width() -> None:
    """Body, list and signature alike: the style that breaks words is inherited from the cell."""
    html = render_body(f"<p>{'x' * 300}</p><ul><li>{'y' * 300}</li></ul>").html
    cells = re.findall(r'<td style="[^"]*font-family[^"]*"', html)

    assert cells
    assert all("overflow-wrap: anywhere" in cell and "word-break: break-word" in cell for cell in cells)
    assert "table-layout:fixed" in html.replace(" ", "")


def test_an_image_inside_code_stands_below_it() -> None:
    """Code is text alone; no image is lost, and no part is sent that nothing shows."""
    rendered = render_body(f'<pre>a<a href="x.es">b</a><img src="{data_uri(picture())}" alt="l">c</pre>')

    assert rendered.text == "ab\n[l]\nc\n"
    assert re.findall('src="cid:([^"]*)"', rendered.html) == [image.cid for image in rendered.images]
    assert codes(rendered) == []


@pytest.mark.parametrize(
    ("src", "code"),
    [
        ("https://x.es/a.png", "remote_image"),
        ("//x.es/a.png", "remote_image"),
        ("//:0", "unreadable_image"),
        ("cid:logo", "unreadable_image"),
        ("logo.png", "unreadable_image"),
        ("javascript:alert(1)", "unreadable_image"),
        ("data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=", "unreadable_image"),
        ("data:image/png;base64,AAAA", "unreadable_image"),
        ("data:image/png;base64,!!!", "unreadable_image"),
        ("data:image/heic;base64,AAAAGGZ0eXBoZWlj", "unreadable_image"),
        ("data:text/html;base64,PGI+", "unreadable_image"),
        ("", "unreadable_image"),
    ],
)
def test_what_is_no_image_is_left_out_with_its_reason(src: str, code: str) -> None:
    """Nothing is ever fetched, and nothing unreadable is sent."""
    rendered = render_body(f'<p>x<img src="{src}" alt="a"></p>')

    assert codes(rendered) == [code]
    assert "<img" not in rendered.html
    assert rendered.images == ()


def test_a_truncated_image_is_unreadable_and_a_bomb_too_large() -> None:
    """Pixels are counted before they are read."""
    truncated = data_uri(Image.frombytes("RGB", (300, 300), os.urandom(270000)))[:40000]
    bomb = data_uri(Image.new("1", (20000, 20000)))

    assert codes(render_body(f'<p>x<img src="{truncated}" alt="a"></p>')) == ["unreadable_image"]
    rendered = render_body(f'<p>x<img src="{bomb}" alt="a"></p>')
    assert [(c.code.value, c.severity.value) for c in rendered.checks] == [("image_too_large", "error")]


@pytest.mark.parametrize("options", [{"size": (9000, 9000), "progressive": True}, {"size": (1000, 65000)}])
def test_a_jpeg_that_only_decodes_whole_counts_whole(options: dict) -> None:
    """A progressive one and a very tall one take a gigabyte, though they are small files."""
    bomb = data_uri(Image.new("L", options.pop("size")), "JPEG", **options)
    rendered = render_body(f'<p>x<img src="{bomb}" alt="a"></p>')

    assert [(c.code.value, c.severity.value) for c in rendered.checks] == [("image_too_large", "error")]


def test_an_image_without_alternative_text_is_said_and_with_one_is_in_the_text() -> None:
    """Readable without images."""
    rendered = render_body(f'<p><img src="{data_uri(picture())}"></p>')
    named = render_body(
        f'<p><img src="{data_uri(picture())}" alt="Logo de {{empresa}} &quot;x&quot;"></p>', empresa="A&B"
    )

    assert codes(rendered) == ["missing_alt"]
    assert named.text.strip() == '[Logo de A&B "x"]'
    assert 'alt="Logo de A&amp;B &quot;x&quot;"' in named.html


# --- mail HTML


@pytest.mark.parametrize(
    ("html", "style"),
    [
        ('<p class="ql-align-center">x</p>', "text-align: center"),
        ('<p class="ql-align-right">x</p>', "text-align: right"),
        ('<p class="ql-align-justify">x</p>', "text-align: justify"),
        ('<p class="ql-indent-3">x</p>', "margin-left: 9em"),
        ('<p class="ql-direction-rtl">x</p>', "direction: rtl"),
        ('<p><span class="ql-size-small">x</span></p>', "font-size: 12px"),
        ('<p><span class="ql-size-large">x</span></p>', "font-size: 24px"),
        ('<p><span class="ql-size-huge">x</span></p>', "font-size: 40px"),
        ('<p><strong class="ql-font-serif">x</strong></p>', "Georgia"),
        ('<p><span class="ql-font-monospace">x</span></p>', "Monaco"),
        ('<p><span class="ql-color-red">x</span></p>', "color: #e60000"),
        ('<p><span class="ql-bg-blue">x</span></p>', "background-color: #0066cc"),
        ('<p><span style="color: rgb(0 128 0);">x</span></p>', "color: #008000"),
        ("<h1>x</h1>", "font-size: 2em"),
        ("<h2>x</h2>", "font-size: 1.5em"),
        ("<h3>x</h3>", "font-size: 1.17em"),
        ("<blockquote>x</blockquote>", "border-left: 4px solid #cccccc"),
        ('<pre class="ql-syntax">a  b\nc\n</pre>', "background-color: #f1f3f5"),
        ('<p><a href="https://x.es">x</a></p>', "text-decoration: underline"),
    ],
)
def test_each_class_of_the_editor_becomes_inline_style(html: str, style: str) -> None:
    """Class in, inline style out, no class left."""
    rendered = render_body(html)

    assert style in rendered.html
    assert "class=" not in rendered.html
    assert "<style" not in rendered.html


def test_flat_items_become_real_nested_lists_and_numbering_goes_on() -> None:
    """What the editor writes as siblings is one list in HTML and in text."""
    body = (
        '<ol><li>uno</li></ol><ul><li class="ql-indent-1">a</li><li class="ql-indent-2">b</li></ul>'
        '<ol><li>dos</li><li class="ql-indent-1">c</li></ol>'
    )
    rendered = render_body(body)
    structure = re.sub(r" style=\"[^\"]*\"", "", rendered.html)

    assert "<ol><li>uno<ul><li>a<ul><li>b</li></ul></li></ul></li><li>dos<ol><li>c</li></ol></li></ol>" in structure
    assert rendered.text.splitlines() == ["1. uno", "  - a", "    - b", "2. dos", "  1. c"]


def test_spaces_code_and_empty_lines_survive_every_client() -> None:
    """Runs of blanks and code lines do not rely on white-space rules."""
    rendered = render_body('<p>a  b</p><p><br></p><pre class="ql-syntax">x  &lt;y\n z\n</pre>')

    assert "a&nbsp; b" in rendered.html
    assert ">&nbsp;</p>" in rendered.html
    assert "x&nbsp;&nbsp;&lt;y<br>&nbsp;z</p>" in rendered.html
    assert rendered.text == "a b\n\nx  <y\n z\n"


def test_the_signature_stands_once_after_its_mark() -> None:
    """Also when it is only an image; and without one there is no mark."""
    src = data_uri(picture())

    assert render_body("<p>a</p>", "<p>yo</p>").text == "a\n\n-- \nyo\n"
    assert render_body("<p>a</p>", f'<p><img src="{src}" alt="logo"></p>').text == "a\n\n-- \n[logo]\n"
    assert render_body("<p>a</p>", "<p><br></p>").text == "a\n"
    assert render_body("<p>a</p>", "").html.count("<tr>") == 2


def test_no_line_but_the_mark_looks_like_the_mark() -> None:
    """Mail programs cut at it; a body or a value may hold it too."""
    rendered = render_body(
        "<p>-- </p><p>{referencia}</p><p>a {serie}</p>", "<p>--&nbsp;</p>", referencia="-- ", serie=""
    )

    assert rendered.text.split("\n").count("-- ") == 1
    assert rendered.text == "--\n--\na\n\n-- \n--\n"


def test_a_links_target_is_in_the_text_unless_the_text_says_it() -> None:
    """Text (url), once."""
    body = '<p><a href="https://x.es/a">ver</a>, <a href="https://x.es">https://x.es</a>, <a href="mailto:a@x.es">a@x.es</a></p>'

    assert render_body(body).text == "ver (https://x.es/a), https://x.es, a@x.es\n"


@pytest.mark.parametrize("shown", ["https://peña.es/año", "peña.es/Año/", "ana@peña.es"])
def test_a_target_of_spanish_letters_is_not_repeated_in_ascii(shown: str) -> None:
    """The text already says where it leads."""
    assert render_body(f'<p><a href="{shown.lower()}">{shown}</a></p>').text == f"{shown}\n"


def test_the_page_is_for_mail() -> None:
    """Language, title, one presentation table, no script, title escaped."""
    rendered = render(INVOICE, TemplateSource("A {cliente}", "<p>x</p>", ""), {"cliente": "</title><script>"})

    assert '<html lang="es">' in rendered.html
    assert "<title>A &lt;/title&gt;&lt;script&gt;</title>" in rendered.html
    assert 'role="presentation"' in rendered.html


# --- whole message


def test_each_code_has_the_severity_that_is_promised() -> None:
    """Page, API and command line show these; an error forbids sending."""
    assert {code.value: severity.value for code, severity in SEVERITY.items()} == {
        "unknown_variable": "error",
        "wrong_braces": "error",
        "split_variable": "warning",
        "variable_not_for_type": "error",
        "empty_value": "warning",
        "link_without_scheme": "warning",
        "unsafe_link": "error",
        "remote_image": "warning",
        "unreadable_image": "error",
        "image_too_large": "warning",
        "missing_alt": "warning",
        "near_clipping": "warning",
        "too_big": "error",
        "empty_subject": "error",
        "empty_body": "warning",
        "table_as_text": "warning",
    }


@pytest.mark.parametrize("body", ["", "<p><br></p>", "<p>&nbsp;</p>", "<p>\ufeff</p><p> </p>", "<p>{referencia}</p>"])
def test_an_empty_body_is_a_warning_and_an_empty_subject_an_error(body: str) -> None:
    """Judged on what would be sent."""
    rendered = render(INVOICE, TemplateSource(" {referencia}", body, ""), {"referencia": ""})

    assert "empty_body" in codes(rendered)
    assert [check.code.value for check in rendered.errors] == ["empty_subject"]


@pytest.mark.parametrize(("kilobytes", "expected"), [(70, []), (85, ["near_clipping"]), (110, ["too_big"])])
def test_the_size_is_measured_against_the_clipping_limit(kilobytes: int, expected: list[str]) -> None:
    """Decoded HTML counts, images do not."""
    rendered = render_body(f"<p>{'ñ' * (kilobytes * 512)}</p>")

    assert codes(rendered) == expected
    assert bool(rendered.errors) is (expected == ["too_big"])


def test_a_cached_template_gives_what_an_uncached_one_gives() -> None:
    """One path: compiling is the first half of rendering."""
    source = TemplateSource("{serie}", '<p>{cliente} <a href="{referencia}">x</a> {nunero}</p>', "<p>{usuario}</p>")
    compiled = compile_template(INVOICE, source)

    for values in ({}, {"cliente": "<b>"}, {"referencia": "javascript:x"}, {"serie": ""}, {}):
        assert compiled.fill(values) == render(INVOICE, source, values)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


_SHELL_TAGS = {"html", "head", "meta", "title", "body", "table", "tbody", "tr", "td"}
_TEXT_TAGS = {"p", "br", "strong", "em", "u", "s", "sub", "sup", "span", "a", "ol", "ul", "li", "h1", "h2", "h3", "blockquote", "pre", "img"}  # fmt: skip


@pytest.mark.parametrize("vector", XSS)
@pytest.mark.parametrize("place", ["template", "value"])
def test_nothing_that_runs_gets_through(vector: str, place: str) -> None:
    """As a template, in canonical form, and as a value."""
    source = TemplateSource("x", vector if place == "template" else "<p>{cliente}</p>", vector)
    rendered = render(INVOICE, source, {"cliente": vector})
    stored = canonical_html(vector)

    expect_inert(rendered.html, _SHELL_TAGS | _TEXT_TAGS)
    expect_inert(stored, _TEXT_TAGS)


def expect_inert(html: str, allowed: set[str]) -> None:
    elements = _Elements()
    elements.feed(html)
    assert elements.tags <= allowed
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    assert not [value for _, value in elements.attributes if "script:" in (value or "").lower()]
    assert not [value for name, value in elements.attributes if name == "style" and "url(" in (value or "")]
    assert not [value for name, value in elements.attributes if name == "id"]


def test_nothing_that_runs_comes_in_by_a_file_or_out_of_a_changed_row(workbench: Workbench) -> None:
    """Every vector imported is stored clean; every vector put into the database behind our back is read clean."""
    ana = add_user(workbench, "ana")
    codes_of_types = [entry.code.value for entry in types_with_template()]
    for start in range(0, len(XSS), len(codes_of_types)):
        vectors = dict(zip(codes_of_types, XSS[start:], strict=False))
        parts = {code: {"subject": "x", "body": vector} for code, vector in vectors.items()}
        user = {"name": "x", "templates": parts, "signature": {"html": XSS[start]}}
        file = {"format": "cloud-gestion", "version": 1, "users": [user]}
        workbench.portable.apply(ana, json.dumps(file).encode(), "ana")
        with workbench.database.session() as session:
            rows = session.exec(select(MailTemplateRow)).all()
            imported = [row.body for row in rows] + [row.html for row in session.exec(select(SignatureRow))]
            for row in rows:
                row.body = vectors[row.document_type]
                session.add(row)
            for signature in session.exec(select(SignatureRow)):
                signature.html = XSS[start]
                session.add(signature)
        read = [template.body for template in workbench.templates.get_all(ana).values()]

        assert len(imported) == len(vectors) + 1
        for html in (*imported, *read, workbench.templates.get_signature(ana).html):
            expect_inert(html, _TEXT_TAGS)


def test_a_word_paste_keeps_its_text_and_nothing_else() -> None:
    """Office markup, conditional comments, lists as paragraphs."""
    paste = """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style><!-- p.MsoNormal {margin:0cm;} --></style>
    <!--[if gte mso 9]><xml><o:OfficeDocumentSettings><o:AllowPNG/></o:OfficeDocumentSettings></xml><![endif]--></head>
    <body lang=ES style='tab-interval:35.4pt'><!--StartFragment--><p class=MsoNormal style='mso-margin-top-alt:auto'><b
    style='mso-bidi-font-weight:normal'><span lang=ES style='font-family:"Calibri",sans-serif;color:#C00000'>Factura
    {numero}<o:p></o:p></span></b></p><p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><![if !supportLists]><span
    style='font-family:Symbol'><span style='mso-list:Ignore'>·<span style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;
    </span></span></span><![endif]>Uno</p><!--EndFragment--></body></html>"""
    rendered = render_body(paste, numero="7")

    assert rendered.checks == ()
    assert [line.replace("·", "").strip() for line in rendered.text.splitlines()] == ["Factura 7", "Uno"]
    assert "mso" not in rendered.html.lower()
    assert "color: #c00000" in rendered.html
    assert canonical_html(canonical_html(paste)) == canonical_html(paste)
