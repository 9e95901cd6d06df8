"""Reading fields of a JSON object by name and type; each fault names its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cgcore.portable.problems import portable_sentence, refuse

__all__ = ["Fields"]

_SECRET_WORDS = ("password", "contraseña", "secret", "token", "hash", "api_key", "digest")


class Fields:
    """One object of the file at ``place``. What is asked for is checked; what is not known is refused."""

    def __init__(self, value: Any, place: str, known: Iterable[str]) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(place, "object")
        self.values: dict[str, Any] = value
        self.place = place
        wanted = set(known)
        for name in self.values:
            if name not in wanted:
                is_secret = any(word in name.casefold() for word in _SECRET_WORDS)
                raise refuse(self.at(name), "secret_field" if is_secret else "unknown_field")

    def at(self, name: str) -> str:
        """Return the place of a field."""
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def text(self, name: str, *, required: bool = False, lines: bool = False) -> str:
        """Return a text, ``""`` where it is absent; of printable characters only, line breaks where ``lines``."""
        value = self._get(name, required, str, "text", "")
        if not (value.replace("\n", "") if lines else value).isprintable():
            raise refuse(self.at(name), "unprintable")
        return value

    def long_text(self, name: str) -> str:
        """Return a text as it is, ``""`` where it is absent; the reader of that part cleans it."""
        return self._get(name, False, str, "text", "")

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """Return one of ``allowed``, ``default`` where it is absent."""
        value = self.text(name) or default
        if value not in set(allowed):
            raise refuse(self.at(name), "wrong_value", valor=value)
        return value

    def boolean(self, name: str, default: bool) -> bool:
        """Return a truth value."""
        return self._get(name, False, bool, "boolean", default)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return an object, empty where it is absent."""
        return self._get(name, False, dict, "object", {})

    def items(self, name: str) -> list[Any]:
        """Return a list, empty where it is absent."""
        return self._get(name, False, list, "list", [])

    def _get(self, name: str, required: bool, kind: type, word: str, default: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            if required:
                raise refuse(self.at(name), "missing_field")
            return default
        if not isinstance(value, kind):
            raise _wrong_type(self.at(name), word)
        return value


def _wrong_type(place: str, word: str) -> Exception:
    return refuse(place, "wrong_type", clase=portable_sentence(word))
