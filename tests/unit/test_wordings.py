"""One fill function: values, wordings without them, plurals, lists, dates and sizes in the language of the person."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from cgcore import language, texts

ENTRY = ["{host} no atiende en el puerto {port}", "{host} no atiende", "El servidor no atiende"]
COUNTED = {"one": "{count} campo", "other": "{count} campos"}


@pytest.fixture
def pirate(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A second language, with one sentence of its own."""
    read = texts._read

    def reading(file: str, tongue: str) -> dict[str, Any] | None:
        if tongue == "xx":
            return {"name_empty": "Arr"} if file == "cgcore.company" else None
        return read(file, tongue)

    monkeypatch.setattr(language, "known_languages", lambda: frozenset({"es", "xx"}))
    monkeypatch.setattr(texts, "_read", reading)
    texts._catalogue.cache_clear()
    yield
    texts._catalogue.cache_clear()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"host": "mail.es", "port": 587}, "mail.es no atiende en el puerto 587"),
        ({"host": "mail.es", "port": None}, "mail.es no atiende"),
        ({"host": "  ", "port": 587}, "El servidor no atiende"),
    ],
)
def test_a_value_that_is_missing_takes_the_wording_without_it(values: dict[str, object], expected: str) -> None:
    """Blank and None are missing too; nothing of a brace is left."""
    assert texts.fill(ENTRY, values) == expected


def test_no_brace_is_left_where_no_wording_fits() -> None:
    """A value that was not given leaves an ellipsis; one that is empty leaves nothing."""
    assert texts.fill("Falta {name}.", {}) == "Falta …."
    assert texts.fill("Falta «{name}».", {"name": ""}) == "Falta «»."
    assert texts.fill("Falta {name}.", {}, or_else="") == ""


def test_braces_of_a_value_and_doubled_braces_stay() -> None:
    """One pass: a value is never filled in again, and a sentence may speak of a variable."""
    assert texts.fill("{a} y {{b}}", {"a": "{b}", "b": "no"}) == "{b} y {b}"


def test_the_sentence_brings_its_own_full_stop() -> None:
    """A reply that ends with one does not double it."""
    assert texts.fill("Dice: {reply}.", {"reply": "Go away."}) == "Dice: Go away."


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 campos"), (1, "1 campo"), (2, "2 campos"), (12345, "12345 campos")]
)
def test_plural_forms_follow_the_number(count: int, expected: str) -> None:
    """The form is the language's, the number of the value called ``count`` or of the first one."""
    assert texts.fill(COUNTED, {"count": count}) == expected
    assert texts.fill({"one": "{n} día", "other": "{n} días"}, {"n": count}) == expected.replace("campo", "día")


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("{v}", [465, 587], "465 y 587"),
        ("{v}", ("a", "", "b", "c"), "a, b y c"),
        ("{v}", [], "…"),
        ("{v}", 65535, "65535"),
        ("{v:number}", 65535, "65.535"),
        ("{v}", 0.5, "0,5"),
        ("{v}", date(2026, 3, 1), "01/03/2026"),
        ("{v:date}", "2026-03-01", "01/03/2026"),
        ("{v:day}", date(2026, 3, 1), "01/03"),
        ("{v:either}", ["a", "b", "c"], "a, b o c"),
        ("{v}", datetime(2026, 3, 1, 9, 5, tzinfo=UTC), "01/03/2026 9:05"),
        ("{v:minutes}", 1, "1 minuto"),
        ("{v:minutes}", 5, "5 minutos"),
        ("{v:seconds}", 1, "1 segundo"),
        ("{v:days}", 2, "2 días"),
        ("{v:duration}", 94, "94 ms"),
        ("{v:duration}", 1234, "1,2 s"),
        ("{v:bytes}", 1, "1 byte"),
        ("{v:bytes}", 300, "300 bytes"),
        ("{v:bytes}", 1500, "1,5 kB"),
        ("{v:bytes}", 26_214_400, "26 MB"),
    ],
)
def test_values_are_written_as_the_language_writes_them(entry: str, value: object, expected: str) -> None:
    """Ports stay plain; lists, dates, sizes and durations are the language's."""
    if not value:
        assert texts.fill(entry, {"v": value}, or_else="…") == expected
    else:
        assert texts.fill(entry, {"v": value}).replace("\N{NO-BREAK SPACE}", " ") == expected


@pytest.mark.usefixtures("pirate")
def test_what_travels_is_said_in_the_language_of_the_reader() -> None:
    """One object, two languages; what a language leaves out is Spanish."""
    travelling = texts.text("cgcore.company", "name_empty")
    other = texts.text("cgcore.company", "name_too_long", maximo=3)

    spanish = str(travelling)
    with language.speaking("xx"):
        assert (str(travelling), str(other)) == ("Arr", "El nombre tiene más de 3 caracteres: acórtalo.")
    assert str(travelling) == spanish != "Arr"


@pytest.mark.usefixtures("pirate")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("xx", "xx"),
        ("xx-YY", "xx"),
        ("xx_YY.UTF-8", "xx"),
        ("", "es"),
        ("C.UTF-8", "es"),
        ("de;q=0.9, xx;q=0.2, *;q=0.1", "xx"),
        ("es;q=0.3, xx;q=0.8", "xx"),
        ("xx;q=0, es", "es"),
        ("xx;q=ü", "xx"),
        ("../../etc/passwd", "es"),
    ],
)
def test_a_language_is_chosen_from_a_tag_or_a_browsers_list(wanted: str, expected: str) -> None:
    """An unknown one, or nonsense, means Spanish."""
    assert language.choose_language(wanted) == expected


def test_a_value_that_is_a_sentence_is_said_in_the_same_language() -> None:
    """Texts travel inside texts, and can be compared and kept in sets."""
    inner = texts.text("cgcore.company", "field_name")
    outer = texts.text("cgcore.portable", "refused", lugar="users[0]", motivo=inner)

    assert str(outer) == "users[0]: nombre"
    assert len({outer, texts.text("cgcore.portable", "refused", lugar="users[0]", motivo=inner)}) == 1
