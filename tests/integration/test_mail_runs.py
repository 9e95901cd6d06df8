"""Probes and test mails of an account, through the facade, with the test mailbox at the other end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.steps import Leg
from cgcore.runs import Cell
from cgcore.storage.tables import ProbeRunRow, UserRow
from cgcore.workbench import Workbench
from cgcore.workbench.mail_probes import TEST_MAILS_PER_HOUR


@pytest.fixture
def actor(workbench: Workbench) -> Actor:
    """A user with an address of her own."""
    with workbench.database.session() as session:
        row = UserRow(username="ana", username_key="ana")
        session.add(row)
        session.flush()
        return Actor(user_id=row.id or 0, username="ana", full_name="Ana Tosma", mail="ana@electricidadtosma.es")


@pytest.fixture
def draft(workbench: Workbench, actor: Actor) -> MailAccountDraft:
    """The account of the test mailbox, stored as it is filled in."""
    filled = workbench.sandbox.use_for(actor)
    workbench.mail_account.save(actor, filled, version=0)
    return filled


def test_both_legs_are_proven_with_the_stored_password(
    workbench: Workbench, actor: Actor, draft: MailAccountDraft
) -> None:
    """Once saved, the test needs no typed password, and its fingerprint is that of the typed one."""
    kept = replace(draft, password=None)

    runs = [workbench.mail_runs.start_probe(actor, leg, kept) for leg in (Leg.SMTP, Leg.IMAP)]
    ended = {run.cell: run for run in workbench.runs.follow(actor, *runs) if not run.is_running}

    assert {cell: run.verdict and run.verdict.key for cell, run in ended.items()} == {"smtp": "ok", "imap": "ok"}
    assert len({workbench.mail_runs.fingerprint(actor, Cell.SMTP, tested) for tested in (kept, draft)}) == 1
    assert workbench.sandbox.list_messages(actor) == []


def test_a_double_click_sends_one_mail(workbench: Workbench, actor: Actor, draft: MailAccountDraft) -> None:
    """The second start joins the first; the result names the recipient, the queue and the copy."""
    runs = workbench.mail_runs

    first = runs.start_test_mail(actor, draft, "cliente@ejemplo.es")
    second = runs.start_test_mail(actor, draft, "cliente@ejemplo.es")
    *_, ended = workbench.runs.follow(actor, first)

    assert second.id == first.id
    assert len(workbench.sandbox.list_messages(actor)) == 1
    assert ended.result is not None
    assert ended.result["sent"] is True
    assert ended.result["recipient"] == "cliente@ejemplo.es"
    assert ended.result["queue_id"]
    assert (ended.result["copy"], ended.result["folder"]) == ("stored", draft.sent_folder)


def test_a_copy_that_fails_does_not_unsend_the_mail(
    workbench: Workbench, actor: Actor, draft: MailAccountDraft
) -> None:
    """The message has left; the verdict is about the copy, and the result tells both apart."""
    run = workbench.mail_runs.start_test_mail(actor, replace(draft, sent_folder="No existe"), "c@ejemplo.es")
    *_, ended = workbench.runs.follow(actor, run)

    assert ended.verdict is not None
    assert ended.verdict.key == "folder_missing"
    assert ended.result is not None
    assert (ended.result["sent"], ended.result["copy"]) == (True, "failed")
    assert len(workbench.sandbox.list_messages(actor)) == 1


@pytest.mark.parametrize(
    ("recipient", "code"), [("", "recipient_empty"), ("  ", "recipient_empty"), ("a@b@c", "address_syntax")]
)
def test_a_wrong_recipient_starts_nothing(
    workbench: Workbench, actor: Actor, draft: MailAccountDraft, recipient: str, code: str
) -> None:
    """It is told beside its field, and no run is made."""
    with pytest.raises(InvalidInput) as refused:
        workbench.mail_runs.start_test_mail(actor, draft, recipient)

    assert [(problem.field, problem.code) for problem in refused.value.problems] == [("recipient", code)]
    assert workbench.mail_runs.find_last(actor, Cell.TEST_MAIL) is None


def test_test_mails_have_an_hourly_limit(workbench: Workbench, actor: Actor, draft: MailAccountDraft) -> None:
    """One too many within the hour is refused with the number."""
    with workbench.database.session() as session:
        for number in range(TEST_MAILS_PER_HOUR):
            session.add(
                ProbeRunRow(
                    user_id=actor.user_id,
                    cell=Cell.TEST_MAIL,
                    fingerprint="f",
                    number=number,
                    started=datetime.now(UTC),
                    finished=datetime.now(UTC),
                )
            )

    with pytest.raises(InvalidInput) as refused:
        workbench.mail_runs.start_test_mail(actor, draft, "c@ejemplo.es")

    assert [problem.code for problem in refused.value.problems] == ["test_mail_limit"]
    assert str(TEST_MAILS_PER_HOUR) in refused.value.problems[0].message


def test_an_empty_field_is_asked_for_before_any_connection(workbench: Workbench, actor: Actor) -> None:
    """An account without servers starts no run of either leg."""
    with pytest.raises(InvalidInput) as refused:
        workbench.mail_runs.start_probe(actor, Leg.IMAP, MailAccountDraft())

    assert {problem.field for problem in refused.value.problems} == {"user", "imap_host"}
    assert workbench.mail_runs.find_last(actor, Cell.IMAP) is None
