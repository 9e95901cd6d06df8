"""The diagnosis keys, held against the agreed table."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cgcore.mail.diagnosis.catalogue import IMAP_STAGES, SMTP_STAGES, build_diagnosis, diagnosis_keys, key_facts
from cgcore.mail.steps import Leg, Stage

TABLE = {
    row["key"]: row
    for row in tomllib.loads((Path(__file__).parents[1] / "data/diagnosis_table.toml").read_text("utf-8"))["row"]
}


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text != "–" else ()


def test_the_catalogue_holds_exactly_the_keys_of_the_table() -> None:
    """No key is missing and none is invented."""
    assert diagnosis_keys() == tuple(TABLE)


@pytest.mark.parametrize("key", TABLE)
def test_field_fault_and_retry_are_those_of_the_table(key: str) -> None:
    """What a step says of a key is what was agreed."""
    row, facts = TABLE[key], key_facts(key)

    assert facts.fields == (("*",) if row["field"] == "the field" else words(row["field"]))
    assert facts.faults == words(row["fault"])
    assert facts.retry == ("" if row["retry"] == "–" else row["retry"])


@pytest.mark.parametrize("key", TABLE)
def test_the_legs_are_those_of_the_table(key: str) -> None:
    """A key of one leg does not appear in the other."""
    letters = {letter for part in TABLE[key]["where"].split(";") for letter in part.split(":")[0].strip()}

    assert {leg.value[0].upper() for leg in key_facts(key).stages} == letters


def test_a_key_of_two_fields_points_at_the_one_of_its_stage() -> None:
    """A badly written address is the sender's at MAIL FROM and the recipient's at RCPT TO."""
    assert build_diagnosis("address_syntax", Stage.MAIL_FROM).field == "sender"
    assert build_diagnosis("address_syntax", Stage.RCPT_TO).field == "recipient"
    assert build_diagnosis("invalid_input", Stage.DNS).field == "host"
    assert build_diagnosis("invalid_input", Stage.INPUT, field="port").field == "port"


def test_every_stage_belongs_to_a_leg() -> None:
    """The two orders hold every stage."""
    assert {*SMTP_STAGES, *IMAP_STAGES} == set(Stage)
    assert key_facts("connection_dropped").stages[Leg.SMTP][-1] is Stage.DATA
