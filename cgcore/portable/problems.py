"""What is wrong with a configuration file, said with its place in the file."""

from __future__ import annotations

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.texts import sentence

__all__ = ["Refused", "portable_sentence", "refuse", "refuse_with"]

_SHOWN = 60  # of a foreign value, so that a hostile file cannot flood a screen


class Refused(InvalidInput):
    """The file is not imported; nothing was changed."""

    code = "import_refused"


def portable_sentence(key: str, **values: object) -> str:
    """Return a sentence of this package; values are shortened."""
    short = {name: _short(str(value)) for name, value in values.items()}
    return sentence("cgcore.portable", key, **short)


def refuse(place: str, key: str, **values: object) -> Refused:
    """Return the error that names ``place`` in the file and says what is wrong there."""
    return Refused(FieldProblem(place or "file", key, portable_sentence(key, lugar=place, **values)))


def refuse_with(place: str, reason: str) -> Refused:
    """Return the refusal of ``place`` for a reason that is a sentence already."""
    return Refused(FieldProblem(place, "refused", sentence("cgcore.portable", "refused", lugar=place, motivo=reason)))


def _short(text: str) -> str:
    line = "".join(char if char.isprintable() else "·" for char in text)
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
