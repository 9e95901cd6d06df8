"""``probe``: prove one leg of a mail account, step by step, as text or as JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cgcore.cli.operator import read_secret

if TYPE_CHECKING:
    from cgcore.mail.request import ProbeRequest
    from cgcore.runs import Step
    from cgcore.settings import Settings

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Keep «probe» a command of its own: typer would otherwise take its name for an argument."""


@app.command("probe")
def probe_command(
    protocol: Annotated[str, typer.Argument(metavar="smtp|imap", help="The leg to prove.")],
    host: Annotated[str, typer.Option(help="Server name.")],
    security: Annotated[str, typer.Option(help="none, ssl, starttls; imap also ssl-pinned, starttls-pinned.")],
    port: Annotated[int | None, typer.Option(help="Port; the usual one of the security when left out.")] = None,
    user: Annotated[str, typer.Option(help="User name; without it nobody signs in.")] = "",
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password's line.")] = False,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the line of an OAuth2 access token.")
    ] = False,
    mail_from: Annotated[str, typer.Option(help="Sender; the user when that is an address.")] = "",
    to: Annotated[str, typer.Option(help="Recipient; the sender when left out.")] = "",
    folder: Annotated[str, typer.Option(help="Folder for sent mail, tried with one small message.")] = "",
    create_folder: Annotated[bool, typer.Option("--create-folder", help="Create the folder if missing.")] = False,
    pin: Annotated[str, typer.Option(help="SHA-256 of the accepted certificate, 64 hex digits.")] = "",
    provider: Annotated[str, typer.Option(help="Id of a known provider; found by the host when left out.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds for the whole probe.")] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line; the last is the verdict.")] = False,
) -> None:
    """Connect, encrypt and sign in, and say what fails and what to do about it.

    Exit code 0 proven, 1 failed, 2 bad usage. Nothing is sent; the IMAP leg stores one message and removes it.
    """
    from cgcore.mail.account import Security, check_pin, default_port, normal_pin
    from cgcore.mail.request import ProbeRequest
    from cgcore.mail.sign_in import AccessToken, Password
    from cgcore.mail.steps import Leg

    if protocol not in list(Leg):
        _refuse(_say("probe_protocol"))
    if security not in list(Security):
        _refuse(_say("probe_security", known=list(Security)))
    leg, mode = Leg(protocol), Security(security)
    if (mode.pinned or pin) and leg is Leg.SMTP:
        _refuse(_say("probe_smtp_pinned"))
    if pin and not check_pin(pin):
        _refuse(_say("probe_pin"))
    if not 0 < timeout <= 600:
        _refuse(_say("probe_timeout"))
    if password_stdin and token_stdin:
        _refuse(_say("probe_two_secrets"))
    if user and not (password_stdin or token_stdin):
        _refuse(_say("probe_no_secret"))
    kind = AccessToken if token_stdin else Password
    request = ProbeRequest(
        leg=leg,
        host=host,
        port=default_port(leg, mode) if port is None else port,
        security=mode,
        pin=normal_pin(pin),
        user=user,
        credential=kind(read_secret()) if password_stdin or token_stdin else None,
        mail_from=mail_from,
        rcpt_to=to,
        folder=folder,
        create_folder=create_folder,
        timeout=timeout,
        provider=provider or _provider_of(host),
    )
    raise SystemExit(_run(request, as_json=as_json))


def _run(request: ProbeRequest, *, as_json: bool) -> int:
    from cgcore.mail.diagnosis.texts import build_verdict, verdict_texts
    from cgcore.mail.probe import environment_from, probe
    from cgcore.runs import Status
    from cgcore.workbench.sandbox import list_known_targets

    settings = _settings()
    env = environment_from(settings, trusted_targets=list_known_targets(settings))
    started = time.monotonic()
    steps: list[Step] = []
    for step in probe(request, env):
        steps.append(step)
        print(json.dumps(step.to_json(), ensure_ascii=False) if as_json else _line(step), flush=True)
    ms = round((time.monotonic() - started) * 1000)
    verdict = build_verdict(steps, total_ms=ms, **_known(request))
    final = verdict.as_line(*verdict_texts(verdict))
    print(json.dumps(final, ensure_ascii=False) if as_json else _conclusion(final), flush=True)
    return 1 if any(step.status is Status.ERROR for step in steps) else 0


def _settings() -> Settings:
    from cgcore.errors import InvalidSettings
    from cgcore.settings import describe_problems, load_settings

    try:
        return load_settings()
    except InvalidSettings as error:
        _refuse(" ".join(describe_problems(error)))


def _known(request: ProbeRequest) -> dict[str, object]:
    return {
        "host": request.host,
        "port": request.port,
        "user": request.user,
        "sender": request.mail_from or request.user,
        "recipient": request.rcpt_to or request.mail_from or request.user,
        "folder": request.folder,
        "provider_id": request.provider,
    }


def _provider_of(host: str) -> str:
    from cgcore.mail.providers import find_provider_by_host

    known = find_provider_by_host(host)
    return known.id if known else ""


def _line(step: Step) -> str:
    from cgcore.mail.diagnosis.texts import stage_label, status_label

    head = f"{stage_label(step.stage):<28} {status_label(step.status):<12} {step.ms:>6} ms"
    return "\n".join([head + (f"  {step.key}" if step.key else ""), *_quoted(step.reply)])


def _quoted(reply: str) -> Iterator[str]:
    return (f"    « {line} »" for line in reply.splitlines())


def _conclusion(verdict: Mapping[str, Any]) -> str:
    lines = ["", f"{verdict['title']} ({verdict['verdict']}, {verdict['ms']} ms)"]
    return "\n".join([*lines, *([verdict["fix"]] if verdict["fix"] else [])])


def _say(key: str, **values: object) -> str:
    from cgcore.texts import sentence

    return sentence("cgcore.cli", key, **values)


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)
