"""What a text may be, whatever way it comes in by: a page, a form, the API, the command line, a file.

One rule, so that what can be stored can be exported, and what was exported can be imported. It takes every letter, sign
and space that people write, also those that do not show (a hard space, a soft hyphen, a joined emoji); it takes no
control character, no line break inside a line, no mark that turns the reading direction round (Unicode TR 36, 3.5),
and nothing that is no text at all: NUL, lone surrogates, noncharacters.
"""

from __future__ import annotations

import re
import unicodedata

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.texts import Text

__all__ = [
    "MAX_ADDRESS",
    "MAX_FOLDER",
    "MAX_LOGIN",
    "MAX_MAIL",
    "MAX_NAME",
    "MAX_PIN",
    "MAX_SEARCH",
    "MAX_SUBJECT",
    "find_text_problem",
    "is_searchable",
    "is_storable",
    "refuse_unstorable",
    "text_problem",
    "trimmed",
    "visible",
]

# Lengths in characters, each of one kind of field wherever it is filled in.
MAX_NAME = 120  # of a person, of the company
MAX_ADDRESS = 300  # postal
MAX_MAIL = 254  # RFC 5321, 4.5.3.1.3
MAX_LOGIN = 320  # the user name at a mail server
MAX_FOLDER = 500
MAX_SUBJECT = 500
MAX_PIN = 120
MAX_SEARCH = 200

_NO_TEXT = "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
_TURNING = "\u202a-\u202e\u2066-\u2069"
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_TURNING}{_NO_TEXT}]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def find_text_problem(text: str, limit: int, *, lines: bool = False) -> str:
    """Return ``text_unprintable``, ``text_too_long`` or ``""``; with ``lines`` line feeds are welcome."""
    if len(text) > limit:
        return "text_too_long"
    return "text_unprintable" if _FORBIDDEN.search(text.replace("\n", "") if lines else text) else ""


def text_problem(field: str, text: str, limit: int, *, lines: bool = False) -> FieldProblem | None:
    """Return what is wrong with the text of ``field``, with its sentence; None where it may be stored."""
    code = find_text_problem(text, limit, lines=lines)
    return FieldProblem(field, code, Text("cgcore", f"text_rules.{code}", (("limit", limit),))) if code else None


def is_storable(text: str) -> bool:
    """Whether a database takes it at all: PostgreSQL knows no NUL, and a lone surrogate has no UTF-8."""
    return "\x00" not in text and (text.isascii() or _UNSTORABLE.search(text) is None)


def is_searchable(text: str) -> bool:
    """Whether anything stored may hold ``text``; what cannot is not asked for (SQLite breaks at long patterns)."""
    return len(text) <= MAX_SEARCH and is_storable(text)


def refuse_unstorable(text: str) -> None:
    """Raise :class:`InvalidInput` for what no database takes: the net below every edge, should one forget the rule."""
    if not is_storable(text):
        code = "text_unprintable"
        raise InvalidInput(FieldProblem("", code, Text("cgcore", f"text_rules.{code}")))


def visible(words: str) -> str:
    """Return ``words`` without blanks, no-break spaces, zero-width and other format characters, anywhere."""
    return "".join(
        character
        for character in words
        if not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc", "Zs", "Zl", "Zp")
    )


def trimmed(words: str) -> str:
    """Return ``words`` without outer blanks and without invisible characters; inner plain spaces stay."""
    return "".join(character for character in words if character == " " or visible(character)).strip()
