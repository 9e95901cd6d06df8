"""«Valores por defecto para envío» without a browser: drafts, saving, stale saves, what the page says."""

from __future__ import annotations

import time
from io import BytesIO

import pytest
from PIL import Image
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.testing.v1 import AppTest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType, types_with_template
from cgcore.identity.actor import Actor, Role
from cgcore.workbench import Workbench
from pages.ui.sending import message
from tests.servers.pages import open_page, sign_in

SCRIPT = "sending_defaults.py"
QUOTE = DocumentType.QUOTE


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """A user with untouched templates."""
    return sign_in(workbench, "ana")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> AppTest:
    """The page as she sees it."""
    return open_page(monkeypatch, workbench, ana, SCRIPT)


def subject(app: AppTest, kind: str = "quote"):
    return next(field for field in app.text_input if field.key and field.key.startswith(f"{kind}-subject-"))


def press(app: AppTest, label: str, index: int = 0) -> AppTest:
    [button for button in app.button if button.label == label][index].click()
    app.run()
    assert not app.exception
    return app


def texts_of(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption, *app.error, *app.warning])


def test_nobody_gets_in_without_a_login(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """The gate's word or nothing."""
    app = open_page(monkeypatch, workbench, None, SCRIPT)

    assert app.error
    assert not app.tabs


def test_the_tabs_stand_in_their_order_and_nothing_is_changed(app: AppTest) -> None:
    """Opening is no change."""
    assert not app.exception
    assert [tab.label for tab in app.tabs] == [entry.tab for entry in types_with_template()]
    assert "Todo guardado" in texts_of(app)
    assert "Los siete tipos usan la plantilla predeterminada" in texts_of(app)
    assert app.button[0].label == "Guardar"


def test_a_subject_is_saved_for_its_type_only(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """One row, one line in the trail."""
    subject(app).set_value("Presupuesto {numero}").run()
    assert "Hay cambios sin guardar" in texts_of(app)
    press(app, "Guardar")

    assert workbench.templates.get(ana, QUOTE).subject == "Presupuesto {numero}"
    assert workbench.templates.get(ana, DocumentType.SALES_ORDER).version == 0
    assert workbench.templates.get_signature(ana).version == 0
    assert "Todo guardado" in texts_of(app)
    assert [entry.action for entry in workbench.activity.list(ana)["items"]].count("template_saved") == 1


def test_a_draft_with_errors_cannot_be_sent(app: AppTest) -> None:
    """Sending names the variable; the draft stays."""
    subject(app).set_value("Presupuesto {nunero}").run()
    assert "¿Quisiste decir" in texts_of(app)
    press(app, "Enviarme una prueba")

    assert any("nunero" in error.value for error in app.error)
    assert subject(app).value == "Presupuesto {nunero}"
    press(app, "Poner {numero}")
    assert subject(app).value == "Presupuesto {numero}"


def test_a_stale_save_shows_both_and_loses_nothing(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """Somebody else saved this type meanwhile; the choice is the user's."""
    subject(app).set_value("Lo mío").run()
    workbench.templates.save(ana, QUOTE, "Lo de otro", "<p>x</p>", version=0)
    press(app, "Guardar")
    shown = "\n".join(str(element.value) for element in app.text)
    assert "Lo mío" in shown
    assert "Lo de otro" in shown
    press(app, "Guardar lo mío")

    assert workbench.templates.get(ana, QUOTE).subject == "Lo mío"
    assert [version.subject for version in workbench.templates.list_versions(ana, QUOTE)] == ["Lo mío", "Lo de otro"]


def test_what_was_saved_elsewhere_is_shown_where_nothing_was_typed(
    app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """A clean field follows; a changed one stays."""
    subject(app, "sales_order").set_value("Mi pedido").run()
    workbench.templates.save(ana, QUOTE, "De otro sitio", "<p>x</p>", version=0)
    app.run()

    assert subject(app).value == "De otro sitio"
    assert subject(app, "sales_order").value == "Mi pedido"


def test_copying_and_discarding_change_the_draft_only(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """Nothing is stored before Guardar."""
    subject(app, "sales_order").set_value("Copiado").run()
    press(app, "Copiar aquí")
    assert subject(app).value == "Copiado"
    press(app, "Descartar cambios")

    assert subject(app).value == "Adjunto {documento} {serie} {numero} de {empresa}"
    assert workbench.templates.get(ana, QUOTE).version == 0


def test_the_companys_logo_is_inserted_with_one_click(
    monkeypatch: pytest.MonkeyPatch, app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """«Insertar logotipo» is there while the company has a logo; the saved body and the mail carry that image."""
    admin = Actor(0, "root", role=Role.ADMIN)
    picture = BytesIO()
    Image.new("RGB", (400, 100), "#0b6bcb").save(picture, "PNG")
    before = [button.label for button in app.button]
    logo = workbench.company.save(admin, CompanyDraft("Tosma", "B12345674", logo=picture.getvalue()), 0).logo
    assert logo is not None
    app.run()
    app.button("quote_logo").click().run()
    unsaved = workbench.templates.get(ana, QUOTE).version
    assert "Hay cambios sin guardar" in texts_of(app)
    press(app, "Guardar")
    source = workbench.templates.source(ana, QUOTE)
    preview = workbench.templates.mail.preview(ana, QUOTE, source, {})
    workbench.company.save(admin, CompanyDraft("Tosma", "B12345674", logo=b""), 1)
    after = [button.label for button in open_page(monkeypatch, workbench, ana, SCRIPT).button]

    assert "Insertar logotipo" not in before + after
    assert unsaved == 0
    assert source.body.count(logo.as_data_uri()) == 1
    assert workbench.templates.get(ana, DocumentType.SALES_ORDER).version == 0
    assert [(image.width, image.height, image.data) for image in preview.rendered.images] == [(200, 50, logo.data)]
    assert 'alt="Logotipo de Tosma"' in preview.rendered.html
    assert [part.get_content() for part in preview.message.walk() if part.get_content_type() == "image/png"] == [
        logo.data
    ]


def test_the_last_keys_before_sending_are_in_the_message(
    monkeypatch: pytest.MonkeyPatch, app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """The editor hands its text over a little after the click: what comes while the page waits is sent too."""
    workbench.mail_account.save(ana, workbench.test_mailbox.use_for(ana), version=0)
    app.run()

    def hand_over() -> None:
        subject(app).set_value("Con las últimas letras")
        states = app._tree.get_widget_states()
        held = [state for state in states.widgets if state.WhichOneof("value") != "trigger_value"]
        running = get_script_run_ctx()
        assert running is not None
        assert running.script_requests is not None
        running.script_requests.request_rerun(
            RerunData(widget_states=WidgetStates(widgets=held), page_script_hash=running.page_script_hash)
        )

    monkeypatch.setattr(message, "await_last_keys", hand_over)
    press(app, "Enviarme una prueba")

    assert [arrived.subject for arrived in workbench.test_mailbox.list_messages(ana)] == ["Con las últimas letras"]
    assert "Tu servidor ha aceptado el mensaje para" in app.toast[0].value
    assert "Tu servidor ha aceptado el mensaje para" in texts_of(app)
    assert "Copia guardada en" in texts_of(app)


def test_a_message_that_was_asked_for_on_a_page_left_since_is_not_sent(
    app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """Coming back later sends nothing."""
    workbench.mail_account.save(ana, workbench.test_mailbox.use_for(ana), version=0)
    app.session_state["sending_defaults_send_due"] = QUOTE, time.monotonic() - 60
    app.run()

    assert not app.exception
    assert workbench.test_mailbox.list_messages(ana) == []
