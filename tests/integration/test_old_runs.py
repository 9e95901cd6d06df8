"""Runs that an earlier version stored with their sentences: they hold codes afterwards, and read as before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from cgcore.documents import DocumentType
from cgcore.mail.diagnosis.catalogue import diagnosis_keys, key_facts
from cgcore.mail.diagnosis.texts import provider_values, sentences
from cgcore.runs import Run
from cgcore.series.guards import check_default
from cgcore.series.series import Finding, Series
from cgcore.storage.database import Database, open_database
from cgcore.storage.migrations import upgrade_to_head
from cgcore.storage.runs import ProbeRunStore
from cgcore.workbench.verdicts import verdict_texts
from tests.unit.test_texts import VALUES

pytestmark = pytest.mark.usefixtures("by_migrations")

_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
_USERS = sa.table("user", *(sa.column(name) for name in ("id", "username", "username_key")))
_RUNS = sa.table(
    "probe_run",
    *(sa.column(name) for name in ("user_id", "cell", "number", "fingerprint", "started", "finished", "duration_ms")),
    *(sa.column(name, sa.JSON) for name in ("steps", "verdict", "result")),
)


@pytest.fixture
def old_database(empty_database: Database) -> Database:
    """A database of the version that stored sentences, with one user."""
    upgrade_to_head(empty_database.engine, until="0002")
    with empty_database.engine.begin() as connection:
        columns = {column["name"]: column for column in sa.inspect(connection).get_columns("user")}
        filled = {name: "" for name, column in columns.items() if not column["nullable"]}
        values = {**filled, "id": 1, "username": "ana", "username_key": "ana", "active": True, "version": 1}
        moments = {name: _NOON for name, column in columns.items() if isinstance(column["type"], sa.DateTime)}
        table = sa.Table("user", sa.MetaData(), autoload_with=connection)
        connection.execute(table.insert().values({**values, **{n: m for n, m in moments.items() if n in filled}}))
    return empty_database


def _store(database: Database, cell: str, verdict: dict[str, Any], steps: list[Any] = [], result: Any = None) -> None:  # noqa: B006
    with database.engine.begin() as connection:
        connection.execute(
            _RUNS.insert().values(
                user_id=1,
                cell=cell,
                number=1,
                fingerprint="f",
                started=_NOON,
                finished=_NOON,
                duration_ms=7,
                steps=steps,
                verdict=verdict,
                result=result,
            )
        )


def _read_again(database: Database, *cells: str) -> list[Run]:
    open_database(database.url.render_as_string(hide_password=False)).close()
    found = [ProbeRunStore(database).find_last(1, cell) for cell in cells]
    return [run for run in found if run is not None]


def _step(key: str, leg: str, stage: str, **details: object) -> dict[str, Any]:
    kept = {"leg": leg, "stage": stage, "status": "error", "ms": 3, "reply": "550 no", "key": key, "field": "host"}
    return {**kept, "fault": "", "retry": "", "patch": {}, "details": details}


def _verdict(key: str, stage: str, title: str, fix: str) -> dict[str, Any]:
    return {"verdict": key, "stage": stage, "ms": 7, "title": title, "fix": fix}


@pytest.mark.parametrize("amount", ["everything", "nothing", "a provider"])
def test_every_diagnosis_reads_as_it_was_stored(old_database: Database, amount: str) -> None:
    """Each key on each leg, with all values, none, and what a provider offers: the same two sentences, out of codes."""
    told: dict[str, tuple[str, tuple[str, str]]] = {}
    for key in diagnosis_keys():
        for leg, stages in key_facts(key).stages.items():
            values = {
                "everything": {**VALUES, "reply": "550 no"},
                "nothing": {},
                "a provider": {"provider_id": "gmail", "host": "h", **provider_values("gmail", key, leg)},
            }[amount]
            texts, cell = sentences(key, leg, values), f"{leg}-{key}"
            told[cell] = key, texts
            _store(old_database, cell, _verdict(key, stages[0], *texts), [_step(key, leg, stages[0])])

    runs = _read_again(old_database, *told)

    assert len(runs) == len(told)
    for run in runs:
        assert run.verdict is not None
        key, texts = told[run.cell]
        assert (run.verdict.key, verdict_texts(run.cell, run.verdict)) == (key, texts)
        assert "told" not in run.verdict.values, texts


def test_the_facts_of_a_step_are_codes_afterwards(old_database: Database) -> None:
    """A note on the password, a mistake of a field, a day, a kind of server: taken apart, and the rest as it was."""
    hint = "La contraseña que has escrito lleva espacios entre grupos de cuatro letras: prueba sin ellos."
    title, fix = sentences("bad_credentials", "imap")
    _store(
        old_database,
        "imap",
        _verdict("bad_credentials", "auth", title, f"{fix} {hint}"),
        [
            _step("", "imap", "dns", a=["192.0.2.1"]),
            _step("invalid_input", "imap", "input", detail="El puerto va en su propio campo. Escribe solo «mail.es»."),
            _step("cert_expired", "imap", "tls", date="02/11/2026", server_kind="que no es de correo", limit_mb="2,5"),
            _step("bad_credentials", "imap", "auth", hint=hint),
        ],
    )
    (run,) = _read_again(old_database, "imap")

    assert [dict(step.details) for step in run.steps] == [
        {"a": ["192.0.2.1"]},
        {"problem": "port_in_host", "clean": "mail.es"},
        {"date": "2026-11-02", "server_kind": "other", "limit_mb": 2.5},
        {"hint": "password_groups"},
    ]
    assert run.verdict is not None
    assert run.verdict.values == {"leg": "imap", "hint": "password_groups"}
    assert verdict_texts("imap", run.verdict) == (title, f"{fix} {hint}")


def test_words_that_nobody_knows_stay_as_they_were_told(old_database: Database) -> None:
    """A sentence of another wording, a key that is gone, a run without verdict: none is lost, none ends the start."""
    _store(old_database, "smtp", _verdict("bad_credentials", "auth", "Otra frase", "Otro arreglo."))
    _store(old_database, "imap", _verdict("never_heard_of", "auth", "Frase", ""))
    _store(old_database, "test_mail", {})
    smtp, imap, broken = _read_again(old_database, "smtp", "imap", "test_mail")

    assert smtp.verdict is not None
    assert imap.verdict is not None
    assert verdict_texts("smtp", smtp.verdict) == ("Otra frase", "Otro arreglo.")
    assert verdict_texts("imap", imap.verdict) == ("Frase", "")
    assert broken.verdict is None


def test_a_check_of_the_series_reads_as_it_was_stored(old_database: Database) -> None:
    """Its findings are codes with values, its sentences the same, and it still stands for what was checked."""
    series = Series("fñ  21", active=False, counters={})
    found = check_default(DocumentType.QUOTE, series.code, series, company_code="P", year=2026)
    old = [finding.as_json() for finding in found]
    entry = {"type": "quote", "series": series.code, "reason": "user", "findings": old}
    errors = sum(finding.blocks for finding in found)
    title = f"Hay series por defecto que no se pueden usar: {errors}."
    verdict = _verdict("check_errors", "", title, found[0].message)
    _store(old_database, "series_check", verdict, result={"types": [entry]})
    (run,) = _read_again(old_database, "series_check")

    assert run.verdict is not None
    assert run.result is not None
    assert verdict_texts("series_check", run.verdict) == (title, found[0].message)
    assert tuple(Finding.from_json(one) for one in run.result["types"][0]["findings"]) == found
    assert "message" not in str(run.result)


def test_a_check_of_a_key_reads_as_it_was_stored(old_database: Database) -> None:
    """Its code and the answer's status are all that its sentences need."""
    old = _verdict("unexpected", "", "La API ha respondido 503", "Lee la respuesta: dice qué falta.")
    _store(old_database, "api_key", old, result={"status": 503, "phrase": "", "answer": "", "id": "k"})
    (run,) = _read_again(old_database, "api_key")

    assert run.verdict is not None
    assert run.verdict.values == {"status": 503}
    assert verdict_texts("api_key", run.verdict) == (old["title"], old["fix"])
