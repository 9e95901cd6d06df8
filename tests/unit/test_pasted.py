"""«Explícame este error»: out of a bounce or the log of another program, the line that tells what is wrong."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cgcore.mail.diagnosis.catalogue import diagnosis_keys
from cgcore.mail.diagnosis.diagnose import explain_reply
from cgcore.mail.diagnosis.pasted import LONGEST_TEXT, explain_pasted
from cgcore.workbench import Workbench
from tests.servers.pages import open_page, sign_in
from tests.unit.test_cli_explain import explain

DATA = Path(__file__).parents[1] / "data"
TEXTS: list[dict[str, Any]] = tomllib.loads((DATA / "pasted.toml").read_text("utf-8"))["text"]
REPLIES: list[dict[str, Any]] = tomllib.loads((DATA / "server_replies.toml").read_text("utf-8"))["reply"]


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: str(row["name"]))
def test_the_telling_line_of_many_is_found(row: dict[str, Any]) -> None:
    """Bounces with their DSN fields, logs of servers and programs, a conversation line by line."""
    found = explain_pasted(row["text"])

    assert found.key == row["key"]
    assert row["told_by"] in found.line
    assert found.title


def test_one_reply_is_explained_as_before() -> None:
    """What is a single reply, on however many lines, gets the answer that it always got."""
    for row in REPLIES:
        known = {"protocol": row["protocol"], "stage": row["stage"], "provider": row["provider"]}

        assert explain_pasted(row["text"], **known).key == explain_reply(row["text"], **known).key
        assert explain_pasted(row["text"]).key == explain_reply(row["text"].strip()).key


def test_the_first_cause_counts_and_not_what_follows_from_it() -> None:
    """A refused password ends with a closed connection; the closed connection is not what is wrong."""
    log = "C: AUTH PLAIN\nS: 535 5.7.8 Authentication failed\nS: 421 4.7.0 closing connection\nConnection reset by peer"

    assert explain_pasted(log).key == "bad_credentials"


def test_the_message_that_a_bounce_repeats_is_not_read() -> None:
    """Its subject may be about another error."""
    bounce = "550 5.1.1 no such user\n\n------ This is a copy of the message ------\nSubject: 535 5.7.8 bad password\n"

    assert explain_pasted(bounce).key == "recipient_unknown"


@pytest.mark.parametrize("text", ["", "\n" * 9, "Hola,\n¿qué tal?\nUn saludo", "550-\n" * 40_000, "x" * 300_000])
def test_whatever_is_pasted_is_answered(text: str) -> None:
    """Nothing, prose, a flood: some key of the table and never an error."""
    found = explain_pasted(text)

    assert found.key in diagnosis_keys()
    assert len(found.line) <= 1000 < LONGEST_TEXT


def test_the_command_line_takes_a_whole_bounce_and_a_whole_log() -> None:
    """The same answer as on the page, as an argument and as a line of JSON."""
    row = next(row for row in TEXTS if row["name"] == "exim_bounce")

    told = explain("--json", row["text"])
    lined = explain(given=json.dumps({"text": row["text"]}) + "\n")

    assert json.loads(told.stdout) == json.loads(lined.stdout) == explain_pasted(row["text"]).to_json()
    assert json.loads(told.stdout)["key"] == "recipient_full"


@pytest.mark.parametrize(("script", "key"), [("overview.py", "overview"), ("mail_account.py", "mail_account")])
def test_a_pasted_bounce_is_explained_on_the_page(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, script: str, key: str
) -> None:
    """On Resumen and on «Cuenta mail»: title, fix, and the line that says so, with what is in it shown as text."""
    app = open_page(monkeypatch, workbench, sign_in(workbench, "ana"), script)
    app.session_state[f"{key}_explain"] = True
    app.run()
    row = next(row for row in TEXTS if row["name"] == "dsn")

    app.text_area(key=f"{key}_explain_text").set_value(row["text"] + "<b>*hola*</b>").run()
    app.button(key=f"{key}_explain_run").click().run()

    assert not app.exception
    assert any("lista gris" in each.proto.title for each in app.error)
    assert any("Greylisted" in each.value for each in app.code)
    assert not any("hola" in each.value for each in app.code)
