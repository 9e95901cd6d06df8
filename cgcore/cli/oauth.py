"""``oauth set|show|remove|check``: the clients of OAuth2 providers, for whoever holds the data folder."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cgcore.cli.operator import OPERATOR, opened_workbench, require_secret
from cgcore.mail.oauth_client import Client, ClientDraft, OAuthProvider
from cgcore.texts import sentence

if TYPE_CHECKING:
    pass

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
group = typer.Typer()
app.add_typer(group, name="oauth")

_TEXTS = "cgcore.cli"

_Name = Annotated[OAuthProvider, typer.Argument(help="google, microsoft or custom.", metavar="NAME")]


@app.callback()
def _commands() -> None:
    """Clients of OAuth2 providers."""


@group.callback()
def _group() -> None:
    """Register a client, show what there is, remove one. Exit code 0 done, 1 refused, 2 usage."""


@group.command("set")
def set_client(
    name: _Name,
    client_id: Annotated[str, typer.Option(help="The client's id at the provider.")],
    public: Annotated[bool, typer.Option("--public", help="A client without a secret; its people use codes.")] = False,
    codes: Annotated[bool, typer.Option("--codes", help="Its people may connect with a code, too.")] = False,
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="Read the secret from standard input.")] = False,
    tenant: Annotated[str, typer.Option(help="Microsoft: the tenant's id or domain.")] = "",
    issuer: Annotated[str, typer.Option(help="custom: the provider's https address.")] = "",
    provider_name: Annotated[str, typer.Option("--name", help="custom: what people call the provider.")] = "",
    domains: Annotated[str, typer.Option(help="Whose addresses it is offered to, separated by commas.")] = "",
    scope: Annotated[str, typer.Option(help="custom: the scopes that open the mail servers.")] = "",
    secret_ends: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When the secret ends.")] = None,
) -> None:
    """Register the client of a provider, in place of the one that is there. A running server uses it at once."""
    draft = ClientDraft(
        provider=name,
        client_id=client_id,
        secret=None if public else require_secret(secret_stdin, "secret_stdin"),
        tenant=tenant,
        issuer=issuer,
        name=provider_name,
        domains=tuple(domains.split(",")),
        scope=scope,
        secret_ends=secret_ends.date() if secret_ends else None,
        public=public,
        codes=codes,
    )
    with opened_workbench() as workbench:
        stored = workbench.oauth.clients.find(OPERATOR, name)
        client = workbench.oauth.clients.save(OPERATOR, draft, version=stored.version if stored else 0)
    print(sentence(_TEXTS, "oauth_set", name=client.label))


@group.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False) -> None:
    """Show every client; a secret is never shown, only whether there is one."""
    with opened_workbench() as workbench:
        clients = workbench.oauth.clients
        found = [_shown(each, secret_set=clients.has_secret(OPERATOR, each)) for each in clients.list(OPERATOR)]
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for each in found:
        print(" · ".join(str(value) for value in each.values() if value not in ("", None, [], False, True)))
    if not found:
        print(sentence(_TEXTS, "oauth_none"))


@group.command()
def remove(name: _Name) -> None:
    """Remove a client and its secret."""
    from cgcore.errors import NotFound

    with opened_workbench() as workbench:
        try:
            workbench.oauth.clients.remove(OPERATOR, name)
        except NotFound:
            print(sentence(_TEXTS, "oauth_not_set", name=name.value), file=sys.stderr)
            raise typer.Exit(1) from None
    print(sentence(_TEXTS, "oauth_removed", name=name.value))


@group.command()
def check(name: _Name) -> None:
    """Ask the provider whether it knows the client; nobody is signed in."""
    from cgcore.errors import NotFound
    from cgcore.mail.diagnosis.texts import sentences
    from cgcore.mail.steps import Leg

    with opened_workbench() as workbench:
        try:
            found = workbench.oauth.clients.check(OPERATOR, name)
        except NotFound:
            print(sentence(_TEXTS, "oauth_not_set", name=name.value), file=sys.stderr)
            raise typer.Exit(1) from None
    if found.key:
        print("\n".join(filter(None, sentences(found.key, Leg.SMTP, dict(found.values)))), file=sys.stderr)
        raise typer.Exit(1)
    print(sentence(_TEXTS, "oauth_checked", name=name.value))


def _shown(client: Client, *, secret_set: bool) -> dict[str, Any]:
    from cgcore.mail.oauth_client import redirect_uri
    from cgcore.settings import load_settings

    base = load_settings().public_url or "http://localhost:8501"
    told = {**client.as_json(), "label": client.label, "scopes": [*client.scopes]}
    return {**told, "redirect_uri": redirect_uri(base, client.provider), "secret_set": secret_set}
