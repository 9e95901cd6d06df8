"""``discover``: the servers of a mail address, proven live and without a password."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from cgcore.activity import neutral_line
from cgcore.text_rules import MAX_MAIL
from cgcore.texts import lookup, sentence

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_HERE = "cgcore.cli"


@app.callback()
def _group() -> None:
    """Keep «discover» a command of its own: typer would otherwise take its name for an argument."""


@app.command("discover")
def discover_command(
    address: Annotated[str, typer.Argument(help="The mail address.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Find and prove the servers of a mail address, those that the company has kept first; no password is sent.

    Exit code 0: both servers proven, 1: one or none, 2: bad usage.
    """
    from cgcore.mail.discovery.discover import discover
    from cgcore.mail.request import environment_from
    from cgcore.settings import load_settings
    from cgcore.workbench.discovery import read_presets

    settings = load_settings()
    found = discover(address, environment_from(settings), presets=read_presets(settings)).to_json()
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(_lines(found)))
    sys.stdout.flush()
    raise SystemExit(0 if found["verdict"] == "ok" else 1)


def _lines(found: dict[str, Any]) -> list[str]:
    legs = [(leg, found[leg]) for leg in ("smtp", "imap") if found[leg]]
    lines = [
        f"{leg}\t{server['host']}:{server['port']}\t{server['security']}\t{server['username']}\t{server['source']}"
        for leg, server in legs
    ]
    if not lines:
        lines = [sentence(_HERE, "discover_none", address=neutral_line(found["address"], MAX_MAIL))]
        if found["reason"]:
            reason: str = lookup("cgcore.mail", "discovery")["reason"][found["reason"]]
            domain = neutral_line(found["domain"], MAX_MAIL)
            lines.append(reason.format(domain=domain, provider=domain))
    if found["suggestion"]:
        lines.append(sentence(_HERE, "discover_suggestion", suggestion=neutral_line(found["suggestion"], MAX_MAIL)))
    return [*lines, *(hint["text"] for hint in found["hints"])]
