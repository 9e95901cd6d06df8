"""Files in JSON, taken out as the body comes in."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.web.api.json_files import Excess, JsonFiles, TooMuch

_DATA = bytes(range(256)) * 3 + b"?>"


def _take(body: bytes, size: int, files: JsonFiles | None = None) -> JsonFiles:
    files = files or JsonFiles(files=50, text=10**6, parts=10**4)
    for start in range(0, len(body), size):
        files.feed(body[start : start + size])
    return files


def _put_back(files: JsonFiles) -> Any:
    """Return the object with the bytes where their names stood."""
    value = json.loads(files.text)
    for each in value.get("attachments", []):
        came, data = files.find(each["data"])
        assert came
        each["data"] = data
    return value


@given(
    st.lists(st.binary(max_size=40), max_size=3),
    st.dictionaries(st.text(max_size=6), st.text(max_size=12) | st.lists(st.text(max_size=3), max_size=2), max_size=4),
    st.integers(1, 50),
)
def test_a_body_is_what_it_was_however_it_is_cut(datas: list[bytes], others: dict[str, Any], size: int) -> None:
    """Files apart, every sign of it; each file has its own bytes."""
    named = [{"name": f'{place}"\\.pdf', "data": base64.b64encode(data).decode()} for place, data in enumerate(datas)]
    others.pop("attachments", None)
    body = json.dumps({**others, "attachments": named, "z": [{"data": "QUJD"}]}).encode()

    expected = {**others, "attachments": [{**each, "data": datas[place]} for place, each in enumerate(named)]}
    assert _put_back(_take(body, size)) == {**expected, "z": [{"data": "QUJD"}]}


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_letters_that_a_program_has_escaped_are_read(size: int) -> None:
    """PHP writes a slash so; any sign may be written by its number."""
    text = base64.b64encode(_DATA).decode()
    escaped = text.replace("/", r"\/", 3).replace("+", r"\u002B", 1)

    assert escaped.count("\\") == 4
    assert _put_back(_take(b'{"attachments":[{"data":"%s"}]}' % escaped.encode(), size)) == {
        "attachments": [{"data": _DATA}]
    }


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("wrong", ["QUJ", "QQ==QUJD", "QU JD", "QUJD\\n", "Ñandú", "QUJD=", "QUJD\\\\", 'Q\\"D,'])
def test_what_is_no_base64_is_told_and_cut_out_all_the_same(wrong: str, size: int) -> None:
    """As where it is read at once; nothing of it is kept."""
    body = b'{"attachments":[{"data":"%s"},{"data":"QUJD"}]}' % wrong.encode()
    found = _put_back(_take(body, size))["attachments"]

    assert [each["data"] for each in found] == [None, b"ABC"]


@pytest.mark.parametrize("size", [1, 9, 1000])
def test_only_a_file_is_taken_out(size: int) -> None:
    """Not what is called alike elsewhere: it would be lost."""
    files = b'[{"name":{"data":"QUJD"},"type":"data"}]'
    body = b'{"variables":{"data":"QUJD"},"data":"QUJD","attachments":%s,"to":["data"]}' % files

    assert bytes(_take(body, size).text) == body


def test_a_place_in_the_text_is_told_as_one_in_the_body() -> None:
    """Behind a file that was taken out."""
    body = b'{"attachments":[{"data":"' + base64.b64encode(_DATA) + b'"}], nonsense}'
    files = _take(body, 50)
    with pytest.raises(json.JSONDecodeError) as error:
        json.loads(files.text)

    assert files.find_place(error.value.pos) == body.index(b"nonsense")


@pytest.mark.parametrize("size", [1, 8, 10_000])
@pytest.mark.parametrize(
    ("body", "excess", "kept"),
    [
        (b'{"attachments":[' + b'{"data":""},' * 4, Excess.FILES, 300),
        (b'{"body":"' + b"\\n" * 500, Excess.TEXT, 1000 + 10_000),
        (b'{"to":[' + b"[]," * 500, Excess.PARTS, 200),
        (b'{"attachments":[{"data":"' + b'\\"' * 500, Excess.PARTS, 200),
    ],
)
def test_what_is_too_much_is_told_before_it_is_kept(body: bytes, excess: Excess, kept: int, size: int) -> None:
    """Files, what stands besides them, and the parts of it: a short one takes thirty times its size once it is read."""
    files = JsonFiles(files=3, text=900, parts=100)
    with pytest.raises(TooMuch) as told:
        _take(body, size, files)

    assert told.value.excess is excess
    assert len(files.text) <= kept


def test_exactly_as_much_as_is_allowed_is_taken() -> None:
    """Three files, and every part."""
    body = b'{"attachments":[%s]}' % b",".join([b'{"data":"QUJD"}'] * 3)
    signs = sum(body.count(sign) for sign in (b"{", b"}", b"[", b"]", b",", b":")) + body.count(b'"') // 2
    files = JsonFiles(files=3, text=1000, parts=signs)
    files.feed(body)

    assert [each["data"] for each in _put_back(files)["attachments"]] == [b"ABC"] * 3
