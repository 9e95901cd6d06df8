"""«Enviar documento» as its users meet it, without a browser: refused, written, seen, handed in, undone, looked at."""

from __future__ import annotations

import os
import re
import tracemalloc
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update
from streamlit.runtime.uploaded_file_manager import UploadedFile
from streamlit.testing.v1 import AppTest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.message import Attachment
from cgcore.mail.steps import Leg
from cgcore.outbox.message import Message, MessageFilters
from cgcore.outbox.preferences import OutboxPreferences
from cgcore.outbox.saved import SavedFields
from cgcore.outbox.states import RESENDABLE, Kind, RecipientState, State
from cgcore.storage.bounce_tables import BounceNoticeRow
from cgcore.storage.outbox_tables import (
    OutboundAttemptRow,
    OutboundMessageRow,
    OutboundRecipientRow,
    OutboxAccountRow,
)
from cgcore.storage.tables import MailTemplateRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.outbox.copies import CopyClerk
from cgcore.workbench.outbox.describe import refusal_text
from pages.ui.files import share_upload
from pages.ui.moments import seconds_until
from tests.servers.house import add_series
from tests.servers.pages import open_page, sign_in, words
from tests.servers.scripted import SmtpScript, smtp_server
from tests.servers.tabs import open_tab
from tests.unit.test_hostile_names import HOSTILE, find_markup

T = DocumentType
SCRIPT, DRAFT = "send_document.py", "send_document_draft"


@dataclass
class Desk:
    """Somebody who may send, at their page; no worker runs, so what is handed in waits."""

    workbench: Workbench
    ana: Actor
    patch: pytest.MonkeyPatch

    def open(self) -> AppTest:
        page = open_page(self.patch, self.workbench, self.ana, SCRIPT)
        assert not page.exception
        return page

    def messages(self) -> list[Message]:
        return list(self.workbench.outbox.list(self.ana, MessageFilters()).messages)

    def hand_in(self, number: str, state: State = State.QUEUED, **more: Any) -> str:
        request = DocumentRequest(T.SALES_INVOICE, "F", number, ["eva@example.com"], **more)
        name = self.workbench.outbox.send(self.ana, request, number)[0].id
        with self.workbench.database.session() as session:
            moved = update(OutboundMessageRow).where(col(OutboundMessageRow.id) == name)
            session.exec(moved.values(state=state.value))
        return name


@pytest.fixture
def desk(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A house with a name, two series and an account."""
    return furnish(workbench, monkeypatch)


def furnish(workbench: Workbench, monkeypatch: pytest.MonkeyPatch, company: str = "Electricidad Tosma, SL") -> Desk:
    """Return the desk of an administrator; without a ``company`` the house has no name."""
    ana = sign_in(workbench, "ana", Role.ADMIN)
    if company:
        workbench.company.save(ana, CompanyDraft(company, "B04123451", "Luz, 12"), 0)
    add_series(workbench, ana, "F", T.SALES_INVOICE)
    add_series(workbench, ana, "G", T.SALES_INVOICE)
    workbench.series.defaults.save(ana, {T.SALES_INVOICE: "F"}, None)
    draft = MailAccountDraft("ana@example.com", Secret("correcto-Caballo.9"), ServerDraft("smtp.example.com"))
    workbench.mail_account.save(ana, draft, version=0)
    return Desk(workbench, ana, monkeypatch)


def add_imap(desk: Desk) -> None:
    """Let the account have a mailbox, with no folder chosen for copies."""
    stored = desk.workbench.mail_account.get(desk.ana)
    typed = Secret("correcto-Caballo.9")  # it goes to no server that it was not typed for
    draft = replace(stored.draft, password=typed, imap=ServerDraft("imap.example.com", "", Security.SSL))
    desk.workbench.mail_account.save(desk.ana, draft, version=stored.version)


def fill(page: AppTest, **fields: str) -> AppTest:
    """Write into fields of the document, by their names."""
    for name, value in fields.items():
        key = f"send_document_variables.{name[4:]}-" if name.startswith("var_") else f"send_document_{name}-"
        field = next(each for each in page.text_input if str(each.key).startswith(key))
        field.set_value(value)
    return page.run()


def written(page: AppTest, *labels: str) -> list[str | None]:
    """Return what stands in fields, by their labels."""
    found = {each.label: each.value for each in page.text_input}
    return [found[label] for label in labels]


def preview(page: AppTest) -> AppTest:
    """Press «Vista previa»."""
    return page.button("send_document_preview").click().run()


def send(page: AppTest) -> AppTest:
    """Press «Enviar»."""
    return page.button("send_document_send").click().run()


def sent_tab(page: AppTest) -> AppTest:
    """Open «Enviados»."""
    page.session_state["send_document_tab"] = "Enviados"
    return page.run()


def put(page: AppTest, widget: Any, value: str) -> AppTest:
    """Choose or write something in «Enviados»."""
    widget.set_value(value)
    return sent_tab(page)


def press(page: AppTest, *names: str) -> AppTest:
    """Press buttons in «Enviados»; the driver forgets which tab is open."""
    page.session_state["send_document_tab"] = "Enviados"
    for name in names:
        page.button(f"send_document_{name}").click()
    return page.run()


def said(page: AppTest) -> str:
    """Every text in sight, as it is read."""
    return re.sub(r"\\(.)|\u2060", r"\1", words(page))


def keys(page: AppTest) -> set[str]:
    """The buttons in sight."""
    return {str(button.key) for button in page.button}


def test_nobody_gets_a_form_without_a_log_in(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """What the gate does not vouch for sees one sentence."""
    page = open_page(monkeypatch, workbench, None, SCRIPT)

    assert len(page.error) == 1
    assert not page.text_input


def test_the_form_begins_with_the_users_series_and_the_template(desk: Desk) -> None:
    """And says that a preview comes first."""
    page = desk.open()
    subject = next(each for each in page.text_input if each.label == "Asunto")

    assert (page.selectbox("send_document_type").value, page.title[0].value) == (T.SALES_INVOICE, "Enviar documento")
    assert page.selectbox("send_document_series_sales_invoice").value == "F"
    assert subject.value == desk.workbench.templates.get(desk.ana, T.SALES_INVOICE).subject
    assert "Mira el mensaje antes de enviarlo." in said(page)
    assert "send_document_send" not in keys(page)


def test_without_an_account_it_says_where_one_is_set_up(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """A sentence and a link; nothing that could be pressed in vain."""
    page = open_page(monkeypatch, workbench, sign_in(workbench, "ana", Role.ADMIN), SCRIPT)

    assert not page.exception
    assert "Completa «Cuenta mail»" in said(page)
    assert "send_document_preview" not in keys(page)


def test_a_document_is_seen_handed_in_and_undone(desk: Desk) -> None:
    """With the text of this message; the template stays, and so does all that was written."""
    page = fill(desk.open(), number="21043", customer="Talleres Ruiz", to="Eva <eva@example.com>; b@example.com")
    page = fill(page, bcc="gestoria@example.com", var_importe="9 €")
    subject = next(each for each in page.text_input if each.label == "Asunto")
    page = preview(subject.set_value("Solo {numero}").run())
    seen = said(page)
    page = send(page)
    (message,) = desk.messages()
    told = said(page)
    page = page.button("send_document_undo").click().run()

    assert "Solo 21043" in seen
    assert (message.subject, message.customer, message.series, message.state) == (
        "Solo 21043", "Talleres Ruiz", "F", State.QUEUED,
    )  # fmt: skip
    assert [(each.kind, each.address, each.name) for each in message.recipients] == [
        ("to", "eva@example.com", "Eva"),
        ("to", "b@example.com", ""),
        ("bcc", "gestoria@example.com", ""),
    ]
    assert 0 < seconds_until(message.due) <= 10
    assert "Se envía en" in told
    assert [each.state for each in desk.messages()] == [State.CANCELLED]
    assert next(each for each in page.text_input if each.label == "Número").value == "21043"
    assert next(each for each in page.text_input if each.label == "Asunto").value == "Solo {numero}"
    with desk.workbench.database.session() as session:
        assert session.exec(select(MailTemplateRow)).all() == []


def test_what_is_on_its_way_can_go_at_once_and_makes_room_for_another(desk: Desk) -> None:
    """The next document is empty, and is another message."""
    page = send(preview(fill(desk.open(), number="1", to="eva@example.com")))
    page = page.button("send_document_now").click().run()
    (first,) = desk.messages()
    page = page.button("send_document_another").click().run()
    emptied = next(each for each in page.text_input if each.label == "Número").value
    page = send(preview(fill(page, number="2", to="eva@example.com")))

    assert seconds_until(first.due) == 0
    assert emptied == ""
    assert [each.number for each in desk.messages()] == ["2", "1"]


def test_what_has_changed_since_the_preview_is_seen_again_first(desk: Desk) -> None:
    """A click that brings another number along sends nothing."""
    page = preview(fill(desk.open(), number="1", to="eva@example.com"))
    number = next(each for each in page.text_input if each.label == "Número")
    number.set_value("2")
    page = send(page)
    refused, none = said(page), desk.messages()
    send(page)

    assert "ha cambiado desde la vista previa" in refused
    assert none == []
    assert [each.number for each in desk.messages()] == ["2"]


@pytest.mark.parametrize(
    ("before", "again"),
    [("0012", "12"), ("12", "0012"), ("00012", "0012"), ("2026/007", "2026-7"), ("2026-12", "2026/12"), ("A-5", "a-5")],
)
def test_a_document_is_known_again_however_its_number_is_written(desk: Desk, before: str, again: str) -> None:
    """As it was stored, and as it is asked for; another document is another one."""
    send(preview(fill(desk.open(), number=before, to="eva@example.com")))
    blocked = [
        preview(fill(desk.open(), number=number, to="eva@example.com")).button("send_document_send").disabled
        for number in (again, f"{again}9")
    ]

    assert blocked == [True, False]


def test_a_document_that_was_handed_in_already_goes_again_only_when_it_is_ticked(desk: Desk) -> None:
    """Two tabs with the same document, its button in sight in both: the second click sends nothing and is told when and
    to whom; so is a number that is written in another way, and neither another address nor what was taken back."""
    pages = [preview(fill(desk.open(), number="7", to="eva@example.com")) for _ in range(2)]
    send(pages[0])
    (first,) = desk.messages()
    second = send(pages[1])
    told, blocked = said(second), second.button("send_document_send").disabled
    once = len(desk.messages())
    other = preview(fill(desk.open(), number="007", to="luis@example.com"))
    free = not other.button("send_document_send").disabled
    same = preview(fill(desk.open(), number="007", to="Eva <EVA@example.com>"))
    held = same.button("send_document_send").disabled
    second.checkbox[0].check()
    second = send(second.run())
    for message in desk.messages():
        desk.workbench.outbox.cancel(desk.ana, message.id)
    taken_back = preview(fill(desk.open(), number="7", to="eva@example.com"))

    assert "Ya está en «Enviados»: " in told
    assert "a eva@example.com" in told
    assert (blocked, once, free, held) == (True, 1, True, True)
    assert [each.number for each in desk.messages()] == ["7", "7"]
    assert first.id in {each.id for each in desk.messages()}
    assert not taken_back.button("send_document_send").disabled


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"number": "", "to": "eva@example.com"}, "Falta este dato."),
        ({"number": "1", "to": ""}, "Falta este dato."),
        ({"number": "1", "to": "eva@example.com; nadie"}, "no es una dirección de correo"),
        ({"number": "1", "to": "eva@example.com", "cc": "nadie"}, "no es una dirección de correo"),
        ({"number": "1" * 61, "to": "eva@example.com"}, "60 caracteres como mucho"),
        ({"number": "1", "to": "eva@example.com", "var_importe": "a\u0000b"}, "No puede haber saltos de línea."),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_lost(desk: Desk, fields: dict[str, str], told: str) -> None:
    """Each of them; «Enviar» cannot be pressed, and the fields keep what was written."""
    page = preview(fill(desk.open(), customer="Ruiz", **fields))

    assert told in said(page)
    assert "No se ha enviado nada." in said(page)
    assert page.button("send_document_send").disabled
    assert next(each for each in page.text_input if each.label == "Cliente").value == "Ruiz"
    assert desk.messages() == []


def test_a_text_that_cannot_be_sent_is_told_under_its_field(desk: Desk) -> None:
    """A variable that does not exist blocks; one that is empty is a warning."""
    page = fill(desk.open(), number="1", to="eva@example.com")
    subject = next(each for each in page.text_input if each.label == "Asunto")
    page = preview(subject.set_value("{nada}").run())
    blocked = said(page), page.button("send_document_send").disabled
    page = next(each for each in page.text_input if each.label == "Asunto").set_value("{importe} {numero}").run()

    assert "no existe" in blocked[0]
    assert blocked[1]
    assert not page.button("send_document_send").disabled


def test_an_empty_field_that_the_text_uses_is_told_beside_it_and_before_sending(desk: Desk) -> None:
    """Once, however often the text names it; filled in, nothing is told of it any more."""
    page = fill(desk.open(), number="1", to="eva@example.com", var_contacto="Eva")
    subject = next(each for each in page.text_input if each.label == "Asunto")
    page = preview(subject.set_value("{cliente}: {importe}, {importe}").run())
    empty = said(page)
    filled = said(fill(page, customer="Ruiz", var_importe="3 €", var_fecha="1/12/2026", var_vencimiento="2/12/2026"))

    assert empty.count("Vacío, y el texto lo usa.") == 4
    assert "El texto usa datos que están vacíos: Cliente, Importe, Fecha y Vencimiento." in empty
    assert "vací" not in filled.casefold()


def test_a_house_without_a_name_is_told_so(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text names the company; a message with a sample in its place is never made."""
    desk = furnish(workbench, monkeypatch, company="")
    page = preview(fill(desk.open(), number="1", to="eva@example.com"))

    assert "Falta el nombre de tu empresa" in said(page)
    assert page.button("send_document_send").disabled


def test_files_are_told_against_what_the_server_takes_while_they_are_attached(desk: Desk) -> None:
    """By the last test of the account, which tells it; what is too much is told at once and cannot be sent."""
    with smtp_server(SmtpScript(extensions=("SIZE 9000", "AUTH PLAIN LOGIN"))) as server:
        stored = desk.workbench.mail_account.get(desk.ana)
        typed = ServerDraft("127.0.0.1", server.port, Security.NONE)
        draft = replace(stored.draft, password=Secret("correcto-Caballo.9"), smtp=typed)
        desk.workbench.mail_account.save(desk.ana, draft, version=stored.version)
        run = desk.workbench.mail_runs.start_probe(desk.ana, Leg.SMTP, draft)
        list(desk.workbench.runs.follow(desk.ana, run))
    page = desk.open()
    page.file_uploader[0].upload("Factura 7.pdf", b"%PDF-1.7" + b"x" * 3000, "application/pdf")
    page = preview(fill(page.run(), number="1", to="eva@example.com"))
    fits, free = said(page), not page.button("send_document_send").disabled
    page.file_uploader[0].set_value([("Plano.pdf", b"%PDF-1.7" + b"x" * 9000, "application/pdf")])
    page = page.run()
    weight = [str(each.text) for each in page.get("progress")]

    assert str(refusal_text("message_too_large")) not in fits
    assert free
    assert any("de 9 kB que admite tu servidor" in each for each in weight), weight
    assert str(refusal_text("message_too_large")) in said(page)
    assert page.button("send_document_send").disabled
    assert desk.messages() == []


@pytest.mark.parametrize("key", ["send_document_send", "send_document_keep"])
def test_nothing_leaves_or_is_put_aside_without_the_files_that_are_still_coming(desk: Desk, key: str) -> None:
    """It is said, nothing that was typed is lost, and once they are here the same button does it."""
    page = preview(fill(desk.open(), number="7", to="eva@example.com"))
    desk.patch.setattr("pages.ui.outbox.form.count_coming", lambda: 2)
    page = page.button(key).click().run()
    told, before = said(page), (len(desk.messages()), len(desk.workbench.saved.list(desk.ana, cursor="", limit=5)[0]))
    offered = page.button("send_document_not_wait").label
    desk.patch.setattr("pages.ui.outbox.form.count_coming", lambda: 0)
    page = page.button(key).click().run()

    assert "2 archivos se están subiendo todavía. Espera a que terminen y pulsa otra vez." in told
    assert offered == "No esperar esos archivos"
    assert before == (0, 0)
    assert len(desk.messages()) + len(desk.workbench.saved.list(desk.ana, cursor="", limit=5)[0]) == 1
    assert "se están subiendo" not in said(page)


def test_files_are_told_as_they_arrive_and_what_they_weigh(desk: Desk) -> None:
    """Against what the server takes, once that is known."""
    page = desk.open()
    uploader = page.file_uploader[0]
    uploader.upload("Factura 7.pdf", b"x" * 3000, "application/pdf")
    page = page.run()
    send(preview(fill(page, number="1", to="eva@example.com")))
    (message,) = desk.messages()

    assert "Factura" in said(page)
    assert "en el envío" in said(page)
    assert message.size > 4000


@pytest.mark.parametrize("count", [5, 6])
def test_many_files_are_folded_and_their_weight_comes_first(desk: Desk, count: int) -> None:
    """What they weigh is in sight however many there are; the preview names the first and how many follow."""
    page = fill(desk.open(), number="1", to="eva@example.com")
    for number in range(count):
        page.file_uploader[0].upload(f"Factura {number}.pdf", b"%PDF-1.7" * 400, "application/pdf")
    page = preview(page.run())
    captions = [re.sub(r"\\(.)|\u2060", r"\1", each.value) for each in page.caption]
    weight = next(place for place, each in enumerate(captions) if "en el envío" in each)
    names = next(place for place, each in enumerate(captions) if each.startswith("- Factura_0.pdf"))

    assert weight < names
    assert captions[names].count("\n- Factura_") == count - 1
    assert [each.label for each in page.expander if "adjuntos" in each.label] == (["6 adjuntos"] if count > 5 else [])
    assert any("Factura_4.pdf" in each and ("1 más" in each) is (count > 5) for each in captions if "attach" in each)


def test_a_large_file_is_in_memory_as_it_was_uploaded_and_no_second_time(desk: Desk) -> None:
    """25 MB: attached, seen, put aside and handed in with less than half of it besides what was uploaded."""
    desk.patch.setattr(UploadedFile, "__deepcopy__", share_upload, raising=False)  # as `guard_files` does at the start
    data = b"%PDF-1.7\n" + os.urandom(25_000_000)
    page = fill(desk.open(), number="1", to="eva@example.com")
    page.file_uploader[0].upload("plano.pdf", data, "application/pdf")
    peaks, page.default_timeout = list[float](), 120
    for step in (page.run, lambda: preview(page), page.button("send_document_keep").click().run, lambda: send(page)):
        tracemalloc.start()
        step()
        peaks.append(tracemalloc.get_traced_memory()[1] / len(data))
        tracemalloc.stop()
    (message,) = desk.messages()

    assert not page.exception
    assert message.size > 34_000_000
    assert max(peaks) < 0.5, peaks


@pytest.mark.parametrize("state", sorted(set(State) - {State.STORING}))
def test_every_state_has_its_word_and_what_can_be_done(desk: Desk, state: State) -> None:
    """Cancel what waits, send again what is held, refused or unsure; say of an unsure one that it has left."""
    name = desk.hand_in("7", state, customer="Talleres Ruiz")
    without = keys(sent_tab(desk.open()))
    add_imap(desk)
    page = sent_tab(desk.open())

    assert not page.exception
    assert desk.workbench.outbox.get(desk.ana, name).state is state
    assert "Factura F 7" in said(page)
    assert "eva@example.com · Para" in said(page)
    assert ("send_document_resend" in keys(page)) is (state in RESENDABLE)
    assert ("send_document_resolve" in keys(page)) is (state is State.UNKNOWN)
    assert ("send_document_look" in keys(page)) is (state is State.UNKNOWN)
    assert "send_document_look" not in without
    assert ("send_document_cancel" in keys(page)) is (state in (State.QUEUED, State.HELD))


def test_what_became_of_a_message_is_told_from_the_queue_on(desk: Desk) -> None:
    """Until when it waited, and the reply; of an unsure one what a person decides by; never a reply that was not."""
    began = datetime(2026, 11, 24, 9, tzinfo=UTC)
    names = {state: desk.hand_in(state.value, state) for state in (State.SENT, State.UNKNOWN, State.CANCELLED)}
    waiting = desk.hand_in("9", delay_s=3000)
    with desk.workbench.database.session() as session:
        values = {"host": "smtp.example.com", "queue_id": "4F1A", "accepted": began, "looked": began}
        session.exec(update(OutboundMessageRow).values(**values, copy_folder="Enviados"))
        for state, reply in ((State.SENT, "250 2.0.0 Ok"), (State.UNKNOWN, "")):
            tried = {"message_id": names[state], "began": began, "ended": began + timedelta(minutes=5)}
            session.add(OutboundAttemptRow(**tried, stage="final", reply=reply))
            which = col(OutboundMessageRow.id) == names[state]
            session.exec(update(OutboundMessageRow).where(which).values(attempts=1))
    page = sent_tab(desk.open())
    told = {name: said(put(page, page.radio("send_document_picked"), name)) for name in (*names.values(), waiting)}
    sent, unknown, cancelled = (told[name] for name in names.values())

    assert "En cola hasta: 24/11/2026 9:00" in sent
    assert "Aceptado por smtp.example.com: 24/11/2026 9:00 · 250 · 4F1A" in sent
    assert "Pudo salir hacia smtp.example.com: 24/11/2026 9:00" in unknown
    assert "No llegó su respuesta." in unknown
    assert "Buscado en «Enviados»: 24/11/2026 9:00. No está." in unknown
    assert "Cancelado: " in cancelled
    assert "En cola. Sale " in told[waiting]
    assert [words.count("Aceptado por") for words in (unknown, cancelled, told[waiting])] == [0, 0, 0]


def test_what_was_broken_off_or_is_held_tells_nothing_that_was_not(desk: Desk) -> None:
    """A try that left no line has no time, not that of another one; what is held is in no queue."""
    began = datetime(2026, 11, 24, 9, tzinfo=UTC)
    lost, held = desk.hand_in("7", State.UNKNOWN), desk.hand_in("8", State.HELD)
    with desk.workbench.database.session() as session:
        session.exec(update(OutboundMessageRow).values(host="smtp.example.com", attempts=2))
        session.add(OutboundAttemptRow(message_id=lost, began=began, ended=began, stage="rcpt", reply="450 4.2.1 Busy"))
    page = sent_tab(desk.open())
    told = {name: said(put(page, page.radio("send_document_picked"), name)) for name in (lost, held)}

    assert "Pudo salir hacia smtp.example.com · " in told[lost]
    assert "- En cola" not in told[held]


def test_an_unsure_message_goes_again_only_after_a_question(desk: Desk) -> None:
    """It may arrive twice; a refused one goes without a question, and «Ya salió» ends the doubt."""
    name, other = desk.hand_in("7", State.UNKNOWN), desk.hand_in("8", State.UNKNOWN)
    page = sent_tab(desk.open())
    page = put(page, page.radio("send_document_picked"), name)
    page = press(page, "resend")
    asked, before = said(page), desk.workbench.outbox.get(desk.ana, name).state
    press(page, "resend", "resend_confirm")
    page = sent_tab(desk.open())
    page = put(page, page.radio("send_document_picked"), other)
    press(page, "resolve")

    assert "puede recibirlo dos veces" in asked
    assert before is State.UNKNOWN
    assert desk.workbench.outbox.get(desk.ana, name).state is State.QUEUED
    assert desk.workbench.outbox.get(desk.ana, other).state is State.SENT


def test_an_unsure_message_is_looked_for_with_a_click(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that nothing could be searched, that it is not there, and that it lies there: then it has left, or those
    get it who were not in that transaction."""
    add_imap(desk)
    name = desk.hand_in("7", State.UNKNOWN)

    def answer(_clerk: object, _user: int, which: str) -> bool:
        values = answers.pop(0)
        if values is None:
            return False
        with desk.workbench.database.session() as session:
            values = {"looked": datetime.now(UTC), **values}
            session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.id) == which).values(**values))
        return True

    found = {"accepted": datetime.now(UTC), "copy_state": "skipped", "copy_folder": "Enviados"}
    answers: list[dict[str, Any] | None] = [None, {}, {**found, "state": "queued"}, {**found, "state": "sent"}]
    monkeypatch.setattr(CopyClerk, "look_now", answer)
    toasts, seen = list[str](), list[str]()
    for _ in range(4):
        with desk.workbench.database.session() as session:
            session.exec(update(OutboundMessageRow).values(state="unknown"))
        page = press(sent_tab(desk.open()), "look")
        toasts += [each.value for each in page.toast]
        seen.append(said(page))

    assert "No se ha podido buscar" in toasts[0]
    assert toasts[1:] == [
        "Buscado: sigue sin confirmar",
        "Está en la carpeta de enviados: ahora sale para los demás destinatarios",
        "Está en la carpeta de enviados: el mensaje salió",
    ]
    assert "Buscado en la carpeta de enviados: ahora mismo. No está." in seen[1]
    assert ["Salió: tu proveedor lo tiene en «Enviados»" in each for each in seen] == [False, False, False, True]
    assert desk.workbench.outbox.get(desk.ana, name).state is State.SENT


@pytest.mark.parametrize("copied", ["skipped", "none"])
def test_the_copy_of_an_earlier_transaction_says_nothing_of_an_unsure_one(desk: Desk, copied: str) -> None:
    """Looked for or not: neither that it has left nor that it is not there, and no search that can prove nothing."""
    add_imap(desk)
    name = desk.hand_in("7", State.UNKNOWN)
    with desk.workbench.database.session() as session:
        values = {"looked": datetime.now(UTC), "copy_state": copied, "copy_folder": "Enviados"}
        session.exec(update(OutboundMessageRow).values(**values, accepted=datetime.now(UTC)))
        session.exec(update(OutboundRecipientRow).values(part=1, state=RecipientState.ACCEPTED.value))
        late = {"message_id": name, "place": 1, "address": "luis@example.com", "kind": "to", "part": 2}
        session.add(OutboundRecipientRow(**late))
    page = sent_tab(desk.open())

    assert "luis@example.com · Para · sin respuesta todavía" in said(page)
    assert "Enviados»" not in said(page).partition("Creado")[2]
    assert {"send_document_resolve", "send_document_look"} & keys(page) == {"send_document_resolve"}


def test_who_files_a_copy_is_said_without_anybody_having_looked(desk: Desk) -> None:
    """A provider that does it itself; the folder only where it is known."""
    named, bare = desk.hand_in("7", State.SENT), desk.hand_in("8", State.SENT)
    with desk.workbench.database.session() as session:
        for name, folder in ((named, "Enviados"), (bare, "")):
            mine = update(OutboundMessageRow).where(col(OutboundMessageRow.id) == name)
            session.exec(mine.values(copy_state="skipped", copy_folder=folder))
    page = sent_tab(desk.open())
    told = [said(put(page, page.radio("send_document_picked"), name)) for name in (named, bare)]

    assert [re.findall(r"- (La copia la guarda tu proveedor.*)", each) for each in told] == [
        ["La copia la guarda tu proveedor en «Enviados»"],
        ["La copia la guarda tu proveedor"],
    ]


def receipt(page: AppTest) -> Any:
    """The choice «Confirmación lectura»."""
    (found,) = [each for each in page.button_group if each.label == "Confirmación lectura"]
    return found


def test_a_document_asks_for_a_receipt_as_its_switch_says(desk: Desk) -> None:
    """As the account does until it is changed for this one; put aside, it is remembered; the account keeps its own."""
    page = fill(desk.open(), number="7", to="eva@example.com")
    before = receipt(page).value
    page.button("send_document_keep").click().run()
    receipt(page).set_value(True).run()
    page.button("send_document_keep").click().run()
    (saved,) = desk.workbench.saved.list(desk.ana)[0]
    opened = _open_saved(desk, saved.id)
    opened.button("send_document_keep").click().run()
    (again,) = desk.workbench.saved.list(desk.ana)[0]
    send(preview(page))
    page.button("send_document_another").click().run()
    anew = receipt(page).value
    send(preview(fill(page, number="8", to="eva@example.com")))
    raw = {each.number: b"".join(desk.workbench.outbox.read(desk.ana, each.id)) for each in desk.messages()}

    assert (before, receipt(opened).value, anew, receipt(page).options) == (False, True, False, ["Sí", "No"])
    assert [each.fields.read_receipt for each in (saved, again)] == [True, True]
    assert b"\r\nDisposition-Notification-To: ana@example.com\r\n" in raw["7"]
    assert b"Disposition-Notification-To" not in raw["8"]


def test_what_nobody_chose_is_put_aside_as_not_chosen(desk: Desk) -> None:
    """Receipt and adviser: opened again, they stand as account and preferences have them by then; a page that is open
    follows too, but for what was changed in it."""
    page = fill(desk.open(), number="7")
    page.button("send_document_keep").click().run()
    (saved,) = desk.workbench.saved.list(desk.ana)[0]
    stored = desk.workbench.mail_account.get(desk.ana)
    desk.workbench.mail_account.save(desk.ana, replace(stored.draft, read_receipt=True), version=stored.version)
    preferences = OutboxPreferences(10, "gestor@example.com", {"sales_invoice": Kind.CC})
    desk.workbench.outbox.preferences.save(desk.ana, preferences)
    opened = _open_saved(desk, saved.id)
    page.run()
    changed = _adviser(page).set_value(False).run()
    changed.button("send_document_keep").click().run()
    kept = desk.workbench.saved.list(desk.ana)[0]

    assert (saved.fields.adviser, saved.fields.read_receipt) == (None, None)
    assert [(receipt(each).value, _adviser(each).value) for each in (opened, page)] == [(True, True), (True, False)]
    assert [(each.fields.adviser, each.fields.read_receipt) for each in kept if each.id != saved.id] == [(False, None)]


def _adviser(page: AppTest) -> Any:
    return next(each for each in page.toggle if each.label == "Con copia a mi gestoría")


def test_a_click_that_comes_too_late_is_told(desk: Desk) -> None:
    """A worker takes the message between what is drawn and the click: nothing is changed, and a sentence says so."""
    name = desk.hand_in("7")
    page = sent_tab(desk.open())
    desk.patch.setattr(desk.workbench.outbox._store, "cancel", lambda *_: False)
    page = press(page, "cancel")

    assert [toast.value for toast in page.toast] == ["El mensaje ya no está en ese punto. Mira su estado."]
    assert desk.workbench.outbox.get(desk.ana, name).state is State.QUEUED


def test_what_was_sent_is_found_by_state_and_text(desk: Desk) -> None:
    """The newest first; a filter without a hit says so, and so does a search that no text can be."""
    files = (Attachment("f.pdf", "application/pdf", b"x"),)
    desk.hand_in("7", State.FAILED, customer="Talleres Ruiz", attachments=files)
    desk.hand_in("8", customer="Comunidad Los Olivos")
    page = sent_tab(desk.open())
    every = list(page.radio("send_document_picked").options)
    page = put(page, page.selectbox("send_document_state"), "failed")
    failed = list(page.radio("send_document_picked").options)
    page.selectbox("send_document_state").set_value("")
    page = put(page, page.text_input("send_document_search"), "olivos")
    found = list(page.radio("send_document_picked").options)
    page = put(page, page.text_input("send_document_search"), "nada de eso")

    assert [each.partition(" · ")[0] for each in every] == ["Factura F 8", "Factura F 7"]
    assert [each.partition(" · ")[2] for each in (*failed, *found)] == ["Talleres Ruiz", "Comunidad Los Olivos"]
    assert "Nada con esos filtros." in said(page)


def test_a_sent_message_whose_copy_is_missing_has_words_of_its_own(desk: Desk) -> None:
    """In its row, above its story and in the filter; «Enviado» finds the others, and what came back says only that."""
    copies = {"1": "stored", "2": "pending", "3": "failed", "4": "failed"}
    names = {number: desk.hand_in(number, State.SENT) for number in copies}
    with desk.workbench.database.session() as session:
        for number, copied in copies.items():
            key = {"copy_key": "mailbox_full"} if number in "34" else {}
            values = {"copy_state": copied, "copy_folder": "Enviados", "accepted": datetime.now(UTC), **key}
            session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.id) == names[number]).values(**values))
        told = {"message_id": names["4"], "report": "r", "place": 0, "address": "eva@example.com"}
        session.add(BounceNoticeRow(user_id=desk.ana.user_id, at=datetime.now(UTC), kind="failed", **told))
    page = sent_tab(desk.open())
    listed = [each.partition(" · ")[0] for each in page.radio("send_document_picked").proto.captions]
    badges = [said(put(page, page.radio("send_document_picked"), names[number])) for number in "1234"]
    found: dict[str, list[str]] = {}
    for state in ("sent", "copy_pending", "copy_failed", "bounced"):
        page = put(page, page.selectbox("send_document_state"), state)
        found[state] = [each.removeprefix("Factura F ") for each in page.radio("send_document_picked").options]

    words = ["Enviado", "Enviado, copia pendiente", "Enviado, sin copia", "Devuelto"]
    assert listed == words[::-1]
    assert [f": {word}]" in seen for word, seen in zip(words, badges, strict=True)] == [True] * 4
    assert "Guardando la copia en «Enviados»" in badges[1]
    assert found == {"sent": ["1"], "copy_pending": ["2"], "copy_failed": ["3"], "bounced": ["4"]}


def test_a_copy_that_was_tried_in_vain_says_why_and_that_it_is_tried_again(desk: Desk) -> None:
    """It is not being filed at this moment."""
    desk.hand_in("7", State.SENT)
    with desk.workbench.database.session() as session:
        values = {"copy_state": "pending", "copy_folder": "Enviados", "copy_key": "server_silent"}
        session.exec(update(OutboundMessageRow).values(**values))
    text = said(sent_tab(desk.open()))

    assert "La copia para «Enviados» está pendiente y se vuelve a intentar. " in text
    assert "Guardando la copia" not in text


@pytest.mark.parametrize("state", [State.HELD, State.QUEUED])
def test_a_message_that_some_have_is_ended_for_the_others_after_a_question(desk: Desk, state: State) -> None:
    """It names them; «Cancelar» and «Marcar como enviado», which would come to nothing, are not there."""
    name = desk.hand_in("7", state, cc=["luis@example.com"])
    with desk.workbench.database.session() as session:
        session.exec(update(OutboundMessageRow).values(accepted=datetime.now(UTC), host="smtp.example.com"))
        first = update(OutboundRecipientRow).where(col(OutboundRecipientRow.place) == 0)
        session.exec(first.values(state=RecipientState.ACCEPTED.value, part=1))
    page = sent_tab(desk.open())
    before, offered = said(page), keys(page)
    resend = [button.label for button in page.button if button.key == "send_document_resend"]
    page = press(page, "skip")
    asked = said(page)
    page = press(page, "skip", "skip_confirm")
    page = sent_tab(desk.open())

    assert "Lo tiene 1 de 2 destinatarios" in before
    assert {"send_document_cancel", "send_document_mark"} & offered == set()
    assert resend == (["Enviar al resto"] if state is State.HELD else [])
    assert "Lo tiene 1 de 2 destinatarios. Se queda sin enviar a luis@example.com." in asked
    assert desk.workbench.outbox.get(desk.ana, name).state is State.SENT
    assert "luis@example.com · Con copia · sin enviar" in said(page)
    assert "Lo tiene" not in said(page)


@pytest.mark.parametrize(("key", "state"), [("resolve", State.UNKNOWN), ("mark", State.FAILED)])
def test_what_a_person_calls_sent_is_not_told_as_a_word_of_the_server(desk: Desk, key: str, state: State) -> None:
    """Its host is known from the try that failed; it has accepted nothing."""
    name, began = desk.hand_in("7", state), datetime(2026, 11, 24, 9, tzinfo=UTC)
    with desk.workbench.database.session() as session:
        session.exec(update(OutboundMessageRow).values(host="smtp.example.com", attempts=1))
        tried = {"message_id": name, "began": began, "ended": began, "stage": "final"}
        session.add(OutboundAttemptRow(**tried, key="content_rejected", reply="550 5.7.1 No"))
    page = press(sent_tab(desk.open()), key)
    if key == "mark":
        press(page, key, "mark_confirm")
    text = said(sent_tab(desk.open()))

    assert desk.workbench.outbox.get(desk.ana, name).state is State.SENT
    assert "Dado por enviado: " in text
    assert "Aceptado" not in text


def test_a_message_that_waits_for_its_time_goes_at_once_with_a_click(desk: Desk) -> None:
    """Also hours later, when it is to be tried again; not what is due."""
    name, due = desk.hand_in("7", delay_s=3000), desk.hand_in("8")
    page = sent_tab(desk.open())
    offered = keys(page)
    page = put(page, page.radio("send_document_picked"), name)
    before = seconds_until(desk.workbench.outbox.get(desk.ana, name).due)
    press(page, f"now_{name}")

    assert f"send_document_now_{due}" not in offered
    assert before > 0
    assert seconds_until(desk.workbench.outbox.get(desk.ana, name).due) == 0


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (State.QUEUED, "- eva@example.com · Para · sin respuesta todavía"),
        (State.UNKNOWN, "- eva@example.com · Para · sin respuesta todavía"),
        (State.FAILED, "- eva@example.com · Para · sin enviar"),
        (State.CANCELLED, "- eva@example.com · Para · sin enviar"),
        (State.SENT, "- eva@example.com · Para"),
    ],
)
def test_who_was_told_nothing_is_said_to_wait_only_while_something_may_come(
    desk: Desk, state: State, told: str
) -> None:
    """Over is over; and of what a person calls sent nothing is known."""
    desk.hand_in("7", state)
    text = said(sent_tab(desk.open()))

    assert told in text.splitlines()


def test_nobody_sees_the_messages_of_somebody_else(desk: Desk) -> None:
    """An administrator neither."""
    desk.hand_in("7")
    luis = sign_in(desk.workbench, "luis", Role.ADMIN)
    page = sent_tab(open_page(desk.patch, desk.workbench, luis, SCRIPT))

    assert "Aún no has enviado ningún documento." in said(page)


def test_an_account_that_rests_says_why_and_goes_on_with_a_click(desk: Desk) -> None:
    """All that is held goes back into the queue."""
    name = desk.hand_in("7", State.HELD)
    with desk.workbench.database.session() as session:
        session.execute(
            update(OutboxAccountRow).values(paused=True, reason={"key": "password_lost", "stage": "", "total_ms": 0})
        )
    page = sent_tab(desk.open())
    told = said(page)
    with desk.workbench.database.session() as session:
        session.execute(update(OutboxAccountRow).values(paused_until=datetime(2031, 1, 2, 8, 30, tzinfo=UTC)))
    timed = said(sent_tab(desk.open()))
    press(page, "resume")

    assert "guarda y reanuda el envío. No se reanuda solo." in told
    assert "Se reanuda solo el 02/01/2031 a las 8:30." in timed
    assert desk.workbench.outbox.get(desk.ana, name).state is State.QUEUED


def test_what_was_left_behind_goes_together_after_a_question(desk: Desk) -> None:
    """It may have left before the copy was made; a batch that was stopped stays."""
    left, stopped = desk.hand_in("7", State.HELD), desk.hand_in("8", State.HELD)
    with desk.workbench.database.session() as session:
        for name, who in ((left, "person"), (stopped, "batch")):
            mine = update(OutboundMessageRow).where(col(OutboundMessageRow.id) == name)
            session.exec(mine.values(held_by=who, reason={"key": "backup"}))
    page = sent_tab(desk.open())
    told = said(page)
    asked = said(press(page, "left"))
    before = [each.state for each in desk.messages()]
    press(page, "left", "left_confirm")

    assert "Mira si ya salieron antes de reanudar el envío." in told
    assert "tu cliente lo recibe dos veces" in asked
    assert before == [State.HELD, State.HELD]
    assert {each.id: each.state for each in desk.messages()} == {left: State.QUEUED, stopped: State.HELD}
    assert "send_document_left" not in keys(sent_tab(desk.open()))


def test_what_a_customer_is_called_is_text_in_the_preview(desk: Desk) -> None:
    """Number, customer, name and subject, in the line of the inbox and in what is wrong with them."""
    page = fill(desk.open(), number="**x** [a](http://b) $x$", customer=HOSTILE, to="eva@example.com", cc=HOSTILE[:90])
    wrong = preview(page)
    found = find_markup(wrong)
    page = fill(wrong, cc="")
    told = find_markup(page)
    page = send(page)

    assert found | told | find_markup(page) == set()
    assert [each.customer for each in desk.messages()] == [HOSTILE]


def test_what_was_typed_outlives_the_tab(desk: Desk) -> None:
    """A reload, a restart, a log-in that ended: another tab is offered the document as it was, with type, series and
    switches."""
    copies = {"sales_invoice": Kind.BCC}
    desk.workbench.outbox.preferences.save(desk.ana, OutboxPreferences(0, "gestor@example.com", copies))
    page = open_tab(desk.patch, desk.workbench, desk.ana, SCRIPT, "one")
    page.selectbox("send_document_series_sales_invoice").set_value("G")
    receipt(page).set_value(True)
    _adviser(page).set_value(False)
    fill(page, number="21", customer="Talleres Ruiz", to="eva@example.com", var_importe="121,00")
    page.session_state[DRAFT].texts["body_sales_invoice"].put("<p>Solo esta vez</p>")
    page.run()
    anew = open_tab(desk.patch, desk.workbench, desk.ana, SCRIPT, "two")
    empty, as_stored = written(anew, "Número"), (receipt(anew).value, _adviser(anew).value)
    anew.button("send_document_draft_take").click().run()

    assert not anew.exception
    assert (empty, as_stored) == ([""], (False, True))
    assert (receipt(anew).value, _adviser(anew).value) == (True, False)
    assert written(anew, "Número", "Cliente", "Para", "Importe") == ["21", "Talleres Ruiz", "eva@example.com", "121,00"]
    assert anew.selectbox("send_document_series_sales_invoice").value == "G"
    assert anew.session_state[DRAFT].texts["body_sales_invoice"].value == "<p>Solo esta vez</p>"


def test_a_tab_that_comes_back_has_its_document(desk: Desk) -> None:
    """The server has forgotten its session: by itself, and what was not typed into is the template's."""
    page = fill(
        open_tab(desk.patch, desk.workbench, desk.ana, SCRIPT, "one"), number="21", subject_sales_invoice="Hola"
    )
    page.run()
    again = open_tab(desk.patch, desk.workbench, desk.ana, SCRIPT, "two", former="one")

    assert not again.exception
    assert written(again, "Número", "Asunto") == ["21", "Hola"]
    assert "Se ha recuperado lo que habías escrito" in words(again)


def test_a_document_that_was_handed_in_leaves_no_draft(desk: Desk) -> None:
    """Nobody is offered to write again what has left; what was undone is there again."""
    page = open_tab(desk.patch, desk.workbench, desk.ana, SCRIPT, "one")
    fill(page, number="21", customer="Talleres Ruiz", to="eva@example.com", var_importe="121,00")
    before = desk.workbench.drafts.marks(desk.ana)
    page = send(preview(page))
    handed = desk.workbench.drafts.marks(desk.ana)
    page.button("send_document_undo").click().run()

    assert not page.exception
    assert (set(before), set(handed)) == ({"send_document"}, set())
    assert set(desk.workbench.drafts.marks(desk.ana)) == {"send_document"}


def test_the_addresses_of_a_customer_are_offered_the_last_ones_first(desk: Desk) -> None:
    """Those of this type before any other's; one click, and nobody is put in by itself."""
    for number, kind, to in (("1", T.SALES_INVOICE, "vieja"), ("2", T.SALES_INVOICE, "nueva"), ("3", T.QUOTE, "otra")):
        add = [] if kind is T.SALES_INVOICE else [add_series(desk.workbench, desk.ana, "P", T.QUOTE)]
        series = "P" if add else "F"
        request = DocumentRequest(
            kind, series, number, [f"{to}@example.com"], "Talleres Ruiz", ["leo@example.com"], ["gestor@example.com"]
        )
        desk.workbench.outbox.send(desk.ana, request, number)
    page = fill(desk.open(), customer="talleres ruiz")
    before = written(page, "Para")
    page.button("send_document_last").click().run()
    strangers = fill(desk.open(), customer="Nadie")

    assert before == [""]
    assert written(page, "Para", "Con copia", "Copia oculta") == ["nueva@example.com", "leo@example.com", ""]
    assert "send_document_last" not in keys(page) | keys(strangers)


def test_resumen_tells_what_waits_is_held_and_is_unsure(desk: Desk) -> None:
    """Where nothing does, there is no such line."""
    nothing = said(open_page(desk.patch, desk.workbench, desk.ana, "overview.py"))
    for number, state in enumerate([State.UNKNOWN, State.HELD, State.HELD, State.SENT, State.FAILED]):
        desk.hand_in(str(number), state)
    both = said(open_page(desk.patch, desk.workbench, desk.ana, "overview.py"))
    desk.hand_in("9")
    three = said(open_page(desk.patch, desk.workbench, desk.ana, "overview.py"))

    page = open_page(desk.patch, desk.workbench, desk.ana, "overview.py")
    page.button("overview_sent").click().run()

    assert page.session_state["send_document_tab"] == "Enviados"
    assert "Sin confirmar" not in nothing
    assert "Sin confirmar: 1. En espera: 2. Míralos en «Enviados»" in both
    assert "Sin confirmar: 1. En espera: 2. En cola: 1. Míralos en «Enviados»" in three


def test_the_adviser_gets_a_copy_of_the_types_that_were_chosen(desk: Desk) -> None:
    """Hidden or visible, by type; switched off for this one it does not go; and the time to undo is one's own."""
    copies = {"sales_invoice": Kind.BCC}
    desk.workbench.outbox.preferences.save(desk.ana, OutboxPreferences(0, "gestor@example.com", copies))
    page = fill(desk.open(), number="7", customer="Ruiz", to="eva@example.com")
    (switch,) = [each for each in page.toggle if each.label == "Con copia a mi gestoría"]
    on = switch.value
    send(preview(page))
    (message,) = desk.messages()
    other = fill(desk.open(), number="8", customer="Ruiz", to="eva@example.com")
    next(each for each in other.toggle if each.label == "Con copia a mi gestoría").set_value(False).run()
    send(preview(other))

    assert on
    assert [(each.address, each.kind) for each in message.recipients][1:] == [("gestor@example.com", Kind.BCC)]
    assert message.due == message.created
    assert [len(each.recipients) for each in desk.messages()] == [1, 2]


def test_preferences_are_checked_and_saved_in_their_dialog(desk: Desk) -> None:
    """An address that is none is told beside it; without an adviser there is no switch."""
    page = desk.open()
    none = [each.label for each in page.toggle]

    def save() -> None:
        # The driver runs the whole page: the dialog is there while its button is pressed.
        page.button("send_document_preferences").click()
        page.button("send_document_preferences_save").click()
        page.run()

    page.button("send_document_preferences").click().run()
    page.text_input("send_document_preferences_adviser").set_value("nadie")
    page.number_input("send_document_preferences_undo").set_value(30)
    save()
    refused = said(page)
    page.text_input("send_document_preferences_adviser").set_value("gestor@example.com")
    page.multiselect("send_document_preferences_cc").set_value([T.SALES_INVOICE])
    save()
    kept = desk.workbench.outbox.preferences.get(desk.ana)

    assert none == []
    assert "«nadie» no es una dirección de correo" in refused
    assert kept == OutboxPreferences(30, "gestor@example.com", {"sales_invoice": Kind.CC})


def _saved_tab(page: AppTest) -> AppTest:
    page.session_state["send_document_tab"] = "Borradores"
    return page.run()


def test_a_document_is_put_aside_and_gone_on_with(desk: Desk) -> None:
    """Type, series, texts, files and what is wrong with it; from another session, and it takes its own place."""
    page = desk.open()
    page.selectbox(key="send_document_type").set_value(T.QUOTE).run()
    page.selectbox(key="send_document_type").set_value(T.SALES_INVOICE).run()
    page.selectbox(key="send_document_series_sales_invoice").set_value("G").run()
    fill(page, number="7", customer="Talleres Ruiz", to="eva@", var_importe="12,50 €")
    page.text_input(key=_subject_key(page)).set_value("Casi {numero}").run()
    page.button("send_document_keep").click().run()
    saved = desk.workbench.saved.list(desk.ana)[0]
    assert not page.exception
    assert [each.fields.subject for each in saved] == ["Casi {numero}"]

    other = _saved_tab(desk.open())
    assert "Factura G 7 · Talleres Ruiz" in said(other)
    other.button(f"send_document_saved_open_{saved[0].id}").click().run()
    other.run()

    assert written(other, "Número", "Cliente", "Para", "Asunto") == ["7", "Talleres Ruiz", "eva@", "Casi {numero}"]
    assert other.selectbox(key="send_document_series_sales_invoice").value == "G"
    fill(other, to="eva@example.com")
    other.button("send_document_keep").click().run()
    again = desk.workbench.saved.list(desk.ana)[0]
    assert [each.fields.texts["to"] for each in again] == ["eva@example.com"]
    assert again[0].id != saved[0].id


def _subject_key(page: AppTest) -> str:
    return next(str(each.key) for each in page.text_input if each.label == "Asunto")


def _put_aside(desk: Desk, number: str = "7", **more: Any) -> str:
    fields = SavedFields("sales_invoice", "F", {"number": number, "to": "eva@example.com"}, **more)
    return desk.workbench.saved.save(desk.ana, fields, [Attachment("nota.txt", "text/plain", b"hola")]).id


def _open_saved(desk: Desk, name: str) -> AppTest:
    page = _saved_tab(desk.open())
    page.button(f"send_document_saved_open_{name}").click().run()
    return page.run()


def test_what_was_put_aside_leaves_with_its_files_and_is_no_draft_any_more(desk: Desk) -> None:
    """Undone, it is one again; a file that was left out stays behind."""
    name = _put_aside(desk)
    page = preview(_open_saved(desk, name))
    send(page)
    (message,) = desk.messages()
    raw = b"".join(desk.workbench.outbox.read(desk.ana, message.id))
    during = desk.workbench.saved.list(desk.ana)[0]
    page.button("send_document_undo").click().run()
    after = desk.workbench.saved.list(desk.ana)[0]
    page.multiselect(key=next(str(e.key) for e in page.multiselect if "kept" in str(e.key))).set_value([]).run()
    send(preview(page))
    bare = b"".join(desk.workbench.outbox.read(desk.ana, desk.messages()[0].id))

    assert b"nota.txt" in raw
    assert b"nota.txt" not in bare
    assert (during, [each.id for each in after]) == ([], [name])


def test_a_draft_that_would_take_the_place_of_another_document_asks_first(desk: Desk) -> None:
    """What was typed is lost by it, and only by a yes."""
    name = _put_aside(desk, "9")
    page = fill(desk.open(), number="7")
    _saved_tab(page)
    page.button(f"send_document_saved_open_{name}").click()
    page.session_state["send_document_tab"] = "Borradores"
    page.run()
    kept = written(page, "Número")
    for button in (f"open_{name}", "open_confirm"):
        page.button(f"send_document_saved_{button}").click()
    _saved_tab(page)
    page.run()

    assert (kept, written(page, "Número")) == (["7"], ["9"])


def test_a_deleted_draft_is_taken_back_where_it_was(desk: Desk) -> None:
    """Gone from the list at once; «Deshacer» brings it back."""
    name = _put_aside(desk)
    page = _saved_tab(desk.open())
    page.button(f"send_document_saved_delete_{name}").click()
    _saved_tab(page)
    empty = said(page)
    page.button("send_document_saved_undo").click()
    _saved_tab(page)

    assert "Borrador borrado." in empty
    assert "No hay borradores." in empty
    assert "Factura F 7" in said(page)


def test_a_tab_that_comes_back_has_the_files_of_its_draft(desk: Desk) -> None:
    """What it goes on with is known by its name; the next document begins without."""
    name = _put_aside(desk)
    page = _open_saved(desk, name)
    page.session_state[DRAFT].files, page.session_state[DRAFT].files_of = (), ""
    page.run()
    files = [each.label for each in page.multiselect]
    send(preview(page))
    page.button("send_document_another").click().run()

    assert "Adjuntos del borrador" in files
    assert "Adjuntos del borrador" not in [each.label for each in page.multiselect]
    assert written(page, "Número") == [""]


def test_a_document_that_went_another_way_is_noted_and_said_so(desk: Desk) -> None:
    """Without an address; what is missing is named, and no mail is made."""
    page = preview(fill(desk.open(), customer="Talleres Ruiz"))
    missing = said(_note(page))
    _note(fill(page, number="7")).run()

    assert "Número. Falta este dato." in missing
    assert [(each.state, each.size) for each in desk.messages()] == [(State.SENT, 0)]
    assert "No salió por correo desde aquí." in said(page)
    assert "Ver mensaje" not in " ".join(each.label for each in page.button)


def _note(page: AppTest) -> AppTest:
    page.button("send_document_note").click().run()
    for button in ("note", "note_confirm"):
        page.button(f"send_document_{button}").click()
    return page.run()


def test_a_document_that_has_left_can_go_once_more_and_says_so(desk: Desk) -> None:
    """Asked first; a refused one is marked by hand."""
    name, refused = desk.hand_in("7", State.SENT), desk.hand_in("8", State.FAILED)
    page = sent_tab(desk.open())
    page = press(press(page, "mark"), "mark", "mark_confirm")
    states = {each.id: each.state for each in desk.messages()}
    radio = page.radio(key="send_document_picked")
    page = put(page, radio, name)
    page = press(press(page, "again"), "again", "again_confirm")
    again = [each for each in desk.messages() if each.resent_of]

    assert states[refused] is State.SENT
    assert [(each.resent_of, each.state, each.number) for each in again] == [(name, State.QUEUED, "7")]
