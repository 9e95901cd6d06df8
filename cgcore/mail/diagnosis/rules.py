"""The rules of diagnosis: which wordings of the rule files hold for a reply.

Apart from :mod:`cgcore.mail.diagnosis.diagnose`: it reads the rule files and knows no probe. Searching a reply for all
of some 2,500 expressions takes long; so of each the letters are known that have to stand in a text for it to be found,
and only those are searched whose letters do (:mod:`cgcore.mail.diagnosis.literals`). The answers are the same.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from cgcore.mail.diagnosis.literals import LiteralIndex
from cgcore.mail.diagnosis.reply import ParsedReply

__all__ = ["Rule", "RuleSearch", "Situation", "load_rules"]

_FILES = (
    *("first", "oauth", "providers", "notions", "early", "sign_in", "sign_in_late", "envelope", "addresses"),
    *("folders", "notions_late", "library", "last"),
)
_TERM = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a reply appeared: ``protocol`` (smtp, imap, library), ``stage`` and ``provider``, ``""`` when unknown."""

    protocol: str
    stage: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a family of wordings, where it holds, and its key.

    One of ``words`` must be found, all of ``also``, none of ``unless``; they are searched in the normalised words, or
    with ``raw`` in the text as it stands, in lower case. ``stages``, ``protocols`` and ``providers`` empty: any.
    ``codes`` are the first digits of the basic code or an IMAP status, empty: any.
    """

    key: str
    words: tuple[re.Pattern[str], ...]
    also: tuple[re.Pattern[str], ...] = ()
    unless: tuple[re.Pattern[str], ...] = ()
    stages: frozenset[str] = frozenset()
    protocols: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    codes: tuple[str, ...] = ()
    raw: bool = False

    def fits(self, reply: ParsedReply, where: Situation) -> bool:
        """Whether the rule holds for a reply in a situation; an unknown stage fits any."""
        text = reply.raw if self.raw else reply.words
        return (
            self.holds_in(where)
            and self.takes(reply)
            and any(pattern.search(text) for pattern in self.words)
            and all(pattern.search(text) for pattern in self.also)
            and not any(pattern.search(text) for pattern in self.unless)
        )

    def holds_in(self, where: Situation) -> bool:
        """Whether the rule is one for this situation."""
        return (
            (not self.stages or not where.stage or where.stage in self.stages)
            and (not self.protocols or where.protocol in self.protocols)
            and (not self.providers or where.provider in self.providers)
        )

    def takes(self, reply: ParsedReply) -> bool:
        """Whether the rule is one for the reply's code."""
        return not self.codes or f"{reply.code or reply.status}".startswith(self.codes)


class RuleSearch:
    """The rules over one reply in one situation: the answers of :meth:`Rule.fits`, sooner."""

    def __init__(self, reply: ParsedReply, where: Situation) -> None:
        self._reply, self._files = reply, _rules_in(where)
        words, raw = _indexes()
        self._found = (words.find(reply.words), raw.find(reply.raw))
        self._likely = self._found[False] | self._found[True]

    def key(self, name: str) -> str:
        """Return the key of the first rule of the file ``name`` that fits, ``""`` when none does."""
        likely = self._likely & self._files[name]
        while likely:
            first = likely & -likely
            marked = _marked()[first.bit_length() - 1]
            if self._fits(marked, self._found[marked.rule.raw] >> marked.first):
                return marked.rule.key
            likely ^= first
        return ""

    def _fits(self, marked: _Marked, found: int) -> bool:
        rule = marked.rule
        if any(not found & one for one in marked.also) or not rule.takes(self._reply):
            return False
        text = self._reply.raw if rule.raw else self._reply.words
        return (
            _any_found(rule.words, found & marked.words, text)
            and all(pattern.search(text) for pattern in rule.also)
            and not _any_found(rule.unless, found >> marked.first_unless & marked.unless, text)
        )


def _any_found(patterns: tuple[re.Pattern[str], ...], worth: int, text: str) -> bool:
    """Return whether one of those expressions is found whose bits are set."""
    while worth:
        number = worth.bit_length() - 1
        if patterns[number].search(text):
            return True
        worth ^= 1 << number
    return False


@dataclass(frozen=True, slots=True)
class _Marked:
    """A rule, and the bits of its expressions, counted from ``first``: words, also, unless from ``first_unless`` on.

    The lowest bits stand for the rules themselves, in their order: one is set where one of its words may be found.
    """

    rule: Rule
    first: int
    words: int
    also: tuple[int, ...]
    first_unless: int
    unless: int


@lru_cache(maxsize=512)
def _rules_in(where: Situation) -> Mapping[str, int]:
    """Return, for each file, the bits of its rules that are for this situation."""
    found: dict[str, int] = {}
    number = 0
    for name in _FILES:
        found[name] = 0
        for rule in load_rules(name):
            found[name] |= rule.holds_in(where) << number
            number += 1
    return found


@cache
def _marked() -> tuple[_Marked, ...]:
    rules = [rule for name in _FILES for rule in load_rules(name)]
    free, marked = len(rules), list[_Marked]()
    for rule in rules:
        words, also, unless = len(rule.words), len(rule.also), len(rule.unless)
        each = tuple(1 << number for number in range(words, words + also))
        marked.append(_Marked(rule, free, (1 << words) - 1, each, words + also, (1 << unless) - 1))
        free += words + also + unless
    return tuple(marked)


@cache
def _indexes() -> tuple[LiteralIndex, LiteralIndex]:
    """Return the expressions of all rules with their bits: those of words, and those of raw texts."""
    words, raw = ([pair for pair in _with_bits() if pair[0] is kind] for kind in (False, True))
    return LiteralIndex(pair[1:] for pair in words), LiteralIndex(pair[1:] for pair in raw)


def _with_bits() -> Iterator[tuple[bool, str, int]]:
    for number, marked in enumerate(_marked()):
        rule = marked.rule
        for at, pattern in enumerate((*rule.words, *rule.also, *rule.unless)):
            of_rule = 1 << number if at < len(rule.words) else 0
            yield rule.raw, pattern.pattern, of_rule | 1 << marked.first + at


@cache
def load_rules(name: str) -> tuple[Rule, ...]:
    """Return the rules of the file ``name`` of this package, in their order."""
    data = tomllib.loads(files("cgcore.mail.diagnosis").joinpath(f"{name}.toml").read_text("utf-8"))
    groups: Mapping[str, str] = data.get("stages", {})
    terms: Mapping[str, str] = data.get("terms", {})
    return tuple(_rule(entry, groups, terms) for entry in data["rule"])


def _rule(entry: Mapping[str, Any], groups: Mapping[str, str], terms: Mapping[str, str]) -> Rule:
    def patterns(name: str) -> tuple[re.Pattern[str], ...]:
        wanted = [_with_terms(text, terms) for text in entry.get(name, ())]
        return tuple(re.compile(_bounded(text if raw else _from_word(text))) for text in wanted)

    raw = bool(entry.get("raw", False))
    stages = entry.get("stages", "")
    return Rule(
        key=entry["key"],
        words=patterns("words"),
        also=patterns("also"),
        unless=patterns("unless"),
        stages=frozenset(groups.get(stages, stages).split()),
        protocols=frozenset(entry.get("protocols", "").split()),
        providers=frozenset(entry.get("providers", "").split()),
        codes=tuple(entry.get("codes", "").split()),
        raw=raw,
    )


def _with_terms(pattern: str, terms: Mapping[str, str]) -> str:
    """Replace ``{name}`` by the words of a term, which may name other terms; a name nobody knows is a ``KeyError``."""
    found = _TERM.sub(lambda name: terms[name[1]], pattern)
    return found if found == pattern else _with_terms(found, terms)


def _from_word(pattern: str) -> str:
    """Let a pattern in Latin letters begin at the beginning of a word; Chinese has no gaps between words."""
    return rf"\b(?:{pattern})" if re.match(r"\(?[a-z]", pattern) else pattern


def _bounded(pattern: str) -> str:
    """Let a gap span a part of a sentence only: server text is hostile, and open gaps cost time without bound."""
    return pattern.replace("]*", "]{0,60}").replace(".*", ".{0,160}")
