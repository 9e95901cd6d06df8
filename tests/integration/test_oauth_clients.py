"""Clients of OAuth2 providers: registered by administrators and on the command line, offered to people."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cgcore.activity import Action
from cgcore.cli import main
from cgcore.errors import InvalidInput, NotAllowed, NotFound, StaleVersion
from cgcore.identity.actor import Role
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.mail.oauth_client import Client, ClientDraft, OAuthProvider, find_redirect_problem, redirect_uri
from cgcore.texts import lookup
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import AttemptState
from tests.servers.house import add_user
from tests.servers.pages import sign_in

SECRET = "canario-del-cliente"
OWN = ClientDraft(
    OAuthProvider.CUSTOM,
    "panel",
    Secret(SECRET),
    issuer="https://identidad.empresa.es",
    name="Empresa",
    domains=("empresa.es",),
    scope="mail",
)
ACCOUNT = MailAccountDraft("ana@empresa.es", smtp=ServerDraft("smtp.empresa.es", 587))


def test_a_client_is_kept_without_its_secret_and_offered_to_its_domains(workbench_on_each: Workbench) -> None:
    """The secret is in the vault alone; who has another address is not offered it, who has none yet is."""
    admin, ana = add_user(workbench_on_each, "jefa", Role.ADMIN), add_user(workbench_on_each, "ana")
    clients = workbench_on_each.oauth.clients

    saved = clients.save(admin, OWN, version=0)

    assert (saved.version, saved.label, clients.list(admin)) == (1, "Empresa", (saved,))
    assert saved.scopes == ("openid", "email", "offline_access", "mail")
    assert SECRET not in repr(saved)
    assert clients.find_secret(saved) == Secret(SECRET)
    assert [each.label for each in clients.offered_for(ana, "ana@empresa.es")] == ["Empresa"]
    assert [each.label for each in clients.offered_for(ana, "")] == ["Empresa"]
    assert clients.offered_for(ana, "ana@otra.es") == ()
    items = workbench_on_each.activity.list(admin)["items"]
    assert [entry.object for entry in items if entry.action == Action.OAUTH_CLIENT_SAVED] == ["Empresa"]
    assert SECRET not in repr(items)


def test_a_secret_stays_with_the_provider_that_it_was_typed_for(workbench: Workbench) -> None:
    """It is kept while the client is the same, and asked for again where it would go elsewhere."""
    admin = add_user(workbench, "jefa", Role.ADMIN)
    clients = workbench.oauth.clients
    clients.save(admin, OWN, version=0)

    renamed = clients.save(admin, replace(OWN, secret=None, name="Otra"), version=1)
    with pytest.raises(InvalidInput) as refused:
        clients.save(admin, replace(OWN, secret=None, issuer="https://otra.es"), version=2)
    with pytest.raises(StaleVersion):
        clients.save(admin, OWN, version=1)

    assert [(each.field, each.code) for each in refused.value.problems] == [("secret", "empty")]
    assert clients.find_secret(renamed) == Secret(SECRET)
    clients.remove(admin, OAuthProvider.CUSTOM)
    assert clients.list(admin) == ()
    assert clients.find_secret(renamed) is None
    assert workbench.activity.list(admin)["items"][0].action == "oauth_client_removed"
    with pytest.raises(NotFound):
        clients.remove(admin, OAuthProvider.CUSTOM)


@pytest.mark.parametrize("how", ["public", "removed"])
def test_a_secret_that_another_administrator_saves_meanwhile_stays(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Between the change that needs no secret any more and the removal of the old one."""
    workbench = workbench_on_each
    admin, clients = add_user(workbench, "jefa", Role.ADMIN), workbench.oauth.clients
    saved = clients.save(admin, OWN, version=0)
    context = type(clients._context)
    written = context.write_as

    @contextmanager
    def write_and_let_others(*given: Any, **named: Any) -> Iterator[Any]:
        with written(*given, **named) as opened:
            yield opened
        monkeypatch.undo()
        clients.save(admin, replace(OWN, secret=Secret("nuevo")), version=2 if how == "public" else 0)

    monkeypatch.setattr(context, "write_as", write_and_let_others)
    if how == "public":
        clients.save(admin, replace(OWN, secret=None, public=True), version=saved.version)
    else:
        clients.remove(admin, OAuthProvider.CUSTOM)
    (now,) = clients.list(admin)

    assert (now.public, clients.find_secret(now)) == (False, Secret("nuevo"))


@pytest.mark.parametrize(
    ("draft", "wrong"),
    [
        (replace(OWN, client_id=" "), "client_id empty"),
        (replace(OWN, issuer="http://identidad.empresa.es"), "issuer oauth_issuer"),
        (replace(OWN, issuer="https://identidad.empresa.es/?a=b"), "issuer oauth_issuer"),
        (replace(OWN, scope='mail "todo"'), "scope oauth_scope"),
        (replace(OWN, domains=("no es",)), "domains oauth_domains"),
        (ClientDraft(OAuthProvider.MICROSOFT, "a", Secret("b")), "tenant empty"),
        (ClientDraft(OAuthProvider.MICROSOFT, "a", Secret("b"), tenant="../x"), "tenant oauth_tenant"),
        (ClientDraft(OAuthProvider.GOOGLE, "a", Secret("")), "secret empty"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(workbench: Workbench, draft: ClientDraft, wrong: str) -> None:
    """Each with its code and a sentence."""
    admin = add_user(workbench, "jefa", Role.ADMIN)

    with pytest.raises(InvalidInput) as refused:
        workbench.oauth.clients.save(admin, draft, version=0)

    assert [f"{each.field} {each.code}" for each in refused.value.problems] == [wrong]
    assert refused.value.problems[0].message.endswith((".", "https://identidad.ejemplo.es"))
    assert workbench.oauth.clients.list(admin) == ()


def test_a_provider_of_this_machine_may_do_without_tls_where_the_process_was_told_so(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else hears what is said there; another machine has to have TLS all the same."""
    admin = add_user(workbench, "jefa", Role.ADMIN)
    here, elsewhere = (replace(OWN, issuer=f"http://{host}:8080") for host in ("127.0.0.1", "identidad.empresa.es"))
    with pytest.raises(InvalidInput):
        workbench.oauth.clients.save(admin, here, version=0)
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with pytest.raises(InvalidInput):
        workbench.oauth.clients.save(admin, elsewhere, version=0)

    assert workbench.oauth.clients.save(admin, here, version=0).issuer == here.issuer


def test_only_administrators_touch_clients(workbench: Workbench) -> None:
    """Nobody else lists, saves or removes one."""
    ana = add_user(workbench, "ana")
    clients = workbench.oauth.clients

    for call in (
        lambda: clients.list(ana),
        lambda: clients.save(ana, OWN, version=0),
        lambda: clients.remove(ana, OAuthProvider.CUSTOM),
    ):
        with pytest.raises(NotAllowed):
            call()


def test_an_attempt_is_its_owners_and_ends_after_ten_minutes(workbench_on_each: Workbench) -> None:
    """Its link holds nothing but the digest of a state that is stored nowhere in clear."""
    workbench = workbench_on_each
    workbench.oauth.clients.save(add_user(workbench, "jefa", Role.ADMIN), OWN, version=0)
    ana, eva = sign_in(workbench, "ana"), sign_in(workbench, "eva")
    attempts = workbench.oauth.attempts

    attempt = attempts.begin(ana, OAuthProvider.CUSTOM, ACCOUNT)

    assert attempt.path == f"/oauth/ir/{attempt.id}"
    assert len(attempt.id) == 64
    assert attempts.find(ana, attempt.id) == attempt
    assert attempt.state is AttemptState.OPEN
    assert attempts.find(eva, attempt.id) is None
    assert attempts.find(ana, "0" * 64) is None
    with pytest.raises(NotFound):
        attempts.begin(ana, OAuthProvider.GOOGLE, ACCOUNT)
    with pytest.raises(NotFound):
        attempts.begin(ana, OAuthProvider.CUSTOM, replace(ACCOUNT, user="ana@otra.es"))
    with pytest.raises(InvalidInput) as refused:
        attempts.begin(ana, OAuthProvider.CUSTOM, MailAccountDraft())
    assert [each.field for each in refused.value.problems] == ["user", "smtp_host"]
    with pytest.raises(NotAllowed):
        attempts.begin(replace(ana, session_hash=""), OAuthProvider.CUSTOM, ACCOUNT)
    assert workbench.oauth.grants.connection(ana) is None


@pytest.mark.parametrize(
    ("provider", "base", "problem"),
    [
        ("google", "https://facturas.empresa.es", ""),
        ("google", "http://localhost:8501", ""),
        ("google", "http://127.0.0.1:8501", ""),
        ("google", "https://facturas.local", "no_public_name"),
        ("google", "https://facturas", "no_public_name"),
        ("google", "https://203.0.113.9", "raw_address"),
        ("google", "http://facturas.empresa.es", "not_https"),
        ("microsoft", "https://facturas.local", ""),
        ("microsoft", "http://localhost:8501", ""),
        ("microsoft", "http://127.0.0.1:8501", "not_localhost"),
        ("microsoft", "http://facturas.empresa.es", "not_https"),
        ("custom", "http://facturas", ""),
    ],
)
def test_what_a_provider_will_refuse_is_known_before(provider: str, base: str, problem: str) -> None:
    """By the rules that the two publish for redirect addresses."""
    chosen = OAuthProvider(provider)

    assert find_redirect_problem(chosen, redirect_uri(base, chosen)) == problem


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Call ``oauth`` with the secret on standard input; returns exit code, output and errors."""
    for name, value in {"CG_DATA_DIR": tmp_path / "data", "CG_CONFIG_DIR": tmp_path / "config"}.items():
        monkeypatch.setenv(name, str(value))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(f"{SECRET}\n".encode())))
        with pytest.raises(SystemExit) as ended:
            main(["oauth", *arguments])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def test_the_command_line_registers_shows_and_removes(run: Callable[..., tuple[int, str, str]]) -> None:
    """Set again it replaces; the secret comes by standard input and is shown nowhere."""
    own = ("--client-id", "panel", "--issuer", "https://identidad.empresa.es", "--scope", "mail")
    done = [run("set", "custom", *own, "--name", "Empresa", "--domains", "empresa.es, filial.es", "--secret-stdin")]
    done.append(run("set", "microsoft", "--client-id", "m", "--tenant", "empresa.es", "--secret-stdin"))
    done.append(run("set", "custom", *own, "--secret-ends", "2027-03-01", "--secret-stdin"))
    shown = run("show", "--json")
    done += [run("show"), shown, run("remove", "custom")]

    first, second = json.loads(shown[1])
    assert [code for code, _, _ in done] == [0] * 6
    assert (first["provider"], first["secret_set"], second["name"], second["domains"]) == ("microsoft", True, "", [])
    assert second["redirect_uri"] == "http://localhost:8501/oauth/vuelta/custom"
    assert date.fromisoformat(second["secret_ends"]) == date(2027, 3, 1)
    assert not any(SECRET in out + err for _, out, err in done)
    assert run("remove", "custom")[0] == 1
    assert run("set", "google", "--client-id", "g")[0] == 2
    assert run("set", "custom", "--client-id", "x", "--issuer", "http://a", "--secret-stdin")[0] == 1
    assert run("set", "yahoo", "--client-id", "x", "--secret-stdin")[0] == 2


def test_every_field_of_a_client_has_its_word_in_the_activity() -> None:
    """Whatever an administrator changes of it is told."""
    client = Client(OAuthProvider.CUSTOM, "panel")

    assert all(lookup("cgcore.workbench", f"oauth_{name}") for name in client.as_json())
