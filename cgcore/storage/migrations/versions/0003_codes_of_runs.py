"""Stored runs hold codes and values: the sentences of verdicts, steps and findings are taken apart again.

A sentence is recognised by the wordings of the catalogue. One that is not is kept as it was told, and shown so.

Revision ID: 0003
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from cgcore.language import speaking
from cgcore.texts import lookup

revision = "0003"
down_revision = "0002"

_BATCH = 500
_HINTS = ("password_outer_spaces", "password_groups", "password_invisible")

_runs = sa.table(
    "probe_run",
    sa.column("id", sa.Integer),
    sa.column("cell", sa.String),
    sa.column("fingerprint", sa.String),
    sa.column("steps", sa.JSON),
    sa.column("verdict", sa.JSON(none_as_null=True)),
    sa.column("result", sa.JSON(none_as_null=True)),
)


def upgrade() -> None:
    """Rewrite every stored run."""
    connection, last = op.get_bind(), 0
    with speaking("es"):
        while rows := connection.execute(_runs.select().where(_runs.c.id > last).limit(_BATCH).order_by("id")).all():
            for row in rows:
                last = row.id
                connection.execute(_runs.update().where(_runs.c.id == row.id).values(**_in_codes(row)))


def _in_codes(row: sa.Row[Any]) -> dict[str, Any]:
    steps = [_step(step) for step in row.steps or ()]
    if row.cell == "series_check":
        return _series_check(row, steps)
    verdict = row.verdict
    if verdict and "title" in verdict:
        values = {"status": (row.result or {}).get("status", 0)} if row.cell == "api_key" else _values(verdict, steps)
        verdict = {"key": verdict["verdict"], "stage": verdict["stage"], "ms": verdict["ms"], "values": values}
    return {"steps": steps, "verdict": verdict}


# ---- A probe of the mail account


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    details = dict(step.get("details") or {})
    details.pop("alternative", None)  # what ``working_ports`` tells
    if hint := details.get("hint"):
        details["hint"] = next((code for code in _HINTS if hint == _entry(f"problems.{code}")), hint)
    if "detail" in details:
        details |= _problem(str(details.pop("detail")))
    details |= {name: _coded(name, details[name]) for name in ("server_kind", "date", "limit_mb") if name in details}
    return {**step, "details": details}


def _problem(told: str) -> dict[str, Any]:
    for code, wording in _table("cgcore.mail", "problems").items():
        if (found := _read(told, [wording])) is not None:
            return {"problem": code, **found}
    return {"detail": told}


def _values(verdict: Mapping[str, Any], steps: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    step: Mapping[str, Any] = next(
        (step for step in steps if step["key"] == verdict["verdict"] and step["stage"] == verdict["stage"]), {}
    )
    leg = str(step.get("leg", "smtp"))
    diagnosis = _table("cgcore.mail", f"diagnosis.{verdict['verdict']}")
    diagnosis = {**diagnosis, **diagnosis.get(leg, {})}
    fix, hint = _without_hint(str(verdict["fix"]))
    title = _read(str(verdict["title"]), diagnosis.get("title", ()))
    rest = _read_parts(fix, diagnosis.get("fix", ()))
    if title is None or rest is None:
        return {"leg": leg, "told": [verdict["title"], verdict["fix"]]}
    found = {**title, **rest}
    known = {name: value for name, value in (step.get("details") or {}).items() if name in found}
    if "detail" in found:
        known |= _problem(str(found.pop("detail")))
    if "field" in found:
        known["field"] = step.get("field", "")
    coded = {name: _coded(name, value) for name, value in found.items()}
    return {"leg": leg, **coded, **known, **({"hint": hint} if hint else {})}


def _without_hint(fix: str) -> tuple[str, str]:
    for code in _HINTS:
        if (told := _entry(f"problems.{code}")) and fix.endswith(told):
            return fix.removesuffix(told).rstrip(), code
    return fix, ""


def _coded(name: str, value: Any) -> Any:
    if name in ("server_kind", "scope"):
        words = _table("cgcore.mail", name)
        return next((code for code, word in words.items() if word == value), value)
    if name == "minutes":
        return int(value) if str(value).isdigit() else value
    try:
        if name == "date":
            return datetime.strptime(str(value), "%d/%m/%Y").date().isoformat()  # noqa: DTZ007  a day, no moment
        return float(str(value).replace(",", ".")) if name == "limit_mb" else value
    except ValueError:
        return value


# ---- A check of the series


def _series_check(row: sa.Row[Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    types = [
        {**entry, "findings": [_finding(finding, entry["type"]) for finding in entry["findings"]]}
        for entry in (row.result or {}).get("types", ())
    ]
    findings = [finding for entry in types for finding in entry["findings"]]
    findings.sort(key=lambda finding: finding["severity"] != "error")
    verdict = row.verdict
    if verdict and "title" in verdict:
        errors = sum(finding["severity"] == "error" for finding in findings)
        counts = {"errores": errors, "avisos": len(findings) - errors}
        values = {**counts, "first": findings[0]} if findings else {}
        verdict = {"key": verdict["verdict"], "stage": verdict["stage"], "ms": verdict["ms"], "values": values}
    result = {**row.result, "types": types} if row.result else row.result
    # What was checked has not changed, so the cell must not say that it has.
    content = [[entry["type"], entry["series"], entry["reason"], entry["findings"]] for entry in types]
    fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest() if types else row.fingerprint
    return {"steps": steps, "verdict": verdict, "result": result, "fingerprint": fingerprint}


def _finding(finding: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if "message" not in finding:
        return dict(finding)
    told = str(finding["message"])
    values = _read(told, [_entry(str(finding["code"]), "cgcore.series")])
    if values is None:
        values = {"told": told}
    values.pop("tipo", None)
    if "signos" in values:
        blanks = _entry("several_spaces", "cgcore.series")
        values["signos"] = [" " if sign == blanks else sign.strip("«»") for sign in re.split(", | y ", values["signos"])]
    if "ultimo" in values and str(values.get("siguiente", "")).isdigit():
        values["siguiente"] = int(values["siguiente"])
    return {
        "rule": finding["rule"],
        "code": finding["code"],
        "severity": finding["severity"],
        "type": kind,
        "values": values,
    }


# ---- Sentences, read backwards


def _table(file: str, name: str) -> Mapping[str, Any]:
    try:
        return lookup(file, name)
    except (KeyError, OSError, ModuleNotFoundError):
        return {}


def _entry(key: str, file: str = "cgcore.mail") -> str:
    *tables, name = key.split(".")
    entry = _table(file, ".".join(tables)).get(name, "")
    return entry if isinstance(entry, str) else ""


def _read(told: str, wordings: Iterable[object]) -> dict[str, Any] | None:
    """Return the values that make one of ``wordings`` say ``told``, None where none does."""
    return _match(_alternatives(wordings, iter(range(100))), told)


def _read_parts(told: str, parts: Iterable[object]) -> dict[str, Any] | None:
    numbers = iter(range(1000))
    pattern = "".join(
        f"(?:(?:{_alternatives([part] if isinstance(part, str) else part, numbers)}) ?)?"  # pyright: ignore
        for part in parts
    )
    return _match(pattern, told)


def _alternatives(wordings: Iterable[object], numbers: Iterator[int]) -> str:
    kept = [wording for wording in wordings if isinstance(wording, str) and wording]
    # Those without values first: «El servidor calla» is not «{host} calla».
    return "|".join(_pattern(wording, numbers) for wording in sorted(kept, key=lambda wording: "{" in wording))


def _pattern(wording: str, numbers: Iterator[int]) -> str:
    parts: list[str] = []
    end = 0
    for place in re.finditer(r"(?<!\{)\{(\w+)(?::(\w+))?\}(?!\})", wording):
        name = f"{place[1]}__{next(numbers)}"
        value = rf"(?P<{name}>\d+)\ minutos?" if place[2] == "minutes" else f"(?P<{name}>.+?)"
        parts += [_literal(wording[end : place.start()]), value]
        end = place.end()
    return "".join([*parts, _literal(wording[end:])])


def _literal(text: str) -> str:
    return re.escape(text.replace("{{", "{").replace("}}", "}"))


def _match(pattern: str, told: str) -> dict[str, Any] | None:
    found = re.fullmatch(pattern, told, re.DOTALL) if pattern else None
    if found is None:
        return {} if not told and not pattern else None
    return {name.rpartition("__")[0]: value for name, value in found.groupdict().items() if value is not None}
