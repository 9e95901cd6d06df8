"""The outbox from the command line: for whoever holds the data folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import update

from cgcore.cli import main
from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.vault.secret import Secret
from cgcore.workbench import open_workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.conftest import make_settings
from tests.servers.house import add_series, add_user

Run = Callable[..., tuple[int, str, str]]

_DOCUMENT = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "7", ("eva@example.com",), body="<p>Hola</p>", signature=""
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a command on the data of the test; returns exit code, output and errors."""
    for name, value in {"CG_DATA_DIR": tmp_path / "data", "CG_CONFIG_DIR": tmp_path / "config"}.items():
        monkeypatch.setenv(name, str(value))

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["outbox", *arguments])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def name(tmp_path: Path) -> str:
    """The id of a message that waits in a furnished house."""
    workbench = open_workbench(make_settings(tmp_path))
    admin, ana = add_user(workbench, "admin", Role.ADMIN), add_user(workbench, "ana")
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Tosma, SL", "B04123451", "Luz, 12"), 0)
    smtp = ServerDraft("127.0.0.1", 1, Security.NONE)
    draft = MailAccountDraft("ana@example.com", Secret("correcto-Caballo.9"), smtp, ServerDraft("", ""))
    workbench.mail_account.save(ana, draft, version=0)
    message, _ = workbench.outbox.send(ana, _DOCUMENT, "k")
    with workbench.database.session() as session:
        session.exec(update(OutboundMessageRow).values(state="held", held_by="person", reason={"key": "backup"}))
    workbench.close()
    return message.id


def test_messages_are_listed_shown_and_changed(run: Run, name: str) -> None:
    """In words or as the API has them; what is held goes on, and what waits is taken back once."""
    listed, shown = run("list"), run("show", name, "--json")
    resumed, cancelled, again = run("resume", "ana", "--json"), run("cancel", name), run("cancel", name)

    assert listed[1].splitlines() == [f"{name} · En espera · F 7 · Adjunto Factura F 7 de Tosma, SL · {_REASON}"]
    assert json.loads(shown[1])["reason"]["key"] == "backup"
    assert json.loads(shown[1])["recipients"][0]["address"] == "eva@example.com"
    assert (resumed[0], json.loads(resumed[1])) == (0, {"resumed": 1})
    assert (cancelled[0], cancelled[1].split(" · ")[1]) == (0, "Cancelado")
    assert again == (1, "", "El mensaje ya no está en ese punto. Mira su estado.\n")


def test_what_some_have_is_ended_for_the_others(run: Run, name: str, tmp_path: Path) -> None:
    """Once; the words tell of a copy that is still to be filed, the object of the API keeps to its states."""
    refused = run("skip-rest", name)
    workbench = open_workbench(make_settings(tmp_path))
    with workbench.database.session() as session:
        session.exec(update(OutboundMessageRow).values(accepted=datetime.now(UTC), copy_state="pending"))
    workbench.close()
    ended, again, listed = run("skip-rest", name), run("skip-rest", name), run("list", "--state", "copy_pending")
    told = json.loads(run("show", name, "--json")[1])

    assert (refused[0], again[0]) == (1, 1)
    assert (ended[0], ended[1].split(" · ")[1]) == (0, "Enviado, copia pendiente")
    assert listed[1] == ended[1]
    assert run("list", "--state", "copy_failed")[1] == ""
    assert (told["state"], told["copy"]["state"], told["recipients"][0]["state"]) == ("sent", "pending", "skipped")


_REASON = "Lleva horas en la cola"


def test_what_is_not_there_is_told_in_a_sentence(run: Run, name: str) -> None:
    """Exit code 1 for a name or a person that nobody knows, 2 for a state that is none."""
    assert run("show", "f" * 32) == (1, "", "No hay nada con ese nombre.\n")
    assert run("list", "nadie")[0] == 1
    assert run("list", "--state", "lost")[0] == 2
    assert run("list", "--state", "sent") == run("list", "--state", "bounced") == (0, "", "")
    assert run("resend", name)[1].split(" · ")[1] == "En cola"
