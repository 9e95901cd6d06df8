"""Backup, disaster, restore; and another master key, also interrupted: by the commands, on both databases."""

from __future__ import annotations

import asyncio
import base64
import secrets
import shutil
import tarfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest
from sqlmodel import update

from cgcore.cli import main
from cgcore.documents import DocumentType
from cgcore.errors import StorageError, VaultError
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.outbox.states import State
from cgcore.settings import Settings, load_settings
from cgcore.storage.database import Database
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxAccountRow
from cgcore.vault.records import RecordStore
from cgcore.vault.rotation import make_key, rotate, write_key
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.backup import make_backup, restore_backup
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.secrets import list_secret_names, open_records
from cgcore.workbench.start import sole_server
from tests.servers.api_users import ADMIN_PASSWORD, add_person, issue_key
from tests.servers.house import add_series, furnish
from tests.servers.postgres import PostgresServer
from tests.servers.product import run_product
from tests.servers.scripted import SmtpScript, smtp_server

CANARY = "contraseña-S3cr3t"
_PATIENCE_S = 60.0
DRAFT = MailAccountDraft(
    user="ana@tosma.es",
    password=Secret(CANARY),
    smtp=ServerDraft("smtp.tosma.es", "587", Security.STARTTLS),
    imap=ServerDraft("imap.tosma.es", "993", Security.SSL),
    sent_folder="Enviados",
)


@dataclass
class House:
    """An installation with a person, their mail password and API key; what each command finds in its environment."""

    folder: Path
    kind: str
    server: PostgresServer | None
    monkeypatch: pytest.MonkeyPatch
    key: str = ""

    def settings(self) -> Settings:
        return load_settings()

    def command(self, *arguments: str) -> int:
        """Run a command, and return its exit code."""
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        return int(ended.value.code or 0)

    def move_in(self) -> None:
        with self.opened() as workbench:
            ana = add_person(workbench, "ana")
            workbench.mail_account.save(ana.actor, DRAFT, version=0)
            self.key = issue_key(workbench, ana).key.reveal()

    def opened(self) -> Opened:
        return Opened(open_workbench(self.settings()))

    def lose_everything(self) -> None:
        """Another machine: an empty folder, an empty database, the same master key."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        if self.server:
            self.use_new_database()

    def use_new_database(self) -> None:
        assert self.server is not None
        self.monkeypatch.setenv("CG_DATABASE_URL", self.server.create_database("t_" + secrets.token_hex(6)))

    def require_all_there(self) -> None:
        """Log-in, mail password and API key are what they were."""
        with self.opened() as workbench:
            entered = workbench.identity.sessions.log_in("ana", Secret(ADMIN_PASSWORD)).actor
            password = workbench.mail_account.effective_password(entered, workbench.mail_account.get(entered).draft)
            assert password is not None
            assert password.reveal() == CANARY
            assert asyncio.run(workbench.keys.access.find_actor(self.key)) is not None


@dataclass
class Opened:
    """A workbench for a block."""

    workbench: Workbench

    def __enter__(self) -> Workbench:
        return self.workbench

    def __exit__(self, *_: object) -> None:
        self.workbench.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """One on each kind of database."""
    server = request.getfixturevalue("postgres_server") if request.param == "postgresql" else None
    if server is not None:
        tools = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
    house = House(tmp_path, request.param, server, monkeypatch)
    key_file = tmp_path / "master.key"
    write_key(key_file, make_key())
    for name, value in {"DATA_DIR": tmp_path / "data", "CONFIG_DIR": tmp_path, "MASTER_KEY_FILE": key_file}.items():
        monkeypatch.setenv(f"CG_{name}", str(value))
    if server is not None:
        house.use_new_database()
    house.move_in()
    return house


def test_after_a_disaster_everything_is_there_again(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """The drill: backup beside an open workbench, all lost, restore. Neither key nor secret is in the file in clear."""
    file = house.folder / "copia.cgb"
    with house.opened():
        assert house.command("backup", str(file)) == 0
    content = file.read_bytes()
    house.lose_everything()
    assert house.command("restore", str(file)) == 0
    said = capsys.readouterr()

    house.require_all_there()
    key = (house.folder / "master.key").read_text().strip()
    assert key.encode() not in content
    assert base64.b64decode(key) not in content
    assert CANARY.encode() not in content
    assert key not in said.out + said.err
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_waits_in_a_restored_copy_is_held_however_young_it_is(house: House) -> None:
    """It may have left since: a person says so, and nothing goes by itself."""
    file = house.folder / "copia.cgb"
    with house.opened() as workbench:
        ana = workbench.identity.sessions.log_in("ana", Secret(ADMIN_PASSWORD)).actor
        add_series(workbench, Actor(0, "", role=Role.ADMIN), "F", DocumentType.QUOTE)
        waiting, _ = workbench.outbox.send(ana, _request("7"), "clave")
    assert house.command("backup", str(file)) == 0
    assert house.command("restore", str(file), "--replace") == 0
    with house.opened() as workbench:
        workbench.outbox.worker.work_once()
        stored = workbench.outbox.get(ana, waiting.id)

    assert (waiting.state, stored.state, stored.reason and stored.reason["key"]) == (
        State.QUEUED,
        State.HELD,
        "backup",
    )


def test_a_server_that_starts_over_the_folder_of_yesterday_sends_nothing_by_itself(tmp_path: Path) -> None:
    """A copy of the data folder, put back without a word: what waited in it is held, and what is new leaves."""
    home = furnish(tmp_path)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with smtp_server(SmtpScript(users={})) as server:
        with home.workbench() as workbench:
            add_series(workbench, home.admin, "F", DocumentType.QUOTE)
            draft = replace(DRAFT, smtp=ServerDraft("127.0.0.1", str(server.port), Security.NONE))
            workbench.mail_account.save(home.admin, draft, version=0)
            left, _ = workbench.outbox.send(home.admin, _request("7"), "clave")
            with workbench.database.session() as session:
                session.exec(update(OutboundMessageRow).values(created=yesterday, due=yesterday))
                session.exec(update(OutboxAccountRow).values(served=yesterday))
        with run_product(tmp_path), home.workbench() as workbench:
            new, _ = workbench.outbox.send(home.admin, _request("8"), "otra")
            ends = time.monotonic() + _PATIENCE_S
            while workbench.outbox.get(home.admin, new.id).state is not State.SENT and time.monotonic() < ends:
                time.sleep(0.05)
            states = [workbench.outbox.get(home.admin, message.id).state for message in (left, new)]

    assert states == [State.HELD, State.SENT]
    assert [message_from_bytes(raw)["Subject"] for raw in server.messages] == ["Va 8"]


def _request(number: str) -> DocumentRequest:
    return DocumentRequest(
        DocumentType.QUOTE, "F", number, ("eva@example.com",), subject="Va {numero}", body="<p>Va</p>", signature=""
    )


def test_a_restore_over_people_has_to_be_said_and_keeps_what_was_there(house: House) -> None:
    """Without --replace nothing happens; with it the day of the backup is back, and the other lies beside it."""
    file = house.folder / "copia.cgb"
    make_backup(house.settings(), file)
    with house.opened() as workbench:
        luis = add_person(workbench, "luis")
    assert house.command("restore", str(file)) == 1
    with house.opened() as workbench:
        assert workbench.identity.sessions.log_in("luis", Secret(luis.password))
    assert house.command("restore", str(file), "--replace") == 0

    house.require_all_there()
    with house.opened() as workbench, workbench.database.read() as session:
        from cgcore.storage.identity import list_users

        assert [user.username for user in list_users(session)] == ["ana"]
    if house.kind == "sqlite":
        assert {path.name.split(".before")[0] for path in (house.folder / "data").glob("*.before-*")} >= {
            "cloud-gestion.db",
            "vault",
        }


def test_what_cannot_be_restored_changes_nothing(house: House, tmp_path: Path) -> None:
    """A cut file, one that was changed, another master key, a server that runs, a file that is there."""
    file = tmp_path / "copia.cgb"
    make_backup(house.settings(), file)
    cut, changed = tmp_path / "cut", tmp_path / "changed"
    cut.write_bytes(file.read_bytes()[:-20_000])
    bad = bytearray(file.read_bytes())
    with tarfile.open(file) as archive:
        bad[archive.getmember("database").offset_data + 5000] ^= 1
    changed.write_bytes(bad)
    codes = [_refusal(house, source) for source in (cut, changed, tmp_path / "none")]
    with house.opened() as workbench:
        held = Held(workbench)
        codes.append(_refusal(house, file))
        held.close()
    write_key(tmp_path / "other.key", make_key())
    house.monkeypatch.setenv("CG_MASTER_KEY_FILE", str(tmp_path / "other.key"))
    codes.append(_refusal(house, file))
    house.monkeypatch.setenv("CG_MASTER_KEY_FILE", str(tmp_path / "master.key"))

    in_use = "storage_taken" if house.kind == "sqlite" else "storage_in_use"
    assert codes == ["backup_unreadable"] * 3 + [in_use, "backup_other_key"]
    assert house.command("backup", str(file)) == 1
    house.require_all_there()


def test_another_master_key_opens_everything_and_the_old_one_nothing(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Log-ins, mail passwords and API keys stay; neither key is printed."""
    old, new = house.folder / "master.key", house.folder / "new.key"
    assert house.command("vault", "key", "make", str(new)) == 0
    assert house.command("vault", "key", "make", str(new)) == 1
    assert house.command("vault", "key", "rotate", str(new)) == 0
    assert _refused_key(house) == "master_key_wrong"
    house.monkeypatch.setenv("CG_MASTER_KEY_FILE", str(new))
    house.require_all_there()
    assert house.command("vault", "key", "show") == 0
    said = capsys.readouterr()

    assert new.stat().st_mode & 0o777 == 0o600
    assert not any(path.read_text().strip() in said.out + said.err for path in (old, new))
    # And once more: what the first one carried along goes on.
    assert house.command("vault", "key", "make", str(house.folder / "third.key")) == 0
    assert house.command("vault", "key", "rotate", str(house.folder / "third.key")) == 0
    house.monkeypatch.setenv("CG_MASTER_KEY_FILE", str(house.folder / "third.key"))
    house.require_all_there()


def test_a_rotation_that_was_interrupted_goes_on(house: House) -> None:
    """Wherever it was cut off: until it has ended no key opens the vault, then the new one opens all of it."""
    new = house.folder / "new.key"
    write_key(new, make_key())
    database = Database(house.settings().resolved_database_url())
    records = open_records(house.settings(), database)
    names = list_secret_names(database)
    changes = 0
    for changes in range(20):
        try:
            rotate(house.settings(), Interrupted(records, changes), names, new)
        except _Cut:
            if changes:
                assert _refused_key(house) == "master_key_rotating"
        else:
            break
    database.close()
    house.monkeypatch.setenv("CG_MASTER_KEY_FILE", str(new))

    assert 2 < changes < 19
    house.require_all_there()


class Interrupted:
    """Records whose process is cut off before the change of this number."""

    def __init__(self, records: RecordStore, changes: int) -> None:
        self._records, self._left = records, changes
        self.location = records.location
        self.read, self.names, self.add = records.read, records.names, records.add

    def write(self, name: str, record: bytes) -> None:
        self._count()
        self._records.write(name, record)

    def delete(self, name: str) -> bool:
        self._count()
        return self._records.delete(name)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _Cut


class _Cut(Exception):
    """As a kill would: nothing behind it is done."""


def _refusal(house: House, source: Path) -> str:
    with pytest.raises(StorageError) as refused:
        restore_backup(house.settings(), source, replace=True)
    return refused.value.code


def _refused_key(house: House) -> str:
    with house.opened() as workbench, pytest.raises(VaultError) as refused:
        workbench.vault.derive_key("gate")
    return refused.value.code


class Held:
    """What a server holds while it runs: the lock of its folder, or a connection."""

    def __init__(self, workbench: Workbench) -> None:
        self._stack = ExitStack()
        self._stack.enter_context(sole_server(workbench.settings))
        self._stack.enter_context(workbench.database.engine.connect())

    def close(self) -> None:
        self._stack.close()
