"""The daily watch where people read it: its part of «Cuenta mail», «Resumen», and the API."""

from __future__ import annotations

import pytest
from sqlmodel import select

from cgcore.identity.actor import Actor, Role
from cgcore.mail.watch import Memory, Trouble
from cgcore.runs import Cell
from cgcore.storage.mail_tables import MailWatchRow
from cgcore.workbench import Workbench
from tests.integration.test_mail_presets import ACCOUNT, prove
from tests.servers.api_server import serve_api
from tests.servers.api_users import add_person, issue_key
from tests.servers.pages import open_page, sign_in, words

SWITCH, PART = "mail_account_watch_on", "mail_account_watch"
QUOTA = Trouble("quota", "imap", values={"percent": "93"}, since="2026-11-24")
REFUSED = Trouble("failed", "smtp", "bad_credentials", {"host": "mail.hoster.test"}, "2026-11-24")


def look(workbench: Workbench, actor: Actor, *troubles: Trouble) -> None:
    """Let the watch have looked now, and seen ``troubles`` of the stored account."""
    version = workbench.mail_account.get(actor).version
    with workbench.database.session() as session:
        row = session.exec(select(MailWatchRow).where(MailWatchRow.user_id == actor.user_id)).first()
        row = row or MailWatchRow(user_id=actor.user_id, since=workbench.clock())
        row.looked, row.memory = workbench.clock(), Memory(troubles, account=version).to_json()
        session.add(row)


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """Somebody whose account passed its tests."""
    actor = sign_in(workbench, "ana", Role.ADMIN)
    workbench.mail_account.save(actor, ACCOUNT, version=0)
    prove(workbench, actor, Cell.SMTP, Cell.IMAP)
    return actor


def test_the_part_is_folded_and_its_switch_stays_as_it_was_put(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """On before anybody thought of it; open, it says what the last look saw."""
    page = open_page(monkeypatch, workbench, ana, "mail_account.py")
    assert not any(toggle.key == SWITCH for toggle in page.toggle)
    page.session_state[PART] = True
    page.run()
    assert page.toggle(SWITCH).value
    assert "La primera será esta noche." in words(page)
    page.toggle(SWITCH).set_value(False).run()
    assert not page.exception
    assert not workbench.mail_watch.get(ana).enabled
    assert "esta noche" not in words(page)
    page.toggle(SWITCH).set_value(True).run()
    look(workbench, ana, QUOTA)
    page.run()

    assert workbench.mail_watch.get(ana).enabled
    assert "Tu buzón está al 93 %: haz sitio en él" in words(page).replace("\\", "")


@pytest.mark.parametrize(
    ("trouble", "told", "badge"),
    [
        (QUOTA, "Tu buzón está al 93 %", "Revisar"),
        (REFUSED, "El envío ha dejado de funcionar. El usuario o la contraseña no son correctos", "Error"),
    ],
)
def test_resumen_tells_what_the_watch_has_seen_until_it_is_cured(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, trouble: Trouble, told: str, badge: str
) -> None:
    """In place of «Envía por …»; after a test that passes, or another account, the failure is told no more."""
    look(workbench, ana, trouble)
    page = open_page(monkeypatch, workbench, ana, "overview.py")
    seen = words(page).replace("\\", "")

    assert told in seen
    assert "Envía por mail.hoster.test" not in seen
    assert badge in seen
    prove(workbench, ana, Cell.SMTP)
    assert (told in words(page.run()).replace("\\", "")) is (trouble is QUOTA)


def test_the_api_tells_the_same(workbench: Workbench) -> None:
    """With its sentence; nothing while all is well, and nobody else's."""
    ana, luis = add_person(workbench, "ana"), add_person(workbench, "luis")
    workbench.mail_account.save(ana.actor, ACCOUNT, version=0)
    look(workbench, ana.actor, REFUSED)
    with serve_api(workbench) as api:
        answers = [
            api.client(issue_key(workbench, person).key.reveal()).get("/mail-account/watch").json()
            for person in (ana, luis)
        ]

    assert answers[0]["enabled"]
    assert [(one["code"], one["leg"], one["key"], one["since"]) for one in answers[0]["troubles"]] == [
        ("failed", "smtp", "bad_credentials", "2026-11-24")
    ]
    assert "El usuario o la contraseña no son correctos" in answers[0]["troubles"][0]["text"]
    assert answers[1] == {"enabled": True, "looked": None, "troubles": []}
