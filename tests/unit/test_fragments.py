"""Fragments keep to themselves: one that writes outside its own place ends the page in the browser."""

from __future__ import annotations

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import element_tree, local_script_runner

from cgcore.documents import DocumentType
from cgcore.workbench import Workbench
from tests.servers.api_users import add_person, issue_key
from tests.servers.house import add_series
from tests.servers.pages import open_page

# The pages that have fragments, and how many; one of each is the lifeline of the tab.
PAGES = {"mail_account.py": 6, "overview.py": 2, "sending_defaults.py": 2, "series_defaults.py": 2, "api_key.py": 3}


@pytest.mark.parametrize("script", PAGES)
def test_a_fragment_writes_inside_its_own_place(
    script: str, monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Whatever a fragment sends lies under the first thing that it sends.

    A run of the page and one of a fragment may reach the browser interleaved: then a place outside is not there.
    """
    sent: list[ForwardMsg] = []
    parse = element_tree.parse_tree_from_messages
    monkeypatch.setattr(
        local_script_runner,
        "parse_tree_from_messages",
        lambda messages: (sent.clear(), sent.extend(messages), parse(messages))[2],
    )
    ana = add_person(workbench, "ana")
    add_series(workbench, ana.actor, "F", DocumentType.SALES_INVOICE)
    issue_key(workbench, ana)

    app = open_page(monkeypatch, workbench, ana.actor, script)

    roots: dict[str, list[int]] = {}
    outside: list[tuple[str, list[int]]] = []
    for message in sent:
        owner, path = message.delta.fragment_id, list(message.metadata.delta_path)
        if message.WhichOneof("type") == "delta" and owner:
            root = roots.setdefault(owner, path)
            if path[: len(root)] != root:
                outside.append((owner, path))
    assert not app.exception
    assert len(roots) == PAGES[script]
    assert outside == []
