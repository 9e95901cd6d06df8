"""``python -m cgcore render``: exit codes, the shape of the answer, input of any kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cgcore.documents import DocumentType
from cgcore.templates.compile import TemplateSource
from cgcore.templates.render import render
from cgcore.templates.stored import default_signature

LOGO = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
ROOT = Path(__file__).parents[2]


def run(request: Any, *arguments: str, data_dir: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    raw = request if isinstance(request, bytes) else json.dumps(request).encode()
    environment = {**os.environ, "CG_DATA_DIR": str(data_dir)} if data_dir else None
    command = [sys.executable, "-m", "cgcore", "render", *(arguments or ("sales_invoice", "--json"))]
    return subprocess.run(command, input=raw, capture_output=True, cwd=ROOT, env=environment, timeout=60, check=False)


def test_the_answer_has_one_shape_and_a_check_stops_nothing() -> None:
    """Exit code 0 with errors; every field of answer, check and image; the renderer is the one of the mails."""
    body = f'<p>{{serie}}<img src="{LOGO}" alt="L" width="4"></p>'
    done = run({"subject": "{nunero} {numero}", "body": body, "variables": {"serie": ""}})
    answer = json.loads(done.stdout)
    source = TemplateSource("{nunero} {numero}", body, default_signature())

    assert done.returncode == 0
    assert set(answer) == {"subject", "html", "text", "images", "checks"}
    assert set(answer["checks"][0]) == {
        *("code", "severity", "field", "position", "variable", "suggestion", "message"),
    }
    assert [(c["code"], c["severity"], c["field"]) for c in answer["checks"]] == [
        ("unknown_variable", "error", "subject"),
        ("empty_value", "warning", "body"),
    ]
    assert set(answer["images"][0]) == {"cid", "type", "width", "height", "bytes"}
    assert [answer["images"][0][name] for name in ("type", "width", "height")] == ["image/gif", 4, 4]
    assert answer["subject"] == "{nunero} 21043"
    assert answer == render(DocumentType.SALES_INVOICE, source, {"serie": ""}).to_dict()


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"x",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100000,
        {"subject": 1},
        {"body": None},
        {"variables": []},
        {"variables": {"serie": 1}},
        {"variables": {"serie": None}},
        {"other": "x"},
    ],
)
def test_what_is_no_request_exits_with_2(request_: Any) -> None:
    """One sentence on standard error, nothing on standard output, no traceback."""
    done = run(request_)

    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("code", ["purchase_invoice", "nothing", ""])
def test_a_type_without_template_exits_with_2(code: str) -> None:
    """Unknown types and those that are never mailed."""
    assert run({}, code, "--json").returncode == 2


def test_a_megabyte_gets_an_answer() -> None:
    """Whole, and with the check that it is too big."""
    done = run({"body": "<p>{serie} {nunero} &amp; <b>x</b></p>" * 27000})

    assert done.returncode == 0
    assert "too_big" in {check["code"] for check in json.loads(done.stdout)["checks"]}


def test_a_user_without_templates_has_the_defaults_and_an_unknown_one_exits_with_2(tmp_path: Path) -> None:
    """``--user`` reads that user's templates."""
    added = subprocess.run(
        [sys.executable, "-m", "cgcore", "user", "add", "ana", "--role", "user", "--password-stdin"],
        input=b"una frase bastante larga 7\n",
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "CG_DATA_DIR": str(tmp_path)},
        check=False,
    )
    done = run({}, "quote", "--json", "--user", "ana", data_dir=tmp_path)

    assert added.returncode == 0, added.stderr
    assert json.loads(done.stdout)["subject"].startswith("Adjunto Presupuesto")
    assert run({}, "quote", "--json", "--user", "nadie", data_dir=tmp_path).returncode == 2
