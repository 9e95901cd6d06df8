"""The mail account section: versions, the password's life, and what a crash may not lose."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cgcore.errors import InvalidInput, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.steps import Leg
from cgcore.storage.tables import UserRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench

_PASSWORD = "S3cr3t-ñ"
_DRAFT = MailAccountDraft(
    user="facturas@electricidadtosma.es",
    password=Secret(_PASSWORD),
    smtp=ServerDraft("smtp.ejemplo.es", "587", Security.STARTTLS),
    imap=ServerDraft("imap.ejemplo.es", "993", Security.SSL),
    sent_folder="Enviados",
)


def _add_user(workbench: Workbench, name: str) -> Actor:
    with workbench.database.session() as session:
        row = UserRow(username=name, username_key=name)
        session.add(row)
        session.flush()
        return Actor(user_id=row.id or 0, username=name)


def test_a_saved_account_comes_back_without_its_password(workbench_on_each: Workbench) -> None:
    """Every field but the password is read again; the password is in the vault and nowhere in the database."""
    actor = _add_user(workbench_on_each, "ana")

    workbench_on_each.mail_account.save(actor, _DRAFT, version=0)
    stored = workbench_on_each.mail_account.get(actor)

    assert stored.version == 1
    assert stored.draft == replace(
        _DRAFT,
        password=None,
        smtp=ServerDraft("smtp.ejemplo.es", 587, Security.STARTTLS),
        imap=ServerDraft("imap.ejemplo.es", 993, Security.SSL),
    )
    assert stored.password_set
    assert workbench_on_each.vault.get(f"mail/{actor.user_id}") == Secret(_PASSWORD)
    assert _PASSWORD not in repr(stored)


def test_the_password_is_in_no_file_of_the_data_folder(workbench: Workbench) -> None:
    """Neither database, write-ahead log nor vault record holds it in clear."""
    actor = _add_user(workbench, "ana")

    workbench.mail_account.save(actor, _DRAFT, version=0)
    files = [path for path in workbench.settings.data_dir.rglob("*") if path.is_file()]

    assert files
    assert not [path for path in files if _PASSWORD.encode() in path.read_bytes()]


def test_none_keeps_an_empty_one_removes_and_another_replaces(workbench_on_each: Workbench) -> None:
    """The three meanings of the password field."""
    actor, section = _add_user(workbench_on_each, "ana"), workbench_on_each.mail_account
    name = f"mail/{actor.user_id}"

    section.save(actor, _DRAFT, version=0)
    section.save(actor, replace(_DRAFT, password=None, read_receipt=True), version=1)
    kept = workbench_on_each.vault.get(name)
    section.save(actor, replace(_DRAFT, password=Secret("otra")), version=2)
    replaced = workbench_on_each.vault.get(name)
    last = section.save(actor, replace(_DRAFT, password=Secret("")), version=3)

    assert kept == Secret(_PASSWORD)
    assert replaced == Secret("otra")
    assert workbench_on_each.vault.get(name) is None
    assert not last.password_set


@pytest.mark.parametrize(
    "changed",
    [
        replace(_DRAFT, smtp=ServerDraft("smtp.otro.es", "587", Security.STARTTLS)),
        replace(_DRAFT, imap=ServerDraft("imap.otro.es", "993", Security.SSL)),
        replace(_DRAFT, user="otra@electricidadtosma.es"),
        replace(_DRAFT, smtp=ServerDraft("smtp.ejemplo.es", "25", Security.NONE)),
    ],
    ids=["smtp host", "imap host", "user", "no encryption"],
)
def test_a_stored_password_goes_to_no_other_server(workbench: Workbench, changed: MailAccountDraft) -> None:
    """Neither a save nor a test sends the kept password elsewhere: it is asked for again, beside its field."""
    actor, section = _add_user(workbench, "ana"), workbench.mail_account
    section.save(actor, _DRAFT, version=0)
    draft = replace(changed, password=None)

    with pytest.raises(InvalidInput) as on_save:
        section.save(actor, draft, version=1)
    with pytest.raises(InvalidInput) as on_test:
        workbench.mail_runs.start_probe(actor, Leg.SMTP, draft)

    assert [problem.code for problem in on_save.value.problems] == ["password_again"]
    assert [problem.field for problem in on_test.value.problems] == ["password"]
    assert section.get(actor).version == 1


def test_an_ampersand_in_the_password_saves_nothing(workbench: Workbench) -> None:
    """The rule of the suite: a clear error beside the field, nothing stored."""
    actor = _add_user(workbench, "ana")

    with pytest.raises(InvalidInput) as refused:
        workbench.mail_account.save(actor, replace(_DRAFT, password=Secret("a&b")), version=0)

    assert [(problem.field, problem.code) for problem in refused.value.problems] == [("password", "ampersand")]
    assert workbench.mail_account.get(actor).version == 0
    assert workbench.vault.get(f"mail/{actor.user_id}") is None


def test_of_two_tabs_the_second_is_told_what_stands_there(workbench_on_each: Workbench) -> None:
    """A stale save is refused with the stored version, and neither row nor password changes."""
    actor, section = _add_user(workbench_on_each, "ana"), workbench_on_each.mail_account
    section.save(actor, _DRAFT, version=0)

    section.save(actor, replace(_DRAFT, password=None, sent_folder="Sent"), version=1)
    with pytest.raises(StaleVersion) as stale:
        section.save(actor, replace(_DRAFT, password=Secret("de la segunda")), version=1)

    assert stale.value.version == 2
    assert stale.value.stored["sent_folder"] == "Sent"
    assert "de la segunda" not in str(stale.value.stored)
    assert workbench_on_each.vault.get(f"mail/{actor.user_id}") == Secret(_PASSWORD)


def test_of_two_first_saves_at_once_one_wins(workbench_on_each: Workbench) -> None:
    """Two tabs that both start from nothing: one row, one password, and they belong together."""
    actor, section = _add_user(workbench_on_each, "ana"), workbench_on_each.mail_account
    start, outcomes = threading.Barrier(2), []

    def save(folder: str) -> None:
        start.wait(10)
        try:
            section.save(actor, replace(_DRAFT, sent_folder=folder, password=Secret(folder)), version=0)
            outcomes.append(folder)
        except StaleVersion:
            outcomes.append("stale")

    threads = [threading.Thread(target=save, args=(folder,)) for folder in ("uno", "dos")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    stored = section.get(actor)

    assert sorted(outcomes) in (["dos", "stale"], ["stale", "uno"])
    assert workbench_on_each.vault.get(f"mail/{actor.user_id}") == Secret(stored.draft.sent_folder)


_SAVER = """
import sys
from pathlib import Path
from dataclasses import replace
from tests.conftest import make_settings
from tests.integration.test_mail_account import _DRAFT
from cgcore.identity.actor import Actor
from cgcore.workbench import open_workbench

workbench = open_workbench(make_settings(Path(sys.argv[1])))
actor = Actor(user_id=int(sys.argv[2]), username="ana")
version = workbench.mail_account.get(actor).version
while True:
    saved = workbench.mail_account.save(actor, replace(_DRAFT, password=None), version=version)
    version = saved.version
    print(version, flush=True)
"""


def test_a_killed_process_loses_no_acknowledged_save(workbench: Workbench, tmp_path: Path) -> None:
    """``kill -9`` in the middle of saves: what was called saved is there, and the database opens."""
    actor = _add_user(workbench, "ana")
    workbench.mail_account.save(actor, _DRAFT, version=0)

    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _SAVER, str(tmp_path), str(actor.user_id)], stdout=subprocess.PIPE, text=True
        ) as saver:
            assert saver.stdout is not None
            acknowledged = [int(saver.stdout.readline()) for _ in range(5)]
            saver.kill()
            acknowledged += [int(line) for line in saver.stdout.read().split("\n") if line.strip()]
        stored = workbench.mail_account.get(actor)

        assert stored.version in (acknowledged[-1], acknowledged[-1] + 1)
        assert stored.password_set
