"""The letters that a regular expression cannot do without, and which of many expressions a text may hold by them.

It stands alone because it knows regular expressions and nothing of mail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from typing import Any

__all__ = ["LiteralIndex", "required_literals"]

# Python's own parser of expressions: what it reads is what is searched, whatever the expression looks like.
_parser: Any = import_module("re._parser")
_GRAM = 3
_LONG_ENOUGH = 6


def required_literals(pattern: str) -> frozenset[str]:
    """Return texts one of which stands in whatever ``pattern`` is found in; empty where nothing is known of it."""
    return _of_sequence(_parser.parse(pattern))


class LiteralIndex:
    """Many expressions, by what each cannot do without; each comes with the bits that stand for it."""

    def __init__(self, patterns: Iterable[tuple[str, int]]) -> None:
        masks: dict[str, int] = {}
        self._always = 0
        for pattern, bits in patterns:
            literals = required_literals(pattern)
            for literal in literals:
                masks[literal] = masks.get(literal, 0) | bits
            if not literals:
                self._always |= bits
        self._short = [(literal, mask) for literal, mask in masks.items() if len(literal) < _GRAM]
        self._by_gram = _by_gram({literal: mask for literal, mask in masks.items() if len(literal) >= _GRAM})

    def find(self, text: str) -> int:
        """Return the bits of what ``text`` may hold: of all that it does, and of few that it does not."""
        found, by_gram = self._always, self._by_gram
        for literal, mask in self._short:
            if literal in text:
                found |= mask
        for gram in by_gram.keys() & {text[at : at + _GRAM] for at in range(len(text) - _GRAM + 1)}:
            for literal, mask in by_gram[gram]:
                if literal in text:
                    found |= mask
        return found


def _by_gram(masks: dict[str, int]) -> dict[str, list[tuple[str, int]]]:
    """Return the literals by three letters of each, those that the fewest others have."""
    grams = {literal: [literal[at : at + _GRAM] for at in range(len(literal) - _GRAM + 1)] for literal in masks}
    common = Counter(gram for found in grams.values() for gram in set(found))
    placed: dict[str, list[tuple[str, int]]] = {}
    for literal, mask in masks.items():
        placed.setdefault(min(grams[literal], key=common.__getitem__), []).append((literal, mask))
    return placed


def _of_sequence(parsed: Any) -> frozenset[str]:
    """Return the best of what the parts of a sequence each require: long, and few."""
    known: list[frozenset[str]] = []
    run = ""
    for operator, argument in parsed:
        if str(operator) == "LITERAL":
            run += chr(argument)
            continue
        known.append(frozenset({run}))
        run = ""
        known.append(_of_part(str(operator), argument))
    known.append(frozenset({run}))
    usable = [literals for literals in known if literals and "" not in literals]
    return max(usable, key=_worth, default=frozenset[str]())


def _of_part(operator: str, argument: Any) -> frozenset[str]:
    if operator == "SUBPATTERN":
        flags_on, flags_off = argument[1], argument[2]
        return frozenset() if flags_on or flags_off else _of_sequence(argument[3])
    if operator in ("MAX_REPEAT", "MIN_REPEAT"):
        return _of_sequence(argument[2]) if argument[0] >= 1 else frozenset()
    if operator == "BRANCH":
        ways = [_of_sequence(way) for way in argument[1]]
        return frozenset[str]().union(*ways) if all(ways) else frozenset()
    return frozenset()


def _worth(literals: frozenset[str]) -> tuple[int, int]:
    return min(_LONG_ENOUGH, *map(len, literals)), -len(literals)
