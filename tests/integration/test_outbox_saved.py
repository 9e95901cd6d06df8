"""Documents put aside, in both databases: several, each its owner's, with their files, deleted and taken back."""

from __future__ import annotations

import pytest
from sqlmodel import col, update

from cgcore.clock import utc_now
from cgcore.errors import InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.message import Attachment
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.saved import SavedFields
from cgcore.storage.outbox_retention import UNWANTED_FOR, OutboxRetention
from cgcore.storage.outbox_tables import OutboundBlobRow, SavedDocumentRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox import saved as section
from tests.servers.house import add_user

_FIELDS = SavedFields(
    "sales_invoice",
    "F",
    {"number": "7", "customer": "Talleres Ruiz", "to": "eva@ (falta)", "variables.importe": "12,50 €"},
    body="<p>Casi</p>",
    adviser=False,
)
_PDF = Attachment("Factura 7.pdf", "application/pdf", b"%PDF-1.7 " + b"x" * 600_000)
_TXT = Attachment("nota.txt", "text/plain", b"hola")


@pytest.fixture
def ana(workbench_on_each: Workbench) -> Actor:
    """Whoever puts documents aside."""
    return add_user(workbench_on_each, "ana")


def _let_days_pass(workbench: Workbench) -> None:
    old = utc_now() - 2 * UNWANTED_FOR
    with workbench.database.session() as session:
        session.exec(update(OutboundBlobRow).values(touched=old))
        session.exec(update(SavedDocumentRow).where(col(SavedDocumentRow.deleted).is_not(None)).values(deleted=old))


def test_a_document_comes_back_as_it_was_typed_with_its_files(workbench_on_each: Workbench, ana: Actor) -> None:
    """Half of it, wrong or empty; whatever time passes, its bytes are kept."""
    saved = workbench_on_each.saved.save(ana, _FIELDS, [_PDF, _TXT])
    _let_days_pass(workbench_on_each)
    OutboxRetention(workbench_on_each.database).sweep()
    found = workbench_on_each.saved.get(ana, saved.id)

    assert (found, found.fields) == (saved, _FIELDS)
    assert list(workbench_on_each.saved.read_files(ana, saved.id)) == [_PDF, _TXT]


def test_saving_again_takes_the_place_of_the_one_before_and_of_no_other(
    workbench_on_each: Workbench, ana: Actor
) -> None:
    """The newest stands first; a second tab that goes on with the one before writes nothing over."""
    documents = workbench_on_each.saved
    first, other = documents.save(ana, _FIELDS, [_TXT]), documents.save(ana, SavedFields("quote"), [])
    second = documents.save(ana, _FIELDS, [_TXT], replaces=first.id)
    beside = documents.save(ana, SavedFields("sales_order"), [], replaces=first.id)
    page, following = documents.list(ana, limit=2)
    rest, end = documents.list(ana, cursor=following, limit=2)

    assert [each.id for each in (*page, *rest)] == [beside.id, second.id, other.id]
    assert (bool(following), end) == (True, "")


def test_a_deleted_one_can_be_taken_back_for_a_day(workbench_on_each: Workbench, ana: Actor) -> None:
    """With its files; then it is forgotten, and so are they."""
    documents, retention = workbench_on_each.saved, OutboxRetention(workbench_on_each.database)
    kept, gone = documents.save(ana, _FIELDS, [_PDF]), documents.save(ana, _FIELDS, [_TXT])
    for each in (kept, gone):
        documents.delete(ana, each.id)
    retention.sweep()
    documents.take_back(ana, kept.id)
    back = [each.id for each in documents.list(ana)[0]]
    _let_days_pass(workbench_on_each)
    retention.sweep()

    assert back == [kept.id]
    assert list(documents.read_files(ana, kept.id)) == [_PDF]
    with pytest.raises(NotFound):
        documents.take_back(ana, gone.id)
    with workbench_on_each.database.read() as session:
        blobs = session.get(OutboundBlobRow, gone.files[0].blob), session.get(OutboundBlobRow, kept.files[0].blob)
    assert blobs[0] is None
    assert blobs[1] is not None


def test_nobody_sees_what_somebody_else_has_put_aside(workbench_on_each: Workbench, ana: Actor) -> None:
    """Nor deletes it, takes it back, reads its files or takes its place."""
    luis, documents = add_user(workbench_on_each, "luis"), workbench_on_each.saved
    mine, deleted = documents.save(ana, _FIELDS, [_TXT]), documents.save(ana, _FIELDS, [_TXT])
    documents.delete(ana, deleted.id)
    documents.save(luis, _FIELDS, [], replaces=mine.id)
    for use in (documents.get, documents.read_files, documents.delete):
        with pytest.raises(NotFound):
            use(luis, mine.id)
    with pytest.raises(NotFound):
        documents.take_back(luis, deleted.id)

    assert [each.id for each in documents.list(ana)[0]] == [mine.id]
    assert mine.id not in [each.id for each in documents.list(luis)[0]]


def test_what_cannot_be_stored_is_said_beside_its_field(workbench_on_each: Workbench, ana: Actor) -> None:
    """And too many are too many; nothing is stored by either."""
    documents = workbench_on_each.saved
    with pytest.raises(InvalidInput) as refused:
        documents.save(ana, SavedFields("none", texts={"customer": "a\x00b"}), [Attachment("a\x00", "", b"x")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(section, "MOST_SAVED", 1)
        first = documents.save(ana, _FIELDS, [])
        again = documents.save(ana, _FIELDS, [], replaces=first.id)
        with pytest.raises(OutboxRefused) as many:
            documents.save(ana, _FIELDS, [])

    assert [problem.field for problem in refused.value.problems] == ["customer", "type", "attachments"]
    assert many.value.code == "too_many_saved"
    assert [each.id for each in documents.list(ana)[0]] == [again.id]
