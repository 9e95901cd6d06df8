"""The quick search of the rules gives the answers of the slow one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.mail.diagnosis.literals import LiteralIndex, required_literals
from cgcore.mail.diagnosis.reply import parse_reply
from cgcore.mail.diagnosis.rules import RuleSearch, Situation, load_rules
from cgcore.mail.steps import Stage

DATA = Path(__file__).parents[1] / "data"
FILES = ("server_replies.toml", "replies_more.toml", "replies_by_class.toml")
ROWS = [row for name in FILES for row in tomllib.loads((DATA / name).read_text("utf-8"))["reply"]]
RULES = ("first", "providers", "notions", "sign_in", "envelope", "addresses", "notions_late", "library", "last")


def assert_same_answers(protocol: str, stage: str, provider: str, text: str) -> None:
    reply, where = parse_reply(protocol, text), Situation(protocol, stage, provider)
    search = RuleSearch(reply, where)
    for name in RULES:
        slow = next((rule.key for rule in load_rules(name) if rule.fits(reply, where)), "")
        assert search.key(name) == slow, (name, protocol, stage, text)


def test_the_index_leaves_no_rule_out_that_holds() -> None:
    """Every collected reply, file by file, also under a stage and a protocol that are not its own."""
    for row in ROWS[::3]:
        assert_same_answers(row["protocol"], row["stage"], row["provider"], row["text"])
        assert_same_answers("library", "", "", row["text"])


@given(
    st.sampled_from(["smtp", "imap", "library"]),
    st.sampled_from(["", *Stage]),
    st.lists(st.sampled_from([word for row in ROWS[::7] for word in row["text"].split()]), max_size=12),
)
def test_words_of_servers_in_any_order_get_the_same_answer_both_ways(
    protocol: str, stage: str, words: list[str]
) -> None:
    """Sentences that nobody has written find the same rules."""
    assert_same_answers(protocol, stage, "", " ".join(words))


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        (r"\bquota exceeded", {"quota exceeded"}),
        (r"(mailbox|buzon) ?(full|lleno)", {"mailbox", "buzon"}),
        (r"recipients?", {"recipient"}),
        (r"(?:limit)+ reached", {" reached"}),
        (r"[a-z]*\d?", set[str]()),
        (r"(full|\d+)", set[str]()),
        (r"(?!quota)limits", {"limits"}),
        (r"(?i:quota) x", {" x"}),
    ],
)
def test_the_letters_that_an_expression_cannot_do_without(pattern: str, literals: set[str]) -> None:
    """Of each way to match one text is named; where a way has none, nothing is."""
    assert required_literals(pattern) == literals


def test_an_expression_without_any_letters_is_always_worth_a_search() -> None:
    """What is not known of is not left out."""
    index = LiteralIndex([(r"\d+", 0b001), ("full", 0b010), ("no", 0b100)])

    assert index.find("") == 0b001
    assert index.find("is full, now") == 0b111
    assert index.find("is ful") == 0b001


def test_every_rule_but_a_few_is_found_by_letters() -> None:
    """The search is quick for as long as almost no expression has to be tried on every text."""
    patterns = [
        pattern
        for name in RULES
        for rule in load_rules(name)
        for pattern in (*rule.words, *rule.also, *rule.unless)
        if not required_literals(pattern.pattern)
    ]

    assert len(patterns) < 40, [re.sub(r"\s+", " ", each.pattern)[:60] for each in patterns]
