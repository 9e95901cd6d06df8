"""A value that an object makes when it is first asked for, once, whoever asks at the same time."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["once"]

T = TypeVar("T")


class once(Generic[T]):
    """Turn a method without arguments into an attribute that is made at its first use and kept.

    As :class:`functools.cached_property`, but two threads get the same value; that one has no lock since Python 3.12.
    What ``make`` raises reaches the caller, and the next one tries again.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._lock = RLock()
        self.__doc__ = make.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        """Remember under which name the value is kept."""
        self._name = name

    @overload
    def __get__(self, holder: None, _owner: type) -> Self: ...
    @overload
    def __get__(self, holder: object, _owner: type) -> T: ...
    def __get__(self, holder: object | None, _owner: type) -> Self | T:
        """Make the value. Once it is there, Python finds it in the object itself and does not come here."""
        if holder is None:
            return self
        made = vars(holder)
        if self._name not in made:
            with self._lock:
                if self._name not in made:
                    made[self._name] = self._make(holder)
        return made[self._name]
