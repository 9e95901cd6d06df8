"""Nothing secret of a connection is found where it does not belong, and a backup brings it back, sealed."""

from __future__ import annotations

import json
import logging
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from cgcore.errors import StorageError
from cgcore.identity.actor import Role
from cgcore.mail.account import AccessToken, AuthKind, MailAccountDraft, Security, ServerDraft
from cgcore.mail.oauth_client import OAuthProvider
from cgcore.mail.request import TokenRefused
from cgcore.mail.steps import Leg
from cgcore.settings import Settings, load_settings
from cgcore.storage import oauth as store
from cgcore.storage.database import Database
from cgcore.storage.tables import metadata
from cgcore.vault.rotation import make_key
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.backup import make_backup, restore_backup
from cgcore.workbench.secrets import oauth_secret
from tests.servers.asgi import open_product
from tests.servers.certificates import Certificates
from tests.servers.connecting import Connected, register
from tests.servers.dovecot import Dovecot
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.pages import PASSWORD, open_page, sign_in, words
from tests.servers.postfix import Postfix
from tests.servers.postgres import PostgresServer
from tests.servers.probing import ANA

_LOUD = ("httpx", "httpcore")  # the browsers of the tests, which tell every address


@dataclass
class Trail:
    """Everything secret that a connection has to do with, by name, and everything that was shown."""

    settings: Settings
    workbench: Workbench
    openid: OpenIdProvider
    mail: tuple[Dovecot, Postfix]
    secrets: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, value: str) -> None:
        """Remember a secret, and how it travels in base64 as well."""
        assert len(value) > 15, name
        self.secrets[f"{name} {len(self.secrets)}"] = value

    def leaks(self) -> list[tuple[str, str]]:
        """Return which secret is shown where."""
        return [
            (name, place)
            for name, value in self.secrets.items()
            for place, words_ in self.shown.items()
            if value in words_
        ]


@pytest.fixture(params=["sqlite", "postgresql"])
def trail(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    certificates: Certificates,
    openid: OpenIdProvider,
    openid_mail: tuple[Dovecot, Postfix],
) -> Iterator[Trail]:
    """An installation whose provider is registered."""
    postgres: PostgresServer | None = None
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres_server")
        assert postgres is not None
    settings = load_settings(
        data_dir=tmp_path / "data",
        config_dir=tmp_path / "config",
        mail_allow_private="127.0.0.0/8,::1/128",
        ssl_cert_file=str(certificates.ca_file),
        **({"database_url": postgres.create_database("t_" + secrets.token_hex(6))} if postgres else {}),
    )
    workbench = open_workbench(settings)
    found = Trail(settings, workbench, openid, openid_mail)
    register(workbench, openid)
    found.note("client secret", openid.client_secret)
    yield found
    found.workbench.close()


def _connect(trail: Trail) -> Connected:
    """Go the whole way in a browser, and use the connection for everything that it is for."""
    dovecot, postfix = trail.mail
    draft = MailAccountDraft(
        ANA,
        smtp=ServerDraft("localhost", postfix.tls_port, Security.SSL),
        imap=ServerDraft("localhost", dovecot.tls_port, Security.SSL),
        sent_folder="Sent",
        auth=AuthKind.CUSTOM,
    )
    workbench = trail.workbench
    sign_in(workbench, "ana", Role.ADMIN)
    with open_product(workbench) as browser:
        login = workbench.identity.sessions.log_in("ana", PASSWORD)
        browser.cookies.set("cg_session", login.token.reveal())
        trail.note("session", login.token.reveal())
        ana = Connected(workbench, login.actor, draft, trail.openid)
        attempt = workbench.oauth.attempts.begin(ana.actor, OAuthProvider.CUSTOM, draft)
        away = browser.get(attempt.path).headers["location"]
        asked = parse_qs(urlsplit(away).query)
        trail.note("state", asked["state"][0])
        trail.note("nonce", asked["nonce"][0])
        back = urlsplit(trail.openid.walk(away, ANA))
        trail.note("code", parse_qs(back.query)["code"][0])
        answer = browser.get(f"{back.path}?{back.query}")
        end = browser.get(answer.headers["location"])
        trail.shown["headers of the callback"] = str(answer.headers)
        trail.shown["page of the end"] = end.text
        _ask_for_a_code(trail, ana)
    _note_tokens(trail, ana)
    return ana


def _ask_for_a_code(trail: Trail, ana: Connected) -> None:
    """Have a code in hand; nobody types it."""
    oauth = trail.workbench.oauth
    attempt = oauth.codes.begin(ana.actor, OAuthProvider.CUSTOM, ana.draft)
    with trail.workbench.database.read() as session:
        row = store.find_attempt(session, attempt.id)
    assert row is not None
    trail.note("device code", oauth.attempts.unseal(row)["device_code"])
    trail.shown["code as it is shown"] = repr(oauth.codes.find_open(ana.actor))
    oauth.codes.work_once()


def _note_tokens(trail: Trail, ana: Connected) -> AccessToken:
    token = ana.token()
    trail.note("access token", token.secret.reveal())
    refresh = trail.workbench.vault.get(oauth_secret(ana.actor.user_id))
    assert refresh is not None
    trail.note("refresh token", refresh.reveal())
    return token


def _use(trail: Trail, ana: Connected) -> None:
    workbench = trail.workbench
    workbench.mail_account.save(ana.actor, ana.draft, version=0)
    for leg in Leg:
        trail.shown[f"run {leg}"] = repr(ana.prove(leg))
    run = workbench.mail_runs.start_test_mail(ana.actor, ana.draft, ANA)
    trail.shown["test mail"] = repr(list(workbench.runs.follow(ana.actor, run))[-1])
    ana.forget()
    _note_tokens(trail, ana)
    # A token that both servers refuse: their words, ours, and the second try.
    trail.openid.order(seconds=-60)
    ana.forget()
    trail.shown["refused"] = repr(ana.prove(Leg.SMTP)) + repr(ana.prove(Leg.IMAP))
    _note_tokens(trail, ana)
    trail.openid.order(seconds=3600, faults={"/token": Fault(503)})
    ana.forget()
    with pytest.raises(TokenRefused) as away:
        ana.token()
    trail.shown["exception"] = repr(away.value) + repr(away.value.details) + repr(away.value.__context__)
    trail.openid.order(faults={})
    _note_tokens(trail, ana)


def _look_everywhere(trail: Trail, ana: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    workbench, actor = trail.workbench, ana.actor
    account = workbench.mail_account
    trail.shown["api"] = json.dumps(account.to_json(account.get(actor)), default=str)
    trail.shown["export"] = workbench.portable.export_all(actor)
    trail.shown["activity"] = repr(workbench.activity.list(actor)) + "".join(
        map(str, workbench.activity.export_csv(actor, header=(), labels={}))
    )
    with workbench.database.read() as session:
        for table in metadata.sorted_tables:
            rows = session.connection().execute(table.select())
            trail.shown[f"table {table.name}"] = "\n".join(repr(tuple(row)) for row in rows)
    for script in ("mail_account.py", "administration.py", "activity.py", "overview.py"):
        page: AppTest = open_page(monkeypatch, workbench, actor, script)
        assert not page.exception
        trail.shown[script] = words(page) + repr(page)
    for name in ("data", "config"):
        folder = trail.settings.data_dir.parent / name
        for file in [each for each in folder.rglob("*") if each.is_file()]:
            trail.shown[f"file {file.name}"] = file.read_bytes().decode("latin-1")


def test_no_secret_of_a_connection_is_found_anywhere(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Connected, proven, sent, refused, renewed, away, backed up: in no table, file, page, address, log or sentence."""
    caplog.set_level(logging.DEBUG)
    ana = _connect(trail)
    _use(trail, ana)
    _look_everywhere(trail, ana, monkeypatch)
    make_backup(trail.settings, tmp_path / "copia")
    with tarfile.open(tmp_path / "copia") as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            trail.shown[f"backup {member.name}"] = content.read().decode("latin-1")
    trail.shown["log"] = "\n".join(
        record.getMessage() + str(record.exc_text or "")
        for record in caplog.records
        if not record.name.startswith(_LOUD)
    )

    assert len(trail.secrets) >= 10
    assert len(trail.shown["log"]) > 500
    assert ana.draft.user in trail.shown["table oauth_grant"]
    assert trail.leaks() == []


def test_a_backup_brings_the_connection_back_sealed(trail: Trail, tmp_path: Path, certificates: Certificates) -> None:
    """On another machine with the same master key it signs in; with another key nothing is put back, and it is said."""
    ana = _connect(trail)
    make_backup(trail.settings, tmp_path / "copia")
    trail.workbench.close()
    place = {"data_dir": tmp_path / "otra", "mail_allow_private": "127.0.0.0/8,::1/128"}
    if trail.settings.database_url:
        url = trail.settings.resolved_database_url()
        place["database_url"] = url.rsplit("/", 1)[0] + "/" + _another_database(url)
    trusting = {**place, "ssl_cert_file": str(certificates.ca_file)}
    other = load_settings(**trusting, config_dir=tmp_path / "config-otra", master_key=make_key())
    with pytest.raises(StorageError) as refused:
        restore_backup(other, tmp_path / "copia")
    same = load_settings(**trusting, config_dir=trail.settings.config_dir)
    restore_backup(same, tmp_path / "copia")
    workbench = open_workbench(same)
    restored = Connected(workbench, ana.actor, ana.draft, trail.openid)
    token = restored.token()
    connected = workbench.oauth.grants.connection(ana.actor)
    workbench.close()

    assert refused.value.code == "backup_other_key"
    assert token.secret.reveal() not in trail.secrets.values()
    assert connected is not None
    assert connected.address == ANA


def _another_database(url: str) -> str:
    name, database = "t_" + secrets.token_hex(6), Database(url)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    database.close()
    return name
