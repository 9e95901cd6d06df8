"""The wordings of the rule files: loading them, and finding the first rule that a reply fits."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cgcore.mail.rules.reply import Reply

__all__ = ["Rule", "Situation", "find_key", "load_rules"]


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

    def fits(self, reply: Reply, where: Situation) -> bool:
        """Whether the rule holds for a reply in a situation; an unknown stage fits any."""
        return self._applies(reply, where) and self._matches(reply.raw if self.raw else reply.words)

    def _applies(self, reply: Reply, where: Situation) -> bool:
        return (
            (not self.stages or not where.stage or where.stage in self.stages)
            and (not self.protocols or where.protocol in self.protocols)
            and (not self.providers or where.provider in self.providers)
            and (not self.codes or f"{reply.code or reply.status}".startswith(self.codes))
        )

    def _matches(self, text: str) -> bool:
        return (
            any(pattern.search(text) for pattern in self.words)
            and all(pattern.search(text) for pattern in self.also)
            and not any(pattern.search(text) for pattern in self.unless)
        )


def find_key(rules: Iterable[Rule], reply: Reply, where: Situation) -> str:
    """Return the key of the first rule that fits, ``""`` when none does."""
    return next((rule.key for rule in rules if rule.fits(reply, where)), "")


@cache
def load_rules(name: str) -> tuple[Rule, ...]:
    """Return the rules of the file ``name`` of this package, in their order."""
    data = tomllib.loads(files("cgcore.mail.rules").joinpath(f"{name}.toml").read_text("utf-8"))
    groups: Mapping[str, str] = data.get("stages", {})
    return tuple(_rule(entry, groups) for entry in data["rule"])


def _rule(entry: Mapping[str, Any], groups: Mapping[str, str]) -> Rule:
    def patterns(name: str) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(_bounded(text if raw else _from_word(text))) for text in entry.get(name, ()))

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


def _from_word(pattern: str) -> str:
    """Let a pattern in Latin letters begin at the beginning of a word; Chinese has no gaps between words."""
    return rf"\b(?:{pattern})" if re.match(r"\(?[a-z]", pattern) else pattern


def _bounded(pattern: str) -> str:
    """Let a gap span a part of a sentence only: server text is hostile, and open gaps cost time without bound."""
    return pattern.replace("]*", "]{0,60}").replace(".*", ".{0,160}")
