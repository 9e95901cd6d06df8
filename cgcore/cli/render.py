"""``render``: one template with one document's values, as JSON; the same renderer as the preview and the mails."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, NoReturn

import typer

from cgcore.texts import sentence

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Keep «render» a command of its own: typer would otherwise take its name for an argument."""


@app.command("render")
def render_command(
    document_type: Annotated[str, typer.Argument(metavar="TYPE", help="quote, sales_invoice, …")],
    as_json: Annotated[bool, typer.Option("--json", help="Write the whole answer as JSON.")] = False,
    user: Annotated[str, typer.Option(help="Take the parts left out from this user's templates.")] = "",
) -> None:
    """Read a request from standard input and write the rendered parts and the checks.

    Exit code 0 whatever the checks say, 2 for what is no such request.
    """
    from cgcore.errors import InvalidInput, NotFound
    from cgcore.templates.render import parse_document_type, parse_request

    try:
        kind = parse_document_type(document_type)
        request = parse_request(_read_json())
        answer = _render(user, kind, request)
    except InvalidInput as refused:
        _refuse(" ".join(problem.message for problem in refused.problems))
    except NotFound:
        _refuse(sentence("cgcore.cli", "unknown_user", name=user))
    if as_json:
        print(json.dumps(answer))
        return
    print(f"{answer['subject']}\n\n{answer['text']}")
    for check in answer["checks"]:
        print(f"{check['severity']}: {check['field']}: {check['message']}", file=sys.stderr)


def _read_json() -> object:
    try:
        return json.loads(sys.stdin.buffer.read().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        _refuse(sentence("cgcore.cli", "render_no_json"))


def _render(user: str, kind: Any, request: Any) -> dict[str, Any]:
    if user:
        from cgcore.workbench import get_workbench

        return get_workbench().templates.render_for_user(user, kind, request).to_dict()
    from cgcore.templates.render import render
    from cgcore.templates.stored import default_source

    return render(kind, request.source(default_source(kind)), request.variables).to_dict()


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)
