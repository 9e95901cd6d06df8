"""``worker`` sends what waits, without a browser part; ``outbox`` shows and changes it, for whoever holds the data."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cgcore.allocation import keep_one_heap
from cgcore.cli.operator import opened_workbench
from cgcore.logs import install_json_log
from cgcore.texts import sentence

if TYPE_CHECKING:
    from cgcore.identity.actor import Actor
    from cgcore.outbox.message import Message
    from cgcore.workbench import Workbench

__all__ = ["app"]

_TEXTS = "cgcore.cli"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
group = typer.Typer(no_args_is_help=True)
app.add_typer(group, name="outbox")

_Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, as in the API.")]
_Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a message.")]
_User = Annotated[str, typer.Argument(metavar="[USER]", help="User name; all of them, where it is left out.")]


@app.callback()
def _commands() -> None:
    """The outbox."""


@group.callback()
def _group() -> None:
    """List messages, show, cancel or resend one, let held ones go. Exit code 0 done, 1 refused, 2 usage."""


@app.command()
def worker() -> None:
    """Send what waits in the outbox until the process is told to stop."""
    keep_one_heap()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    with _opened() as workbench:
        if workbench.settings.log == "json":
            install_json_log()
        workbench.outbox.worker.start()
        workbench.oauth.keep_alive.start()
        workbench.mail_watch.start()
        print(sentence(_TEXTS, "worker_started"), flush=True)
        stop.wait()


@group.command("list")
def list_command(
    user: _User = "",
    state: Annotated[str, typer.Option(help="Only messages in this state.")] = "",
    as_json: _Json = False,
) -> None:
    """List the messages, the newest first."""
    from cgcore.workbench.outbox.describe import SHOWN_STATES, filters_for

    if state and state not in SHOWN_STATES:
        raise typer.BadParameter(", ".join(SHOWN_STATES), param_hint="--state")
    with _opened() as workbench:
        filters = filters_for(state)
        for actor in _people(workbench, user):
            for message in workbench.outbox.list(actor, filters, limit=200).messages:
                _show(message, as_json=as_json)


@group.command()
def show(name: _Id, as_json: _Json = False) -> None:
    """Show one message with recipients and tries."""
    with _opened() as workbench:
        actor, message = _find(workbench, name)
        del actor
        if as_json:
            _show(message, as_json=True)
            return
        _show(message, as_json=False)
        for each in message.recipients:
            print(f"  {each.kind.value}: {each.address} · {each.state.value} {each.reply}".rstrip())
        for attempt in message.attempts:
            print(f"  {attempt.began:%Y-%m-%d %H:%M:%S} {attempt.stage} {attempt.key} {attempt.reply}".rstrip())


@group.command()
def cancel(name: _Id, as_json: _Json = False) -> None:
    """Take a message back that waits."""
    with _opened() as workbench:
        actor, _ = _find(workbench, name)
        _show(workbench.outbox.cancel(actor, name), as_json=as_json)


@group.command("skip-rest")
def skip_rest(name: _Id, as_json: _Json = False) -> None:
    """End a message that some of its recipients have already: the others do not get it."""
    with _opened() as workbench:
        actor, _ = _find(workbench, name)
        _show(workbench.outbox.skip_rest(actor, name), as_json=as_json)


@group.command()
def resend(name: _Id, as_json: _Json = False) -> None:
    """Send a failed, held or unsure message again: the same bytes, the same Message-ID."""
    with _opened() as workbench:
        actor, _ = _find(workbench, name)
        _show(workbench.outbox.resend(actor, name), as_json=as_json)


@group.command()
def resume(user: _User = "", as_json: _Json = False) -> None:
    """Let everything that is held go."""
    with _opened() as workbench:
        count = sum(workbench.outbox.resume(actor) for actor in _people(workbench, user))
    print(json.dumps({"resumed": count}) if as_json else sentence(_TEXTS, "outbox_resumed", count=count))


@contextmanager
def _opened() -> Generator[Workbench]:
    from cgcore.errors import NotFound
    from cgcore.outbox.refused import OutboxRefused
    from cgcore.workbench.outbox.describe import refusal_text

    with opened_workbench() as workbench:
        try:
            yield workbench
        except OutboxRefused as refused:
            _refuse(refusal_text(refused.code))
        except NotFound:
            _refuse(sentence(_TEXTS, "outbox_not_found"))


def _refuse(words: str) -> NoReturn:
    print(words, file=sys.stderr)
    raise typer.Exit(1)


def _people(workbench: Workbench, username: str) -> list[Actor]:
    from cgcore.errors import NotFound

    people = workbench.outbox.list_people(username)
    if username and not people:
        raise NotFound
    return people


def _find(workbench: Workbench, name: str) -> tuple[Actor, Message]:
    from cgcore.errors import NotFound

    for actor in workbench.outbox.list_people():
        try:
            return actor, workbench.outbox.get(actor, name)
        except NotFound:
            continue
    raise NotFound


def _show(message: Message, *, as_json: bool) -> None:
    from cgcore.workbench.outbox.describe import message_json, reason_texts, shown_state, state_text

    if as_json:
        print(json.dumps(message_json(message), ensure_ascii=False))
        return
    words = [message.id, state_text(shown_state(message)), f"{message.series} {message.number}", message.subject]
    if message.reason is not None:
        words.append(reason_texts(message.reason)[0])
    print(" · ".join(filter(None, words)))
