"""Database and vault are two stores: where they are of different days, no password goes to the wrong server."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from sqlmodel import col, update

from cgcore.errors import InvalidInput, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.steps import Leg
from cgcore.storage.tables import MailAccountRow
from cgcore.vault import Secret
from cgcore.vault.memory import MemoryKeyring
from cgcore.workbench import Workbench
from cgcore.workbench.secrets import open_vault, secret_name
from tests.conftest import make_settings
from tests.servers.house import add_user

ROOT = Path(__file__).parents[2]
OLD, NEW = "old-S3cr3t", "new-S3cr3t"


def account(host: str, password: str | None = None, user: str = "ana@tosma.example") -> MailAccountDraft:
    """Return an account with both servers on ``host``."""
    return MailAccountDraft(
        user=user,
        password=None if password is None else Secret(password),
        smtp=ServerDraft(host, "587", Security.STARTTLS),
        imap=ServerDraft(host, "993", Security.SSL),
        sent_folder="Enviados",
    )


@pytest.fixture(params=["encrypted", "keyring"])
def ana(request: pytest.FixtureRequest, workbench_on_each: Workbench) -> Actor:
    """A user of a workbench with each kind of vault over each kind of database; her account is at the old server."""
    if request.param == "keyring":
        use_keyring(workbench_on_each, MemoryKeyring({}))
    actor = add_user(workbench_on_each, "ana")
    workbench_on_each.mail_account.save(actor, account("old.example", OLD), version=0)
    return actor


def use_keyring(workbench: Workbench, backend: KeyringBackend) -> None:
    """Give the workbench a vault over ``backend``, in place of the one it would open."""
    vars(workbench.context)["vault"] = open_vault(workbench.settings, workbench.database, find_backend=lambda: backend)


def require_typed_again(workbench: Workbench, actor: Actor, *, told: bool = True) -> None:
    """Assert that nothing of the account sends a password, that it is asked for, and that nobody calls it stored."""
    section = workbench.mail_account
    draft = section.get(actor).draft
    starts: list[Callable[[], object]] = [
        lambda: section.effective_password(actor, draft),
        lambda: workbench.mail_runs.start_probe(actor, Leg.SMTP, draft),
        lambda: workbench.mail_runs.start_probe(actor, Leg.IMAP, draft),
        lambda: workbench.mail_runs.start_test_mail(actor, draft, "luis@tosma.example"),
        lambda: workbench.mail_runs.start_all(actor),
    ]
    for start in starts:
        with pytest.raises(InvalidInput) as refused:
            start()
        assert [(found.field, found.code) for found in refused.value.problems] == [("password", "password_lost")]
        assert "uelve a escribirla" in str(refused.value.problems[0].message)
    if told:
        assert section.get(actor).password_lost
        assert section.to_json(section.get(actor))["password_set"] is False
        assert workbench.overview.lines(actor)[0].code == "mail_password_lost"
        assert ("password", "password_lost") in [(found.field, found.code) for found in section.check(actor, draft)]


def remember(workbench: Workbench, actor: Actor) -> Callable[[], None]:
    """Return how to put the account's row back as it is now: an old copy of the database."""
    with workbench.database.read() as session:
        row = session.get(MailAccountRow, actor.user_id)
        assert row is not None
        values = row.model_dump()

    def restore() -> None:
        with workbench.database.session() as session:
            session.exec(update(MailAccountRow).where(col(MailAccountRow.user_id) == actor.user_id).values(**values))

    return restore


def test_an_old_database_beside_the_new_vault_sends_nothing(workbench_on_each: Workbench, ana: Actor) -> None:
    """The row names the old server, the vault holds the password of the new one; typed again, it works."""
    section, restore = workbench_on_each.mail_account, remember(workbench_on_each, ana)
    section.save(ana, account("new.example", NEW), version=1)
    assert section.effective_password(ana, section.get(ana).draft) == Secret(NEW)
    restore()

    require_typed_again(workbench_on_each, ana)

    saved = section.save(ana, account("old.example", OLD), version=1)
    assert (saved.password_set, saved.password_lost) == (True, False)
    assert section.effective_password(ana, saved.draft) == Secret(OLD)


def test_the_same_password_at_another_server_is_not_sent_there(workbench_on_each: Workbench, ana: Actor) -> None:
    """A row that somebody made name another host, plain or other user has the right mark, and gets nothing."""
    section = workbench_on_each.mail_account
    for change in (
        {"smtp_host": "evil.example"},
        {"imap_host": "evil.example"},
        {"user": "luis@tosma.example"},
        {"smtp_security": "none"},
        {"imap_security": "none"},
    ):
        restore = remember(workbench_on_each, ana)
        with workbench_on_each.database.session() as session:
            session.exec(update(MailAccountRow).where(col(MailAccountRow.user_id) == ana.user_id).values(**change))
        require_typed_again(workbench_on_each, ana)
        restore()
    assert section.effective_password(ana, section.get(ana).draft) == Secret(OLD)


def test_an_old_vault_beside_the_new_database_sends_nothing(workbench_on_each: Workbench, ana: Actor) -> None:
    """The vault's record is put back as it was: the row names the new server, and the old password stays."""
    section, vault, name = workbench_on_each.mail_account, workbench_on_each.vault, secret_name(ana.user_id)
    old = vault.swap(name, Secret("in between"))
    section.save(ana, account("new.example", NEW), version=1)
    vault.put_back(name, old)
    assert vault.get(name) == Secret(OLD)

    require_typed_again(workbench_on_each, ana)


def test_an_old_vault_with_another_password_for_the_same_server(workbench_on_each: Workbench, ana: Actor) -> None:
    """Same user, same hosts, the password of before: it is not the one that the row speaks of."""
    section, vault, name = workbench_on_each.mail_account, workbench_on_each.vault, secret_name(ana.user_id)
    old = vault.swap(name, Secret("in between"))
    section.save(ana, account("old.example", NEW), version=1)
    vault.put_back(name, old)

    require_typed_again(workbench_on_each, ana)


def test_a_vault_without_the_record_says_so(workbench_on_each: Workbench, ana: Actor) -> None:
    """The row speaks of a password that is not there: restored from before it was typed, or emptied."""
    workbench_on_each.vault.delete(secret_name(ana.user_id))

    require_typed_again(workbench_on_each, ana)


def test_an_old_row_of_a_removed_password_gets_nothing(workbench_on_each: Workbench, ana: Actor) -> None:
    """Removed on purpose, and the database of before put back: it does not come to life again."""
    section, restore = workbench_on_each.mail_account, remember(workbench_on_each, ana)
    section.save(ana, account("old.example", ""), version=1)
    assert not section.get(ana).password_lost
    restore()

    require_typed_again(workbench_on_each, ana)


def test_what_sends_nothing_elsewhere_keeps_the_password(workbench_on_each: Workbench, ana: Actor) -> None:
    """Another port, folder, receipt, more encryption, an emptied server, other letters' case: not typed again."""
    section = workbench_on_each.mail_account
    plain = account("old.example")
    for version, draft in enumerate(
        (
            replace(plain, smtp=ServerDraft("old.example", "2525", Security.STARTTLS)),
            replace(plain, smtp=ServerDraft("OLD.example", "465", Security.SSL), sent_folder="Sent"),
            replace(plain, imap=ServerDraft("", "", Security.SSL), read_receipt=True),
        ),
        start=1,
    ):
        saved = section.save(ana, draft, version=version)
        assert (saved.password_set, saved.password_lost) == (True, False)
        assert section.effective_password(ana, saved.draft) == Secret(OLD)


@pytest.mark.parametrize("first", list(Leg))
def test_the_other_server_on_the_same_host_needs_no_second_password(
    workbench_on_each: Workbench, ana: Actor, first: Leg
) -> None:
    """Typed for one server, it goes to the other one of that host too, encrypted: not to another host, not plain."""
    section, both = workbench_on_each.mail_account, account("mail.example")
    nothing = ServerDraft("", "", Security.SSL)
    one = replace(both, imap=nothing) if first is Leg.SMTP else replace(both, smtp=nothing)
    section.save(ana, replace(one, password=Secret(NEW)), version=1)
    elsewhere = ServerDraft("otro.example", "", Security.SSL)
    plain = ServerDraft("mail.example", "", Security.NONE)

    assert section.effective_password(ana, both) == Secret(NEW)
    for other in (elsewhere, plain):
        draft = replace(both, imap=other) if first is Leg.SMTP else replace(both, smtp=other)
        with pytest.raises(InvalidInput) as refused:
            section.effective_password(ana, draft)
        assert [found.code for found in refused.value.problems] == ["password_again"]
    with pytest.raises(InvalidInput):
        section.effective_password(ana, account("otro.example"))

    saved = section.save(ana, both, version=2)
    assert (saved.password_set, saved.password_lost) == (True, False)
    assert section.effective_password(ana, both) == Secret(NEW)


def test_a_password_of_a_plain_account_may_become_encrypted(workbench_on_each: Workbench, ana: Actor) -> None:
    """Typed for a plain server it may go there plain, and encrypted after a change; back to plain it is asked for."""
    section = workbench_on_each.mail_account
    plain = replace(account("old.example", NEW), smtp=ServerDraft("old.example", "25", Security.NONE))
    section.save(ana, plain, version=1)
    assert section.effective_password(ana, replace(plain, password=None)) == Secret(NEW)
    section.save(ana, account("old.example"), version=2)

    assert section.effective_password(ana, account("old.example")) == Secret(NEW)
    with pytest.raises(InvalidInput) as refused:
        section.save(ana, replace(plain, password=None), version=3)
    assert [found.code for found in refused.value.problems] == ["password_again"]


def test_a_password_kept_before_there_were_bonds_works_by_its_mark(workbench_on_each: Workbench, ana: Actor) -> None:
    """An installation of an earlier version: the row's mark tells its own password from any other."""
    section, vault, name = workbench_on_each.mail_account, workbench_on_each.vault, secret_name(ana.user_id)
    vault.set(name, Secret(OLD))
    assert section.effective_password(ana, account("old.example")) == Secret(OLD)

    vault.set(name, Secret(NEW))
    require_typed_again(workbench_on_each, ana)


def test_a_save_that_fails_in_the_database_puts_the_vault_back(
    workbench_on_each: Workbench, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is not stored: the old password, with its bond, is what both stores speak of."""
    section = workbench_on_each.mail_account

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr("cgcore.workbench.mail_account.put_account", refuse)
        with pytest.raises(RuntimeError):
            section.save(ana, account("new.example", NEW), version=1)

    assert section.get(ana).password_set
    assert section.effective_password(ana, account("old.example")) == Secret(OLD)


class Departing(MemoryKeyring):
    """Proves itself, and once ``gone`` is set answers nothing."""

    gone = False

    def get_password(self, service: str, username: str) -> str | None:
        """Refuse once gone."""
        if self.gone:
            raise OSError("no keyring")
        return super().get_password(service, username)


def test_a_keyring_that_is_away_is_no_lost_password(workbench: Workbench) -> None:
    """Who looks is told what the row says; who wants to send is told of the keyring, and types nothing again."""
    backend = Departing({})
    use_keyring(workbench, backend)
    ana = add_user(workbench, "ana")
    workbench.mail_account.save(ana, account("old.example", OLD), version=0)
    backend.gone = True

    stored = workbench.mail_account.get(ana)
    with pytest.raises(VaultError) as refused:
        workbench.mail_account.effective_password(ana, stored.draft)

    assert (stored.password_set, stored.password_lost) == (True, False)
    assert refused.value.code == "keyring_failed"


_KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlmodel import Session
from cgcore.identity.actor import Actor
from cgcore.storage.database import open_database
from cgcore.vault import Vault
from cgcore.workbench import Workbench
from cgcore.workbench import mail_account as module
from tests.conftest import make_settings
from tests.integration.test_secret_bonds import NEW, account

folder, url, user_id, gap = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
workbench = Workbench(make_settings(folder), open_database(url))

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if gap == "before the vault":
    Vault.swap = die
elif gap == "after the vault":
    module.put_account = die
else:
    # Listened for from here on: with PostgreSQL the vault commits as well.
    put = module.put_account

    def put_and_listen(*arguments):
        put(*arguments)
        moment = (workbench.database.engine, "commit") if gap == "before the commit" else (Session, "after_commit")
        event.listen(*moment, die)

    module.put_account = put_and_listen
workbench.mail_account.save(Actor(user_id, "ana"), account("new.example", NEW), version=1)
"""

_GAPS = {
    "before the vault": ("old.example", OLD),
    "after the vault": ("old.example", None),
    "before the commit": ("old.example", None),
    "after the commit": ("new.example", NEW),
}


@pytest.mark.parametrize("gap", _GAPS)
def test_a_process_killed_in_a_save_sends_no_password_to_the_other_server(
    workbench_on_each: Workbench, tmp_path: Path, gap: str
) -> None:
    """SIGKILL at each gap: host and password belong together, or the password is asked for again."""
    workbench, section = workbench_on_each, workbench_on_each.mail_account
    ana = add_user(workbench, "ana")
    section.save(ana, account("old.example", OLD), version=0)
    url = workbench.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _KILLED, str(tmp_path), url, str(ana.user_id), gap]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr

    host, password = _GAPS[gap]
    stored = section.get(ana)
    assert stored.draft.smtp.host == host
    if password is None:
        assert workbench.vault.get(secret_name(ana.user_id)) == Secret(NEW)
        require_typed_again(workbench, ana)
    else:
        assert section.effective_password(ana, stored.draft) == Secret(password)


def test_a_restored_file_of_the_database_sends_nothing(tmp_path: Path) -> None:
    """The SQLite file is put back from a copy, as an administrator would, while the vault's folder stays."""
    settings = make_settings(tmp_path)
    path, copy = settings.data_dir / "cloud-gestion.db", tmp_path / "copy.db"
    first = Workbench(settings)
    ana = add_user(first, "ana")
    first.mail_account.save(ana, account("old.example", OLD), version=0)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    first.mail_account.save(ana, account("new.example", NEW), version=1)
    first.close()
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    shutil.copy(copy, path)

    second = Workbench(settings)
    assert second.mail_account.get(ana).draft.smtp.host == "old.example"
    require_typed_again(second, ana)
    second.close()


def test_a_restored_folder_of_the_vault_sends_nothing(tmp_path: Path) -> None:
    """The vault's folder is put back from a copy while the database stays."""
    settings = make_settings(tmp_path)
    folder, copy = settings.data_dir / "vault", tmp_path / "copy"
    first = Workbench(settings)
    ana = add_user(first, "ana")
    first.mail_account.save(ana, account("old.example", OLD), version=0)
    shutil.copytree(folder, copy)
    first.mail_account.save(ana, account("new.example", NEW), version=1)
    first.close()
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)

    second = Workbench(settings)
    assert second.vault.get(secret_name(ana.user_id)) == Secret(OLD)
    require_typed_again(second, ana)
    second.close()


def test_a_number_given_to_somebody_else_brings_no_password_along(workbench_on_each: Workbench, ana: Actor) -> None:
    """A user made again under a number that was used before has no password, and saves without the old one."""
    with workbench_on_each.database.session() as session:
        row = session.get(MailAccountRow, ana.user_id)
        assert row is not None
        session.delete(row)

    saved = workbench_on_each.mail_account.save(ana, account("old.example"), version=0)

    assert (saved.password_set, saved.password_lost) == (False, False)
    assert workbench_on_each.mail_account.effective_password(ana, saved.draft) is None
    assert workbench_on_each.vault.get(secret_name(ana.user_id)) == Secret(OLD)
