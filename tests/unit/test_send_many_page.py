"""«Varios» as its users meet it, without a browser: understood, asked, handed in, stopped, tried again, told."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlmodel import col, update
from streamlit.testing.v1 import AppTest

from cgcore.documents import DocumentType
from cgcore.outbox.message import MessageFilters
from cgcore.outbox.states import State
from cgcore.storage.bounce_tables import BounceNoticeRow
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.workbench import Workbench
from tests.servers.pages import record_downloads, sign_in
from tests.unit.test_hostile_names import HOSTILE, find_markup
from tests.unit.test_send_document_page import Desk, furnish, said

HEADER = "Serie;Número;Cliente;Correo;Importe\r\n"
PDF = "application/pdf"


@pytest.fixture
def desk(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A house with a name, two series and an account; no worker runs."""
    return furnish(workbench, monkeypatch)


def many(page: AppTest) -> AppTest:
    """Open «Varios»; the driver forgets which tab is open."""
    page.session_state["send_document_tab"] = "Varios"
    page.run()
    assert not page.exception
    return page


def give(page: AppTest, rows: str, *names: str, header: str = HEADER, data: bytes | None = None) -> AppTest:
    """Choose a sheet and files."""
    by_label = {each.label: each for each in page.file_uploader}
    if rows or data is not None:
        by_label["Archivo CSV"].set_value(("enero.csv", data or (header + rows).encode("cp1252"), "text/csv"))
    if names:
        by_label["PDF de los documentos"].set_value([(name, b"%PDF-1.7 x", PDF) for name in names])
    return many(page)


def press(page: AppTest, key: str) -> AppTest:
    """Press a button of «Varios»."""
    page.button(f"send_document_{key}").click()
    return many(page)


def hand_in(desk: Desk, page: AppTest) -> AppTest:
    """Say yes, and wait until all is stored."""
    press(page, "many_send")
    desk.workbench.batches.wait()
    return many(page)


def label(page: AppTest, key: str) -> str:
    return page.button(f"send_document_{key}").label


def put(desk: Desk, number: str, state: State) -> None:
    with desk.workbench.database.session() as session:
        moved = update(OutboundMessageRow).where(col(OutboundMessageRow.number) == number)
        session.exec(moved.values(state=state.value))


def test_what_goes_and_what_stays_is_seen_before_the_yes(desk: Desk) -> None:
    """Three lists, the rows as understood, what is wrong with a row; nothing is stored by looking."""
    page = give(
        many(desk.open()),
        "F;1;Peña;uno@example.com;1234,5\r\nF;2;Dos;dos@example.com;2\r\nF;3;Tres;;\r\nF;4;Cuatro;c@example.com;\r\n",
        "F-1.pdf",
        "F-2 (1).pdf",
        "F-99.pdf",
    )
    text = said(page)
    table = page.dataframe[0].value

    assert "**Con PDF y fila · 1**" in text
    assert "**PDF sin fila · 1**" in text
    assert "F-99.pdf" in text
    assert "**Fila sin PDF · 1**" in text
    assert "Fila 4, F 3: Correo: Falta este dato." in text
    assert [table[name].to_list() for name in ("Cliente", "Importe", "Adjunto")] == [
        ["Peña"],
        ["1.234,50 €"],
        ["F-1.pdf"],
    ]
    assert [each.label for each in page.selectbox if "PDF de" in each.label] == ["PDF de F 2, Dos"]
    assert label(page, "many_send") == "Enviar 1 documento"
    assert desk.messages() == []


def test_what_the_text_uses_and_rows_leave_empty_is_told_before_the_yes(desk: Desk) -> None:
    """With the number of rows; of those that stay behind nothing is told."""
    head = "Serie;Número;Cliente;Para;Importe;Contacto;Fecha;Vencimiento\r\n"
    rows = "F;1;Peña;uno@example.com;1,5;Eva;1/12/2026;1/1/2027\r\nF;2;Dos;dos@example.com;;;1/12/2026;1/1/2027\r\n"
    more = "F;3;Tres;tres@example.com;3;;1/12/2026;1/1/2027\r\nF;4;Cuatro;;;;;\r\n"
    page = give(many(desk.open()), rows + more, header=head)
    some = said(page)
    page = give(page, f"{rows.splitlines()[0]}\r\n", header=head)

    assert "El texto usa datos que están vacíos: Contacto (2 filas) e Importe (1 fila)." in some
    assert "El texto usa datos" not in said(page)


@pytest.mark.parametrize(
    ("empty", "told"),
    [(1, "Está vacío y no se envía: F-90.pdf."), (2, "Están vacíos y no se envían: F-90.pdf y F-91.pdf.")],
)
def test_files_that_may_not_arrive_are_told_and_how_many_more_there_are(desk: Desk, empty: int, told: str) -> None:
    """Those that are none of what they are called, the first twenty; and those that hold nothing, one or several."""
    page = give(many(desk.open()), "".join(f"F;{number};Uno;uno@example.com;\r\n" for number in range(22)))
    files = [(f"F-{number}.pdf", b"hola", PDF) for number in range(22)]
    files += [(f"F-{90 + number}.pdf", b"", PDF) for number in range(empty)]
    next(each for each in page.file_uploader if each.label == "PDF de los documentos").set_value(files)
    text = said(many(page))
    doubts = re.findall(r":orange\[:material/warning: «(F-\d+).pdf»", text)

    assert (len(doubts), ":orange[:material/warning: 2 más]" in text) == (20, True)
    assert told in text


def test_a_batch_waits_for_the_files_that_are_still_coming(desk: Desk) -> None:
    """«Enviar» says so, and nothing is handed in; pressed again once they are here, it is."""
    page = give(many(desk.open()), "F;1;Ana;ana@example.com;10 €", "F-1.pdf")
    desk.patch.setattr("pages.ui.outbox.form.count_coming", lambda: 1)
    page = press(page, "many_send")
    told, before = said(page), len(desk.workbench.batches.list(desk.ana))
    desk.patch.setattr("pages.ui.outbox.form.count_coming", lambda: 0)
    press(page, "many_send")

    assert "Un archivo se está subiendo todavía. Espera a que termine y pulsa otra vez." in told
    assert before == 0
    assert len(desk.workbench.batches.list(desk.ana)) == 1


def test_a_yes_hands_in_what_was_chosen_and_the_rest_is_told(desk: Desk) -> None:
    """The doubtful file that was chosen goes; a second click on the way makes nothing twice; the result says all."""
    page = give(
        many(desk.open()),
        "F;1;Uno;uno@example.com;\r\nF;2;Dos;dos@example.com;\r\nF;3;Tres;;\r\n",
        "F-1.pdf",
        "F-2 (1).pdf",
    )
    next(each for each in page.selectbox if "PDF de" in each.label).select_index(1)
    many(page)
    named = label(page, "many_send")
    hand_in(desk, page)
    downloads = record_downloads(desk.patch)
    many(page)
    result = downloads["resultado.csv"]()
    result = result.decode() if isinstance(result, bytes) else result

    assert list(page.dataframe[0].proto.column_order)[:2] == ["Documento", "Estado"], "in sight on a phone"
    assert named == "Enviar 2 documentos"
    assert sorted((message.number, message.state) for message in desk.messages()) == [("1", "queued"), ("2", "queued")]
    assert "2 en cola" in said(page)
    assert page.dataframe[0].value["Estado"].to_list() == ["En cola", "En cola", "Sin enviar"]
    assert "Factura;F 3;Tres;;;Sin enviar;La fila tiene problemas;\r\n" in result
    assert result.startswith("\ufeffTipo de documento;Documento;Cliente;Para;Adjunto;Estado;Motivo;")


def test_it_is_stopped_gone_on_with_and_the_rest_taken_back(desk: Desk) -> None:
    """The buttons are there when they can be used; what is under way is found again in another tab."""
    page = hand_in(desk, give(many(desk.open()), "F;1;Uno;uno@example.com;\r\nF;2;Dos;dos@example.com;\r\n"))
    press(page, "batch_stop")
    held = [message.state for message in desk.messages()]
    other = many(desk.open())
    found = label(other, "batch_go_on"), label(other, "batch_cancel")
    press(other, "batch_go_on")
    queued = [message.state for message in desk.messages()]
    press(other, "batch_stop")
    press(other, "batch_cancel")

    assert (held, queued) == ([State.HELD] * 2, [State.QUEUED] * 2)
    assert found == ("Continuar", "Cancelar 2 que quedan")
    assert {message.state for message in desk.messages()} == {State.CANCELLED}
    assert "**2 de 2**" in said(other)


def test_only_the_refused_ones_are_tried_again(desk: Desk) -> None:
    """One click, and the next sheet begins with another."""
    page = hand_in(desk, give(many(desk.open()), "F;1;Uno;uno@example.com;\r\nF;2;Dos;dos@example.com;\r\n"))
    put(desk, "1", State.FAILED)
    put(desk, "2", State.UNKNOWN)
    many(page)
    offered = label(page, "batch_retry")
    text = said(page)
    press(page, "batch_retry")
    states = {message.number: message.state for message in desk.messages()}
    press(page, "batch_another")

    assert offered == "Reintentar 1 rechazado"
    assert "se deciden uno a uno en «Enviados»" in text
    assert states == {"1": State.QUEUED, "2": State.UNKNOWN}
    assert "Archivo CSV" in [each.label for each in page.file_uploader]
    assert [each.label for each in page.selectbox][-1] == "Envíos anteriores"


def test_what_came_back_is_not_told_as_sent(desk: Desk) -> None:
    """Above the rows as in them: each is counted once."""
    page = hand_in(desk, give(many(desk.open()), "F;1;Uno;uno@example.com;\r\nF;2;Dos;dos@example.com;\r\n"))
    put(desk, "1", State.SENT)
    put(desk, "2", State.SENT)
    (name,) = [message.id for message in desk.messages() if message.number == "2"]
    with desk.workbench.database.session() as session:
        for report in ("a", "b"):  # a server tells it twice
            told = {"message_id": name, "report": report, "place": 0, "address": "dos@example.com"}
            session.add(BounceNoticeRow(user_id=desk.ana.user_id, at=datetime.now(UTC), kind="failed", **told))
    text = said(many(page))

    assert page.dataframe[0].value["Estado"].to_list() == ["Enviado", "Devuelto"]
    assert ("1 enviado" in text, "1 devuelto" in text, "2 enviados" in text) == (True, True, False)


def test_what_was_sent_already_is_not_ticked(desk: Desk) -> None:
    """It says when and to whom; ticked, it goes again."""
    desk.hand_in("7", State.SENT)
    page = give(many(desk.open()), "F;007;Eva;eva@example.com;\r\n")
    disabled = page.button("send_document_many_send").disabled
    (box,) = [each for each in page.checkbox if "F 007" in each.label]
    ticked = box.value
    box.check()
    many(page)
    hand_in(desk, page)
    sent = desk.workbench.outbox.list(desk.ana, MessageFilters()).messages

    assert (disabled, ticked) == (True, False)
    assert "Ya se envió: " in box.label.replace("\\", "")
    assert [message.number for message in sent] == ["007", "7"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"PK\x03\x04", "libro de Excel"),
        (b"Serie;Cliente\nF;Uno\n", "En la primera línea del CSV falta: número y correo."),
        (b"Serie\n", "No tiene filas"),
    ],
)
def test_a_file_that_is_no_sheet_says_what_to_do(desk: Desk, data: bytes, told: str) -> None:
    """And there is nothing to send."""
    page = give(many(desk.open()), "", data=data)

    assert any(told in str(error.value).replace("\\", "") for error in page.error)
    assert "send_document_many_send" not in {button.key for button in page.button}


def test_files_alone_give_a_sheet_to_fill_in(desk: Desk) -> None:
    """A row for each, with what its name tells; the headings are those that are known."""
    downloads = record_downloads(desk.patch)
    page = give(many(desk.open()), "", "F-7.pdf", "contrato.pdf")
    made = downloads["documentos.csv"]()
    made = made.decode() if isinstance(made, bytes) else made
    header, first, second, *_ = made.splitlines()

    assert "Faltan los clientes" in said(page)
    assert header.startswith("\ufeffSerie;Número;Cliente;Para;")
    assert (first, second) == ("F;7;;", ";;;")


def test_a_house_that_cannot_send_says_so_before_anything_is_stored(desk: Desk) -> None:
    """A template with an error stops all of it, with the reason."""
    desk.workbench.templates.save(desk.ana, DocumentType.SALES_INVOICE, "Va {nunero}", "<p>x</p>", version=0)
    page = give(many(desk.open()), "F;1;Uno;uno@example.com;\r\n")

    assert page.button("send_document_many_send").disabled
    assert any("nunero" in str(error.value) for error in page.error)


def test_nothing_of_a_sheet_is_markup(desk: Desk) -> None:
    """Names of customers, files and columns are text."""
    rows = f'F;1;"{HOSTILE}";uno@example.com;\r\nF;2;"{HOSTILE}";nada;\r\n'
    page = give(many(desk.open()), rows, f"{HOSTILE}.pdf", header=f'Serie;Número;Cliente;Correo;"{HOSTILE}"\r\n')

    assert find_markup(page) == set()


def test_a_batch_of_somebody_else_is_nobody_elses(desk: Desk) -> None:
    """Another person finds an empty tab."""
    hand_in(desk, give(many(desk.open()), "F;1;Uno;uno@example.com;\r\n"))
    desk.ana = sign_in(desk.workbench, "luis")
    page = many(desk.open())

    assert "Envíos anteriores" not in [each.label for each in page.selectbox]
