"""The stored form: idempotent, and the editor's own output unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.templates.canonical import canonical_html

EDITOR_OUTPUT = [
    "<p>Hola</p><p><br></p><p>Adiós</p>",
    "<p>a <strong>b <em>c</em></strong> <u>d</u><s>e</s></p>",
    '<p class="ql-align-center">x</p><p class="ql-align-right ql-indent-2">y</p>',
    '<ol><li>uno</li><li class="ql-indent-1">dos</li></ol><ul><li>tres</li></ul>',
    '<p><span style="color: #e60000;">rojo</span></p>',
    '<p><a href="https://x.es/{numero}?a=1&amp;b=2">enlace</a></p>',
    '<pre class="ql-syntax" spellcheck="false">a  b\nc\n</pre>',
    '<blockquote>cita</blockquote><h1>uno</h1><h2 class="ql-align-justify">dos</h2>',
    '<p><img src="data:image/png;base64,AAAA" alt="Logo" width="120" height="40"></p>',
    '<p><span class="ql-size-large">g</span><span class="ql-font-serif">s</span></p>',
    "<p>a&nbsp;&lt;b&gt; &amp; «c» \"d\" 'e'</p>",
    "<p>a  b</p>",
    '<ol start="3"><li>tres</li><li>cuatro</li><li class="ql-indent-1" start="2">b</li></ol>',
]


@pytest.mark.parametrize("html", EDITOR_OUTPUT)
def test_what_the_editor_writes_is_canonical_already(html: str) -> None:
    """Opening and closing without an edit is no change."""
    assert canonical_html(html) == html


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("", ""),
        ("<p><br></p>", ""),
        ("<p>\u00a0 \ufeff</p><p></p>", ""),
        ("<p>a</p>\n\n<p>b</p>", "<p>a</p><p>b</p>"),
        ("<p>a<br>b</p>", "<p>a</p><p>b</p>"),
        ("<p><strong>a<br>b</strong></p>", "<p><strong>a</strong></p><p><strong>b</strong></p>"),
        ("suelto", "<p>suelto</p>"),
        ("<div><p>a</p><div>b</div></div>", "<p>a</p><p>b</p>"),
        ("<b style='font-weight:normal'><p>a</p></b>", "<p>a</p>"),
        ('<p><span style="color: rgb(230, 0, 0);">x</span></p>', '<p><span style="color: #e60000;">x</span></p>'),
        ('<p><span style="color:rgb(0 128 0)">x</span></p>', '<p><span style="color: #008000;">x</span></p>'),
        ('<p><a href="https://x.es" target="_blank" rel="noopener">x</a></p>', '<p><a href="https://x.es">x</a></p>'),
        ("<p style='text-align:center'>x</p>", '<p class="ql-align-center">x</p>'),
        ("<ul><li>a<ul><li>b</li></ul></li></ul>", '<ul><li>a</li><li class="ql-indent-1">b</li></ul>'),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "<p>a · b</p><p>c</p>"),
        ("<ol><li start='3'>a</li><li start='3'>b</li></ol>", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("<ol start='1'><li>a</li></ol>", "<ol><li>a</li></ol>"),
        ("<ul start='4'><li>a</li></ul><ol start='-2'><li>b</li></ol>", "<ul><li>a</li></ul><ol><li>b</li></ol>"),
        ("<table><tr><td>a</td></tr><tr><td>&nbsp;</td><td></td></tr></table>", "<p>a</p>"),
        ("<table><tr><td>a</td><td></td><td>c</td></tr></table>", "<p>a · c</p>"),
        ("<table><tr><td><p>a</p></td><td><p> b&nbsp;</p></td></tr></table>", "<p>a · b</p>"),
        ("<table><tr><td><p>a</p><p>b</p></td><td>c</td></tr></table>", "<p>a</p><p>b</p><p>c</p>"),
        ("<table><tr><td><img src='x'></td><td>a</td></tr></table>", '<p><img src="x"> a</p>'),
        (
            "<table><tr><td><table><tr><td>a</td></tr></table></td><td><table><tr><td>b</td></tr></table></td></tr></table>",
            "<p>a · b</p>",
        ),
        ("<p>{do<strong>cume</strong>nto}</p>", "<p>{documento}</p>"),
        ("<p><span>x</span><font>y</font></p>", "<p>xy</p>"),
    ],
)
def test_other_html_becomes_what_the_editor_would_write(html: str, expected: str) -> None:
    """Blocks in blocks, breaks, tables and other spellings have one form."""
    assert canonical_html(html) == expected


_TAGS = [
    "p",
    "div",
    "strong",
    "b",
    "em",
    "u",
    "span",
    "a",
    "ol",
    "ul",
    "li",
    "br",
    "h1",
    "pre",
    "blockquote",
    "table",
    "tr",
    "td",
    "th",
    "code",
]
_PIECE = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in _TAGS] + [f"</{tag}>" for tag in _TAGS]),
    st.sampled_from(["<p class='ql-align-center ql-indent-3'>", "<li class='ql-indent-2'>", "<ol start=3>", "<li start=5>", "<table><tr><td>", "</td><td>", "</td></tr></table>", "<span style='color:red'>", "<a href='x.es'>", "<img src='data:x'>"]),
    st.text(alphabet="ab {}<>&;\n\t\u00a0\ufeff\"'", max_size=6),
    st.just("{serie}"),
)  # fmt: skip


@given(st.lists(_PIECE, max_size=14).map("".join))
def test_the_canonical_of_a_canonical_is_itself(html: str) -> None:
    """Property over arbitrary trees."""
    once = canonical_html(html)

    assert canonical_html(once) == once
