"""From bytes to JSON values: strict, bounded, and with the place of each fault."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn, cast

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.texts import Text, text

__all__ = ["FORMAT", "VERSION", "Refused", "portable_text", "read_json", "refuse", "refuse_with"]

_SHOWN = 60  # of a foreign value, so that a hostile file cannot flood a screen


class Refused(InvalidInput):
    """The file is not imported; nothing was changed."""

    code = "import_refused"


def portable_text(key: str, **values: object) -> Text:
    """Return a sentence of this package to be made; foreign values are shortened."""
    short = {name: value if isinstance(value, int | Text) else _short(str(value)) for name, value in values.items()}
    return text("cgcore.portable", key, **short)


def refuse(place: str, key: str, **values: object) -> Refused:
    """Return the error that names ``place`` in the file and says what is wrong there."""
    return Refused(FieldProblem(place or "file", key, portable_text(key, lugar=place, **values)))


def refuse_with(place: str, reason: Text) -> Refused:
    """Return the refusal of ``place`` for a reason that another package has given."""
    return Refused(FieldProblem(place, "refused", text("cgcore.portable", "refused", lugar=place, motivo=reason)))


def _short(words: str) -> str:
    line = "".join(char if char.isprintable() else "·" for char in words)
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


FORMAT, VERSION = "cloud-gestion", 1

_MAX_BYTES = 50_000_000
_MAX_DEPTH = 20


def read_json(data: bytes) -> dict[str, Any]:
    """Return the object in a configuration file, of this format and a version that is understood.

    Raises :class:`cgcore.portable.reading.Refused`: too big, not UTF-8, not JSON (RFC 8259; a name twice in one
    object, ``NaN`` and endless nesting are not), another format, a newer version.
    """
    if len(data) > _MAX_BYTES:
        raise refuse("", "too_big", maximo=_MAX_BYTES // 1_000_000)
    found: Any = _parse(_decode(data))
    if not isinstance(found, dict) or cast("dict[str, Any]", found).get("format") != FORMAT:
        raise refuse("format", "other_format")
    found = cast("dict[str, Any]", found)
    version = found.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise refuse("version", "wrong_version")
    if version > VERSION:
        raise refuse("version", "newer_version", version=version, maxima=VERSION)
    return found


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refuse("", "not_text") from None


def _parse(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise refuse("", "not_json", linea=error.lineno) from None
    except RecursionError:
        raise refuse("", "too_deep") from None
    except Refused:
        raise
    except ValueError:  # a number of thousands of digits
        raise refuse("", "not_json", linea="?") from None
    if _depth(value) > _MAX_DEPTH:
        raise refuse("", "too_deep")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise refuse("", "duplicate_key", nombre=name)
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise refuse("", "wrong_value", valor=name)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [child for parent in level for child in _children(parent)]
    return depth


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()
