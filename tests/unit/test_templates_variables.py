"""The variable engine: grammar, near misses, values, one pass."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.documents import DocumentType, types_with_template
from cgcore.templates.canonical import canonical_html
from cgcore.templates.compile import Rendered, TemplateSource
from cgcore.templates.render import render
from cgcore.templates.stored import default_source
from cgcore.templates.variables import list_samples, list_variables

INVOICE = DocumentType.SALES_INVOICE


def render_body(body: str, document_type: DocumentType = INVOICE, **values: str) -> Rendered:
    return _render_with(body, values, document_type)


def _render_with(body: str, values: dict[str, str], document_type: DocumentType = INVOICE) -> Rendered:
    return render(document_type, TemplateSource("Asunto", body, ""), values)


def text_of(rendered: Rendered) -> str:
    return rendered.text.rstrip("\n")


def found(rendered: Rendered) -> list[tuple[str, int | None, str | None, str | None]]:
    return [(check.code.value, check.position, check.variable, check.suggestion) for check in rendered.checks]


@pytest.mark.parametrize(
    "body",
    [
        "<p>N {numero}.</p>",
        "<p>N {NUMERO}.</p>",
        "<p>N {nu<strong>me</strong>ro}.</p>",
        '<p>N {<em>nu</em><a href="https://x.es">me</a><span style="color: red;">ro}</span>.</p>',
        "<p>N {nu\ufeffme\u200bro}.</p>",
        "<p>N {\u00a0numero&nbsp;}.</p>",
        "<p>N &#123;numero&#125;.</p>",
        "<p>N {nu<strong></strong>mero}.</p>",
    ],
)
def test_a_variable_is_found_however_it_is_split_or_written(body: str) -> None:
    """Formats, case and invisible characters inside the braces do not hide a variable."""
    rendered = render_body(body, numero="7")

    assert "N 7" in rendered.text
    assert "{" not in rendered.html
    assert not rendered.errors


def test_a_variable_split_by_formatting_is_repaired_and_said() -> None:
    """The value takes the format of the opening brace, and the check says where."""
    rendered = render_body("<p>a {do<strong>cume</strong>nto} b</p>")

    assert found(rendered) == [("split_variable", 2, "documento", "documento")]
    assert "<strong>" not in rendered.html


def test_a_variable_inside_one_item_is_found_and_one_across_items_is_an_error() -> None:
    """Blocks are separate texts: what crosses them is no variable, and it is said."""
    inside = render_body("<ul><li>{nu<b>mero}</b></li></ul>", numero="7")
    across = render_body("<ul><li>a {nu</li><li>mero}</li></ul>", numero="7")

    assert text_of(inside) == "- 7"
    assert found(across) == [("wrong_braces", 2, "numero", "numero")]
    assert "7" not in text_of(across)


@pytest.mark.parametrize(
    ("body", "code", "position", "variable", "suggestion"),
    [
        ("a {nunero} b", "unknown_variable", 2, "nunero", "numero"),
        ("{número}", "unknown_variable", 0, "número", "numero"),
        ("{total}", "unknown_variable", 0, "total", "importe"),
        ("{xyzzy}", "unknown_variable", 0, "xyzzy", None),
        ("a { serie } b", "wrong_braces", 2, "serie", "serie"),
        ("{{serie}}", "wrong_braces", 0, "serie", "serie"),
        ("{{ serie }}", "wrong_braces", 0, "serie", "serie"),
        ("%serie%", "wrong_braces", 0, "serie", "serie"),
        ("[serie]", "wrong_braces", 0, "serie", "serie"),
        ("ver {numero", "wrong_braces", 4, "numero", "numero"),
        ("{numero del {serie}", "wrong_braces", 0, "numero", "numero"),
        ("{el documento}", "wrong_braces", 0, "el documento", "el_documento"),
        ("{serie.upper}", "wrong_braces", 0, "serie", "serie"),
        ("serie}", "wrong_braces", 0, "serie", "serie"),
        ("\uff5bserie\uff5d", "wrong_braces", 0, "serie", "serie"),
    ],
)
def test_each_mistake_is_named_with_its_place(
    body: str, code: str, position: int, variable: str, suggestion: str | None
) -> None:
    """A misspelt or wrongly marked variable is an error that names what was probably meant."""
    rendered = render_body(f"<p>{body}</p>")

    assert (code, position, variable, suggestion) in found(rendered)
    assert rendered.errors
    assert (suggestion or variable) in rendered.errors[0].message


@pytest.mark.parametrize("written", ["{serie]", "[serie}", "\uff5bserie}", "{serie\uff5d"])
def test_a_variable_between_different_marks_is_one_mistake_and_named_whole(written: str) -> None:
    """So that the fix leaves no mark of the two behind."""
    (check,) = render_body(f"<p>a {written} b</p>").checks

    assert (check.code.value, check.position, check.suggestion) == ("wrong_braces", 2, "serie")
    assert f"«{written}»" in check.message


@pytest.mark.parametrize(
    ("body", "position"),
    [("<p>a {numer</p><p>o} b</p>", 2), ("<h1>{</h1><p>numero}</p>", 0), ("<p>%serie%{nu<br>mero}</p>", 7)],
)
def test_a_variable_across_blocks_is_said_once(body: str, position: int) -> None:
    """Its halves look like mistakes of their own."""
    about = [check for check in render_body(body).checks if check.variable == "numero"]

    assert [(check.code.value, check.position) for check in about] == [("wrong_braces", position)]


def test_the_name_of_a_variable_in_a_check_is_on_one_line() -> None:
    """Also where a line break of an item stands inside the braces."""
    (check,) = render_body("<ul><li>{nu<br>mero}</li></ul>").checks

    assert (check.variable, check.suggestion) == ("nu mero", "numero")
    assert "\n" not in check.message


def test_the_same_about_one_place_is_said_once() -> None:
    """A variable twice in a link, and in the text of the link."""
    rendered = render_body('<p><a href="https://x.es/{serie}/{serie}">{serie}</a> {serie}</p>', serie="")

    assert found(rendered) == [("empty_value", 0, "serie", None), ("empty_value", 8, "serie", None)]


@pytest.mark.parametrize(
    "text", ["{}", "{ a + b }", "100 % de 50 %", "[importante]", "[1]", "if {x > 1}", "{{ otra cosa }}"]
)
def test_other_braces_are_plain_text(text: str) -> None:
    """What is no variable, or nearly one, is written as it is, without a check."""
    rendered = render_body(f"<p>{text.replace('>', '&gt;')}</p>")

    assert text_of(rendered) == text
    assert rendered.checks == ()


@pytest.mark.parametrize(
    "value", ["{serie}", "Pérez & Hijos", "<b>x</b>", "\"'`", "*_*", "ñ" * 200, "%serie% [numero]", "&amp;"]
)
def test_a_value_is_printed_as_it_is_and_never_read_again(value: str) -> None:
    """One pass: escaped in the body, plain in subject and text."""
    rendered = render(
        INVOICE, TemplateSource("S {cliente}", "<p>B {cliente}</p>", ""), {"cliente": value, "serie": "X"}
    )

    assert rendered.subject == f"S {value}"
    assert text_of(rendered) == f"B {value}"
    assert f"B {value}" in unescape(re.sub(r"<[^>]*>", "", rendered.html))
    assert not rendered.errors


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\u2028", "\u2029", "\x85", "\x0b", "\t"])
def test_no_line_break_of_a_value_reaches_the_subject(breaks: str) -> None:
    """CR, LF and their Unicode relatives become a blank."""
    source = TemplateSource(f"A{breaks}B {{cliente}}", "<p>{cliente}</p>", "")
    rendered = render(INVOICE, source, {"cliente": f"Uno{breaks}Bcc: x@y.es"})

    assert rendered.subject == "A B Uno Bcc: x@y.es"
    assert text_of(rendered) == "Uno Bcc: x@y.es"


def test_control_characters_and_lone_surrogates_reach_nothing() -> None:
    """What is no text is dropped from values and replaced in templates; the answer can always be encoded."""
    rendered = render(
        INVOICE, TemplateSource("\ud800a", "<p>\ud800{cliente}\x00</p>", ""), {"cliente": "x\ud800\x00\x1b"}
    )

    rendered.html.encode()
    rendered.text.encode()
    assert rendered.subject == "\ufffda"


def test_control_characters_of_a_template_reach_nothing() -> None:
    """Typed, pasted or as character references."""
    rendered = render(INVOICE, TemplateSource("a", "<p>a\x01\x1b\x0b\x7f\x85&#1;&#27;b</p>", ""), {})

    assert rendered.text == "ab\n"
    assert not re.search("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]", rendered.html)


def test_what_nobody_sees_is_empty() -> None:
    """A subject, a value or a body of invisible characters alone."""
    rendered = render(
        INVOICE, TemplateSource("\u200b{cliente}", "<p>\u2060\u200e</p>", ""), {"cliente": "\ufeff \u200b"}
    )

    assert rendered.subject == ""
    assert [check.code.value for check in rendered.checks] == ["empty_value", "empty_subject", "empty_body"]


def test_names_of_values_are_read_like_names_in_templates() -> None:
    """A value given as «Numero» is the value of {numero}; one for an unknown name changes nothing."""
    rendered = render(INVOICE, TemplateSource("{numero}", "<p>x</p>", ""), {"Numero": "9", "nunca": "z"})

    assert rendered.subject == "9"


def test_an_empty_value_is_a_warning_at_its_place() -> None:
    """Known but empty is no error."""
    rendered = render_body("<p>a {numero}</p>", numero=" ")

    assert found(rendered) == [("empty_value", 2, "numero", None)]
    assert not rendered.errors


@pytest.mark.parametrize("entry", types_with_template(), ids=lambda entry: entry.code.value)
def test_the_due_date_belongs_to_three_types_only(entry) -> None:
    """Every other variable has a value for every type."""
    names = [variable.name for variable in list_variables(entry.code)]
    rendered = render_body("<p>{vencimiento}</p>", entry.code)

    allowed = entry.code in (DocumentType.SALES_INVOICE, DocumentType.PROFORMA_INVOICE, DocumentType.QUOTE)
    assert ("vencimiento" in names) is allowed
    assert [check.code.value for check in rendered.errors] == ([] if allowed else ["variable_not_for_type"])


def test_the_catalogue_is_the_one_of_the_help_page() -> None:
    """In the palette's order, each with a sample and what it is."""
    variables = list_variables(INVOICE)

    assert [variable.name for variable in variables] == [
        *("documento", "el_documento", "del_documento", "serie", "numero", "empresa", "cliente", "contacto"),
        *("fecha", "vencimiento", "importe", "referencia", "usuario"),
    ]
    assert all(variable.sample and variable.help for variable in variables)


@pytest.mark.parametrize(
    ("code", "noun", "with_article", "with_preposition"),
    [
        ("quote", "Presupuesto", "el presupuesto", "del presupuesto"),
        ("sales_order", "Pedido", "el pedido", "del pedido"),
        ("work_report", "Parte de trabajo", "el parte de trabajo", "del parte de trabajo"),
        ("delivery_note", "Albarán", "el albarán", "del albarán"),
        ("sales_invoice", "Factura", "la factura", "de la factura"),
        ("proforma_invoice", "Factura proforma", "la factura proforma", "de la factura proforma"),
        ("purchase_order", "Pedido de compra", "el pedido de compra", "del pedido de compra"),
    ],
)
def test_a_document_is_named_in_good_spanish(code: str, noun: str, with_article: str, with_preposition: str) -> None:
    """Alone, with its article and with «de»."""
    written = "<p>{documento}/{el_documento}/{del_documento}</p>"

    assert text_of(render_body(written, DocumentType(code))) == f"{noun}/{with_article}/{with_preposition}"


def test_one_sample_document_holds_all_that_breaks_templates() -> None:
    """Markup, accents, a name of 200 characters, braces, and no number; the first one is ordinary."""
    usual, *_, hostile = list_samples()
    values = "".join(hostile.values.values())

    assert not usual.values
    assert set("&<>\"'%{[ñÁÑ") <= set(values)
    assert max(map(len, hostile.values.values())) >= 200
    assert hostile.values["numero"] == ""


@pytest.mark.parametrize("entry", types_with_template(), ids=lambda entry: entry.code.value)
def test_every_default_template_is_fit_for_every_sample_document(entry) -> None:
    """Nothing forbids sending; what is empty leaves no hole in the subject, and every value is there unchanged."""
    source = default_source(entry.code)
    body = source.body + "<p>{cliente}</p>"
    for sample in list_samples():
        rendered = render(entry.code, TemplateSource(source.subject, body, source.signature), sample.values)

        assert not rendered.errors
        assert "  " not in rendered.subject
        assert sample.values.get("cliente", "Reformas Peña & Hijos, S.L.") in rendered.text


@pytest.mark.parametrize("entry", types_with_template(), ids=lambda entry: entry.code.value)
def test_every_default_template_renders_without_a_check_or_a_brace(entry) -> None:
    """The built-in templates are right for their type."""
    rendered = render(entry.code, default_source(entry.code), {})

    assert canonical_html(default_source(entry.code).body) == default_source(entry.code).body
    assert rendered.checks == ()
    assert "{" not in rendered.subject + rendered.html + rendered.text
    assert rendered.subject.startswith(f"Adjunto {entry.noun} ")
    assert rendered.text.count("\n-- \n") == 1


_NAMES = st.sampled_from(["serie", "numero", "cliente", "el_documento"])
_HOSTILE = st.text(alphabet="{}%[]&<>\"' abcñserie\u200b\u00a0", max_size=20)


@given(st.data(), _NAMES, _HOSTILE)
def test_any_split_of_a_variable_gives_the_value_exactly_once(data, name: str, value: str) -> None:
    """Property: wherever tags cut a variable, the text is the same as without them."""
    written = "{" + name + "}"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(written) - 1), max_size=4)))
    pieces = [written[a:b] for a, b in zip([0, *cuts], [*cuts, len(written)], strict=True)]
    tags = [("", ""), ("<strong>", "</strong>"), ("<em>", "</em>"), ('<span style="color:red">', "</span>")]
    split = "".join(tags[i % 4][0] + piece + tags[i % 4][1] for i, piece in enumerate(pieces))
    value = value.strip() or "v"

    rendered = _render_with(f"<p>x {split} y</p>", {name: value})
    whole = _render_with(f"<p>x {written} y</p>", {name: value})

    assert rendered.text == whole.text
    assert not rendered.errors


_BLOCKS = st.sampled_from(
    [("p", "p"), ("h2", "h2"), ("blockquote", "blockquote"), ("ul><li", "li></ul"), ("pre", "pre")]
)
_INVISIBLE = st.sampled_from(["", "", "\u200b", "\ufeff", "\u00a0", "\u00ad"])


@given(st.data(), _BLOCKS, _NAMES, _HOSTILE)
def test_any_tree_around_a_variable_gives_the_value_exactly_once(data, block, name: str, value: str) -> None:
    """Property: formats nested in any way, begun and ended anywhere, with invisible characters inside the braces."""
    value = value.strip() or "v"
    opened: list[str] = []
    tree = ""
    for letter in "x {" + name + "} y":
        for _ in range(data.draw(st.integers(0, 2))):
            if opened and data.draw(st.booleans()):
                tree += f"</{opened.pop()}>"
            else:
                opened.append(data.draw(st.sampled_from(["strong", "em", "u", "s", "sub", "span"])))
                tree += f"<{opened[-1]}>"
        tree += letter + (data.draw(_INVISIBLE) if letter in name else "")
    tree += "".join(f"</{tag}>" for tag in reversed(opened))

    rendered = _render_with(f"<{block[0]}>{tree}</{block[1]}>", {name: value})
    whole = _render_with(f"<{block[0]}>x {{{name}}} y</{block[1]}>", {name: value})

    assert rendered.text == whole.text
    assert not rendered.errors


@given(st.text(alphabet="{}%[]<>/&;\"'=abeinorsu_ \n\u200b\u00a0ñ", max_size=80), _HOSTILE)
def test_any_text_at_all_renders_to_whole_html(body: str, value: str) -> None:
    """Property: no input stops a rendering, and no tag of a value or template survives that is not ours."""
    rendered = render(INVOICE, TemplateSource(body, body, body), {"cliente": value, "numero": value})

    assert rendered.html.startswith("<!DOCTYPE html>")
    assert rendered.html.endswith("</html>")
    assert "\n" not in rendered.subject
    assert not re.search("[\ufdd0-\ufdef]", rendered.html + rendered.text)
