"""``explain``: what a reply, a bounce or a log means, one at a time or as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NoReturn, cast

import typer

from cgcore.texts import sentence

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_HERE = "cgcore.cli"
_NAMES = ("protocol", "stage", "text", "provider")


@app.callback()
def _group() -> None:
    """Keep «explain» a command of its own: typer would otherwise take its name for an argument."""


@app.command("explain")
def explain_command(
    text: Annotated[str | None, typer.Argument(help="The reply; without it JSON lines on standard input.")] = None,
    protocol: Annotated[str, typer.Option(metavar="smtp|imap|library", help="Who said it.")] = "",
    stage: Annotated[str, typer.Option(help="Where it was said: auth, mail_from, rcpt_to, …")] = "",
    provider: Annotated[str, typer.Option(help="Id of the provider, where it is known.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Explain a reply in plain words.

    Without TEXT: one JSON object a line, {"protocol", "stage", "text", "provider"}, one line of JSON each in order;
    there a provider that is not in the table is one we do not know. Exit code 0, or 2 for what cannot be read.
    """
    if text is None:
        for line in _explained(sys.stdin.buffer, {"protocol": protocol, "stage": stage, "provider": provider}):
            print(line, flush=True)
        return
    given = {"text": text.replace("\\n", "\n"), "protocol": protocol, "stage": stage, "provider": provider}
    explanation = _explain(given, "")
    print(json.dumps(explanation, ensure_ascii=False) if as_json else "\n".join(explanation.values()))


def _explained(lines: Iterable[bytes], common: dict[str, str]) -> Iterator[str]:
    for number, raw in enumerate(lines, start=1):
        if raw.strip():
            where = sentence(_HERE, "explain_line", number=number) + " "
            yield json.dumps(_explain({**common, **_read(raw, where)}, where), ensure_ascii=False)


def _read(raw: bytes, where: str) -> dict[str, str]:
    try:
        found: object = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        _refuse(where + sentence(_HERE, "explain_no_json"))
    if not isinstance(found, dict):
        _refuse(where + sentence(_HERE, "explain_no_object"))
    given = cast("dict[str, Any]", found)
    if "text" not in given:
        _refuse(where + sentence(_HERE, "explain_no_text"))
    kept = {name: given[name] for name in _NAMES if given.get(name) is not None}
    if wrong := [name for name, value in kept.items() if not isinstance(value, str)]:
        _refuse(where + sentence(_HERE, "explain_not_text", name=wrong[0]))
    return kept


def _explain(given: dict[str, str], where: str) -> dict[str, str]:
    from cgcore.mail.diagnosis.diagnose import PROTOCOLS
    from cgcore.mail.diagnosis.pasted import explain_pasted
    from cgcore.mail.providers import find_provider
    from cgcore.mail.steps import Stage

    protocol, stage, provider = given["protocol"] or "library", given["stage"], given["provider"]
    if protocol not in PROTOCOLS:
        _refuse(where + sentence(_HERE, "explain_protocol", known=list(PROTOCOLS)))
    if stage and stage not in list(Stage):
        _refuse(where + sentence(_HERE, "explain_stage", stage=stage, known=list(Stage)))
    if provider and not where and find_provider(provider) is None:
        _refuse(sentence(_HERE, "explain_provider", provider=provider))
    return explain_pasted(given["text"], protocol=protocol, stage=stage, provider=provider).to_json()


def _refuse(message: str) -> NoReturn:
    print(message[0].upper() + message[1:], file=sys.stderr)
    raise SystemExit(2)
