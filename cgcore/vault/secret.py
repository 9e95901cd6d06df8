"""A string that never shows itself."""

from __future__ import annotations

from typing import NoReturn, final

__all__ = ["Secret"]


@final
class Secret:
    """A secret text: hidden in ``repr``, ``str``, ``format`` and tracebacks, and refused by pickle.

    Opened only by :meth:`reveal`, at the call that needs the value. Two secrets are compared by value;
    a secret has no hash, so that it cannot become a key of a cache.
    """

    __slots__ = ("_value",)
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, format_spec: str) -> str:
        return "…"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")

    def __deepcopy__(self, memo: object) -> Secret:
        # dataclasses.asdict copies deeply: hand out the same closed box.
        return self
