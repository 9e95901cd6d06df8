"""«Valores por defecto para envío» without a browser: drafts, saving, stale saves, what the page says."""

from __future__ import annotations

import io
import json
import re
import time
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from sqlmodel import select
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.testing.v1 import AppTest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType, types_with_template
from cgcore.identity.actor import Actor, Role
from cgcore.storage.tables import TemplateVersionRow
from cgcore.templates.stored import default_signature, default_source
from cgcore.texts import join
from cgcore.workbench import Workbench
from pages.ui.preview import View
from pages.ui.templates import message
from pages.ui.templates.drafts import PAGE, FieldDraft
from tests.servers.messages import comparable
from tests.servers.pages import open_page, record_downloads, sign_in

SCRIPT = "sending_defaults.py"
QUOTE = DocumentType.QUOTE
TABS = [
    *("Presupuestos", "Pedidos", "Partes de trabajo", "Albaranes"),
    *("Facturas ventas", "Facturas proforma", "Pedidos compras"),
]
WITH_DUE_DATE = {"Presupuestos", "Facturas ventas", "Facturas proforma"}
DEFAULT_SUBJECT = "Adjunto {documento} {serie} {numero} de {empresa}"
LOGO = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
TOOLBAR = [
    ["bold", "italic", "underline"],
    [{"color": []}],
    [{"list": "ordered"}, {"list": "bullet"}],
    [{"align": []}],
    ["link", "image"],
    ["clean"],
]


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


def badges(app: AppTest) -> list[str]:
    """How each type stands."""
    found = (re.fullmatch(r":\w+-badge\[:material/\w+: (.*)\]", element.value) for element in app.markdown)
    return [match.group(1) for match in found if match]


def open_tab(app: AppTest, name: str) -> AppTest:
    """Open a tab as a click does."""
    app.session_state[f"{PAGE}_tab"] = name
    app.run()
    assert not app.exception
    return app


def open_signature(app: AppTest) -> AppTest:
    """Unfold the signature as a click does."""
    app.session_state[f"{PAGE}_signature_open"] = True
    app.run()
    assert not app.exception
    return app


def body(app: AppTest, kind: DocumentType = QUOTE) -> str:
    return app.session_state[PAGE].bodies[kind].value


def write(app: AppTest, field: FieldDraft, html: str) -> None:
    """Put ``html`` into an editor, which no test without a browser can type into."""
    field.put(html)
    app.run()
    assert not app.exception


def test_nobody_gets_in_without_a_login(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """The gate's word or nothing."""
    app = open_page(monkeypatch, workbench, None, SCRIPT)

    assert app.error
    assert not app.tabs


def test_the_tabs_stand_in_their_order_and_nothing_is_changed(app: AppTest) -> None:
    """Opening is no change."""
    assert not app.exception
    assert [tab.label for tab in app.tabs] == TABS
    assert "Todo guardado" in texts_of(app)
    assert "Los siete tipos usan la plantilla predeterminada" in texts_of(app)
    assert app.button[0].label == "Guardar"


@pytest.mark.parametrize("number", [0, 6])
def test_a_type_has_subject_body_and_palette_and_all_share_one_signature(app: AppTest, number: int) -> None:
    """One editor with what mail shows well, two with the signature's; each variable has its sample beside it."""
    entry = types_with_template()[number]
    open_tab(app, entry.tab)
    assert len(app.get("component_instance")) == 1
    open_signature(app)
    editors = [json.loads(editor.proto.json_args) for editor in app.get("component_instance")]
    labels = [element.value for element in app.markdown]
    (glossary,) = [label for label in labels if label.startswith("| Variable")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in glossary.splitlines()[2:]]
    offered = [option.content for option in app.pills(key=f"{entry.code}_palette").proto.options]

    assert [box.label for box in app.text_input] == ["Asunto"]
    assert (labels.count("Cuerpo del Mail"), [panel.label for panel in app.expander].count("**Firma**")) == (1, 1)
    assert [editor["toolbar"] for editor in editors] == [TOOLBAR] * 2
    assert all(editor["html"] for editor in editors)
    assert [editor["defaultValue"] for editor in editors] == [default_source(entry.code).body, default_signature()]
    assert offered == [row[0] for row in rows]
    assert ["Número", "`{numero}`", "21043", "Número del documento"] in rows
    proposed = [editor["history"]["variables"] for editor in editors]
    assert [each["label"] for each in proposed[0]] == offered
    assert "Vencimiento" not in [each["label"] for each in proposed[1]]
    (meter,) = [meter.proto.text.partition(" ·")[0] for meter in app.get("progress")]
    assert meter in ("1 KB de 102", "2 KB de 102")


def test_what_was_typed_is_there_when_its_tab_is_open_again(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """In the subject and in the editor, which are taken away meanwhile; one click saves what no tab shows."""
    subject(app).set_value("Lo mío {numero}").run()
    write(app, app.session_state[PAGE].bodies[QUOTE], "<p>También</p>")
    open_tab(app, "Pedidos")
    other = subject(app, "sales_order").value
    open_tab(app, "Presupuestos")
    editor = json.loads(app.get("component_instance")[0].proto.json_args)
    shown = subject(app).value, editor["defaultValue"]
    press(open_tab(app, "Albaranes"), "Guardar")

    assert other == DEFAULT_SUBJECT
    assert shown == ("Lo mío {numero}", "<p>También</p>")
    assert workbench.templates.get(ana, QUOTE).subject == "Lo mío {numero}"
    assert workbench.templates.get(ana, QUOTE).body == "<p>También</p>"


def test_a_subject_is_saved_for_its_type_only(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """One row, one line in the activity log."""
    subject(app).set_value("Presupuesto {numero}").run()
    assert "Hay cambios sin guardar" in texts_of(app)
    press(app, "Guardar")

    assert workbench.templates.get(ana, QUOTE).subject == "Presupuesto {numero}"
    assert workbench.templates.get(ana, DocumentType.SALES_ORDER).version == 0
    assert workbench.templates.get_signature(ana).version == 0
    assert "Todo guardado" in texts_of(app)
    assert "Personalizadas: Presupuestos." in texts_of(app)
    assert badges(app) == ["Personalizada"]
    assert [entry.action for entry in workbench.activity.list(ana)["items"]].count("template_saved") == 1


def test_a_draft_with_errors_cannot_be_sent(app: AppTest) -> None:
    """Sending names the variable; the draft stays."""
    subject(app).set_value("Presupuesto {nunero}").run()
    assert "¿Quisiste decir" in texts_of(app)
    assert "Con errores: Presupuestos." in texts_of(app)
    # Marked in the subject that the preview shows, and beside what is said about it.
    assert "Presupuesto :red-background[\\{nunero\\}]" in texts_of(app).splitlines()
    assert ":small[Presupuesto :red-background[\\{nunero\\}]]" in texts_of(app)
    assert badges(app) == ["Con errores"]
    press(app, "Enviarme una prueba")

    assert any("nunero" in error.value for error in app.error)
    assert subject(app).value == "Presupuesto {nunero}"
    press(app, "Poner {numero}")
    assert subject(app).value == "Presupuesto {numero}"
    assert badges(app) == ["Sin guardar"]


def test_one_template_is_put_into_every_type(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """Subject and body of the other six follow the draft; nothing is stored before Guardar."""
    subject(app).set_value("Igual {numero}").run()
    app.button(key="quote_apply").click().run()
    assert not app.exception
    drafts = app.session_state[PAGE]

    assert {draft.value for draft in drafts.subjects.values()} == {"Igual {numero}"}
    assert len({draft.clean for draft in drafts.bodies.values()}) == 1
    assert all(template.version == 0 for template in workbench.templates.get_all(ana).values())


def test_the_preview_shows_the_whole_subject_and_a_phone_what_it_leaves(app: AppTest) -> None:
    """What is written after the fortieth letter is read before it is sent."""
    long = "Un asunto que en ningún teléfono cabe entero, por mucho que se mire"
    subject(app).set_value(long).run()
    whole = [element.value for element in app.markdown if element.value.startswith("Un asunto")]
    app.button_group(key="quote_view").set_value(View.PHONE).run()
    cut = [element.value for element in app.markdown if element.value.startswith("Un asunto")]

    assert whole == [long]
    assert cut == [f"{long[:39].rstrip()}…"]


@pytest.mark.parametrize("role", list(Role))
def test_without_the_companys_name_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, role: Role
) -> None:
    """The refusal stands where the click was made, with the way for who may mend it; the preview tells it before."""
    eva = sign_in(workbench, "eva", role)
    workbench.mail_account.save(eva, workbench.sandbox.use_for(eva), version=0)
    app = open_page(monkeypatch, workbench, eva, SCRIPT)
    before = texts_of(app)
    press(app, "Enviarme una prueba")
    told = "\n".join(error.value for error in app.error)
    links = [link.proto.label for link in app.get("page_link")]

    assert "aquí ves uno de ejemplo" in before
    assert "Falta el nombre de tu empresa" in told
    assert ("Pídeselo a quien administra" in told) is (role is Role.USER)
    assert ("Poner el nombre de tu empresa" in links) is (role is Role.ADMIN)
    assert workbench.sandbox.list_messages(eva) == []


def test_a_signature_is_checked_for_every_type(app: AppTest) -> None:
    """What only some types have is said where it is written, and one click takes it away."""
    write(app, app.session_state[PAGE].signature, "<p>Vence el {vencimiento}</p>")
    wrong = re.findall(r"Con errores: (.*)\.", texts_of(app))
    said = [button.key for button in app.button if button.label == "Quitar"]
    press(app, "Quitar")

    assert wrong == [join(tab for tab in TABS if tab not in WITH_DUE_DATE)]
    assert said == ["signature_fix_0"]
    assert app.session_state[PAGE].signature.value == "<p>Vence el </p>"
    assert "Con errores" not in texts_of(app)


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
    open_tab(app, "Pedidos")
    subject(app, "sales_order").set_value("Mi pedido").run()
    open_tab(app, "Presupuestos")
    workbench.templates.save(ana, QUOTE, "De otro sitio", "<p>x</p>", version=0)
    app.run()

    assert subject(app).value == "De otro sitio"
    open_tab(app, "Pedidos")
    assert subject(app, "sales_order").value == "Mi pedido"


def test_copying_and_discarding_change_the_draft_only(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """Nothing is stored before Guardar."""
    open_tab(app, "Pedidos")
    subject(app, "sales_order").set_value("Copiado").run()
    open_tab(app, "Presupuestos")
    write(app, app.session_state[PAGE].bodies[DocumentType.SALES_ORDER], "<p>También</p>")
    press(app, "Copiar aquí")
    assert (subject(app).value, body(app)) == ("Copiado", "<p>También</p>")
    press(app, "Descartar cambios")

    assert (subject(app).value, body(app)) == (DEFAULT_SUBJECT, default_source(QUOTE).body)
    assert workbench.templates.get(ana, QUOTE).version == 0


def test_the_companys_logo_is_inserted_with_one_click(
    monkeypatch: pytest.MonkeyPatch, app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """The button is there while the company has a logo; the saved body and the mail carry that image."""
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
    preview = workbench.template_mail.preview(ana, QUOTE, source, {})
    workbench.company.save(admin, CompanyDraft("Tosma", "B12345674", logo=b""), 1)
    after = [button.label for button in open_page(monkeypatch, workbench, ana, SCRIPT).button]

    assert "Poner el logo de la empresa" not in before + after
    assert unsaved == 0
    assert source.body.count(logo.as_data_uri()) == 1
    assert workbench.templates.get(ana, DocumentType.SALES_ORDER).version == 0
    assert [(image.width, image.height, image.data) for image in preview.rendered.images] == [(200, 50, logo.data)]
    assert 'alt="Logotipo de Tosma"' in preview.rendered.html
    assert [part.get_content() for part in preview.message.walk() if part.get_content_type() == "image/png"] == [
        logo.data
    ]


def test_one_field_or_a_whole_type_goes_back_to_its_default(app: AppTest, workbench: Workbench, ana: Actor) -> None:
    """Each field with its own button, the whole type out of the history after a look at the difference; as a draft."""
    workbench.templates.save(ana, QUOTE, "Lo mío", "<p>Mi texto</p>", version=0)
    workbench.templates.save_signature(ana, "<p>Ana</p>", version=0)
    open_signature(app)
    press(app, "Restaurar firma")
    press(app, "Historial y diferencias")
    difference = app.code[-1].value.splitlines()
    press(app, "Recuperar esta versión")
    whole = subject(app).value, body(app)
    press(app, "Descartar cambios")
    press(app, "Restaurar asunto")

    assert app.session_state[PAGE].signature.value == default_signature()
    assert difference[:3] == ["-Lo mío", "-Mi texto", "+" + DEFAULT_SUBJECT]
    assert "+Un saludo," in difference
    assert whole == (DEFAULT_SUBJECT, default_source(QUOTE).body)
    assert (subject(app).value, body(app)) == (DEFAULT_SUBJECT, "<p>Mi texto</p>")
    assert workbench.templates.get(ana, QUOTE).subject == "Lo mío"


@pytest.mark.parametrize(("name", "button"), [("quote", 0), ("signature", 1)])
def test_a_version_is_cleaned_on_its_way_into_the_editor(
    app: AppTest, workbench: Workbench, ana: Actor, name: str, button: int
) -> None:
    """A row of the history that was changed behind our back brings nothing that runs."""
    if name == "quote":
        workbench.templates.save(ana, QUOTE, "Lo mío", "<p>Mi texto</p>", version=0)
    else:
        workbench.templates.save_signature(ana, "<p>Mi texto</p>", version=0)
    with workbench.database.session() as session:
        row = session.exec(select(TemplateVersionRow)).one()
        row.body = "<p>Antes<img src=x onerror=alert(1)></p>"
        session.add(row)
    app.session_state[f"{name}_history_version"] = 1
    open_signature(app)
    press(app, "Historial y diferencias", button)
    press(app, "Recuperar esta versión")
    drafts = app.session_state[PAGE]

    assert drafts.of(QUOTE if name == "quote" else None)[-1].value == '<p>Antes<img src="x"></p>'


def test_the_last_keys_before_sending_are_in_the_message(
    monkeypatch: pytest.MonkeyPatch, app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """The editor hands its text over late: what comes while the page waits is sent too; the file is that message."""
    workbench.company.save(Actor(0, "", role=Role.ADMIN), CompanyDraft("Tosma, SL"), 0)
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)
    app.run()

    def hand_over() -> None:
        subject(app).set_value("Con las últimas letras {serie}")
        states = app._tree.get_widget_states()
        held = [state for state in states.widgets if state.WhichOneof("value") != "trigger_value"]
        running = get_script_run_ctx()
        assert running is not None
        assert running.script_requests is not None
        running.script_requests.request_rerun(
            RerunData(widget_states=WidgetStates(widgets=held), page_script_hash=running.page_script_hash)
        )

    monkeypatch.setattr(message, "await_last_keys", hand_over)
    downloads = record_downloads(monkeypatch)
    app.selectbox(key="quote_sample").select_index(2)
    press(app, "Enviarme una prueba")
    (arrived,) = workbench.sandbox.list_messages(ana)

    assert arrived.subject == "Con las últimas letras Ñ/2026"
    assert comparable(workbench.sandbox.get_message(ana, arrived.id).raw) == comparable(downloads["quote.eml"]())
    assert body(app) == default_source(QUOTE).body
    assert "Tu servidor ha aceptado el mensaje para" in app.toast[0].value
    assert "Tu servidor ha aceptado el mensaje para" in texts_of(app)
    assert "Copia guardada en" in texts_of(app)


def test_a_message_that_was_asked_for_on_a_page_left_since_is_not_sent(
    app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """Coming back later sends nothing."""
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)
    app.session_state["sending_defaults_send_due"] = QUOTE, time.monotonic() - 60
    app.run()

    assert not app.exception
    assert workbench.sandbox.list_messages(ana) == []


def test_the_logo_of_the_company_is_a_click_away(app: AppTest, workbench: Workbench) -> None:
    """Without one the page says where it comes from; without a cursor it goes to the end of the body, no wider than a
    letterhead's, with the company's name for who does not see it.
    """
    picture = io.BytesIO()
    Image.new("RGB", (400, 100), "#0B6BCB").save(picture, "PNG")
    jefa = sign_in(workbench, "jefa", Role.ADMIN)
    said = texts_of(app)
    links = [link.proto.label for link in app.get("page_link")]
    workbench.company.save(jefa, CompanyDraft("Tosma", logo=picture.getvalue()), 0)
    app.run()
    press(app, "Poner el logo de la empresa")
    html = body(app)

    assert "Lo añade quien administra, en Administración › Empresa." in said
    assert "Tu empresa aún no tiene logo" not in texts_of(app)
    assert links == []
    assert html.startswith(default_source(QUOTE).body + '<p><img src="data:image/png;base64,')
    assert html.endswith('" alt="Logotipo de {empresa}" width="200" height="50"></p>')
    assert body(app, DocumentType.SALES_ORDER) == default_source(DocumentType.SALES_ORDER).body


def test_who_administers_is_led_to_where_a_logo_is_added(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """A link, and not the sentence that sends to somebody else."""
    app = open_page(monkeypatch, workbench, sign_in(workbench, "jefa", Role.ADMIN), SCRIPT)

    assert [link.proto.label for link in app.get("page_link")] == ["Añadir el logo en Administración › Empresa"]
    assert "Tu empresa aún no tiene logo." in texts_of(app)
    assert "quien administra" not in texts_of(app)


def file_of(app: AppTest, templates: dict[str, Any], **more: Any) -> AppTest:
    """Hand the page a file with these templates."""
    value = {"format": "cloud-gestion", "version": 1, "users": [{"name": "otra", "templates": templates}], **more}
    app.file_uploader[0].set_value(("plantillas.json", json.dumps(value).encode(), "application/json"))
    app.run()
    assert not app.exception
    return app


def test_an_import_is_checked_and_shown_before_anything_is_stored(
    app: AppTest, workbench: Workbench, ana: Actor
) -> None:
    """A file that is none is refused with the reason, one without news says so, one with news is a table first."""
    company = {"name": "Otra casa", "tax_id": "", "address": "", "logo": None, "series": {}}
    hostile = f"<p onclick=x>Traído<script>x()</script></p><p><img src='{LOGO}' alt='L' onerror=x></p>"
    refused = [error.value for error in file_of(app, {"factura": {}}).error]
    same = [info.value for info in file_of(app, {}).info]
    file_of(app, {"quote": {"subject": "Va {numero}", "body": hostile}}, company=company)
    table = app.table[-1].value
    before = workbench.templates.get(ana, QUOTE)
    press(app, "Importar estos cambios")
    after = workbench.templates.get(ana, QUOTE)

    assert "factura" in refused[0]
    assert same == ["El archivo dice lo mismo que tienes guardado."]
    assert table["Campo"].to_list() == ["Presupuestos · Asunto", "Presupuestos · Cuerpo del Mail"]
    assert table["En el archivo"].to_list()[1].startswith("Traído")
    assert "x()" not in table["En el archivo"].to_list()[1]
    assert before.version == 0
    assert (after.subject, after.body) == ("Va {numero}", f'<p>Traído</p><p><img src="{LOGO}" alt="L"></p>')
    assert (subject(app).value, body(app)) == (after.subject, after.body)
    assert workbench.company.get(ana).name == ""
