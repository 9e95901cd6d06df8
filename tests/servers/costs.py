"""What a run of a page costs, in figures that no machine changes: messages to the browser, transactions, selects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import element_tree, local_script_runner

from cgcore.storage.database import Database

__all__ = ["Cost", "cost_of", "count_messages", "counting"]


@dataclass(slots=True)
class Cost:
    """What was counted."""

    messages: int = 0
    transactions: int = 0
    selects: int = 0


@contextmanager
def counting(database: Database) -> Iterator[Cost]:
    """Count what reaches the database within the block."""
    cost = Cost()

    def begin(_connection: Any) -> None:
        cost.transactions += 1

    def execute(_connection: Any, _cursor: Any, statement: str, *_given: Any) -> None:
        cost.selects += statement.lstrip().upper().startswith("SELECT")

    event.listen(database.engine, "begin", begin)
    event.listen(database.engine, "before_cursor_execute", execute)
    try:
        yield cost
    finally:
        event.remove(database.engine, "begin", begin)
        event.remove(database.engine, "before_cursor_execute", execute)


def count_messages(monkeypatch: pytest.MonkeyPatch) -> list[ForwardMsg]:
    """Return a list to which every message of a page that AppTest runs is added."""
    sent: list[ForwardMsg] = []
    parse = element_tree.parse_tree_from_messages
    monkeypatch.setattr(
        local_script_runner, "parse_tree_from_messages", lambda messages: (sent.extend(messages), parse(messages))[1]
    )
    return sent


def cost_of(database: Database, sent: list[ForwardMsg], run: Callable[[], object]) -> Cost:
    """Return what ``run`` costs, with ``sent`` from :func:`count_messages`."""
    sent.clear()
    with counting(database) as cost:
        run()
    cost.messages = len(sent)
    return cost
