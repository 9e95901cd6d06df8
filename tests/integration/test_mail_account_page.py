"""«Cuenta mail» without a browser: what its fields do, what it says before any connection, what it never sends."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.header import decode_header, make_header
from typing import Any

import pytest
from cryptography import x509
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.diagnosis.texts import build_verdict
from cgcore.mail.sender import SenderDraft
from cgcore.mail.steps import Leg, Stage
from cgcore.process import new_owner
from cgcore.runs import Cell, Run, Status, Step, Verdict
from cgcore.storage.runs import ProbeRunStore
from cgcore.texts import join
from cgcore.vault.memory import MemoryKeyring
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.runs import Job
from cgcore.workbench.secrets import open_vault, secret_name
from cgcore.workbench.verdicts import verdict_texts
from pages.ui import runs as results
from tests.contracts.vault_doubles import Indiscreet, Lying, Shrinking
from tests.servers.certificates import NAMES, Certificate, Certificates
from tests.servers.pages import open_page, sign_in
from tests.servers.scripted import SMTP_CASES, imap_server, smtp_server

SCRIPT = "mail_account.py"
_PORT, _SECURITY, _PASSWORD = "mail_account_smtp_port", "mail_account_smtp_security", "mail_account_password"
# Buttons that the suite's own page does not have.
HELPERS = {"Rellenar para Gmail", "Usar el buzón de pruebas"}
SCRIPTED = {Leg.SMTP: lambda: smtp_server(SMTP_CASES["friendly"]), Leg.IMAP: lambda: imap_server("friendly")}
_CELLS = re.compile(r"\*\*(Cuenta|\d · [^*]*)\*\*(?:\s:\w+-badge\[.*\])?")


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """A user without an account."""
    return sign_in(workbench, "ana")


def account(**changes: object) -> MailAccountDraft:
    values: dict[str, object] = {
        "user": "ana@tosma.example",
        "password": Secret("s3creta-de-ana"),
        "smtp": ServerDraft("smtp.tosma.example", 587, Security.STARTTLS),
        "imap": ServerDraft("imap.tosma.example", 993, Security.SSL),
        "sent_folder": "Enviados",
    }
    return MailAccountDraft(**{**values, **changes})  # pyright: ignore[reportArgumentType]


def open_with(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, draft: MailAccountDraft | None = None
) -> AppTest:
    if draft is not None:
        workbench.mail_account.save(ana, draft, version=0)
    app = open_page(monkeypatch, workbench, ana, SCRIPT)
    assert not app.exception
    return app


def open_panel(app: AppTest, name: str) -> None:
    """Open one of the two popovers: they are filled then."""
    assert f"{name}_fill" not in " ".join(str(button.key) for button in app.button)
    app.session_state[f"mail_account_{name}"] = True
    app.run()


def words(app: AppTest) -> str:
    elements = [*app.markdown, *app.caption, *app.error, *app.warning]
    return plain("\n".join(str(element.value) for element in elements))


def plain(markdown: str) -> str:
    return markdown.replace("\\", "").replace("\u2060", "")


def labels_in_order(app: AppTest) -> list[str]:
    """The labels of all fields, choices and buttons of the page, as the eye meets them."""
    widgets = [*app.main.text_input, *app.main.selectbox, *app.main.button_group, *app.main.button]
    labels = {id(widget): widget.label for widget in widgets}
    return [labels[id(node)] for node in app.main if id(node) in labels]


def everything_drawn(app: AppTest) -> str:
    """All that the browser is sent of the page, block by block."""
    return "\n".join(str(getattr(node, "proto", "")) for node in app)


def use_keyring(workbench: Workbench, backend: MemoryKeyring) -> None:
    vars(workbench.context)["vault"] = open_vault(workbench.settings, workbench.database, find_backend=lambda: backend)


def fill(app: AppTest, **values: str) -> AppTest:
    for name, value in values.items():
        app.text_input(key=f"mail_account_{name}").set_value(value)
    return click(app)


def click(app: AppTest, button: str = "") -> AppTest:
    if button:
        app.button(key=f"mail_account_{button}").click()
    app.run()
    assert not app.exception
    return app


def choose_security(app: AppTest, mode: Security) -> AppTest:
    app.button_group(key=_SECURITY).set_value(mode).run()
    assert not app.exception
    return app


def test_every_name_is_the_one_of_the_suite(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """Guardar first, the cells, the fields, the choices and the buttons, letter by letter and in their order."""
    app = open_with(monkeypatch, workbench, ana)
    modes, receipt = app.button_group
    incoming, folder = app.selectbox

    assert app.main.children[0].children[0].label == "Guardar"  # pyright: ignore[reportAttributeAccessIssue]
    assert _CELLS.findall(words(app)) == [
        "Cuenta",
        "1 · Servidor saliente",
        "2 · Servidor entrante y carpeta",
        "3 · Envío de Prueba",
    ]
    assert [label for label in labels_in_order(app) if label not in HELPERS] == [
        "Guardar",
        "Usuario Correo",
        "Contraseña Correo",
        "Configurar mi correo",
        "Servidor Saliente (SMTP)",
        "Puerto",
        "Seguridad Conexión",
        "Confirmación lectura",
        "Probar conexión SMTP",
        "Servidor Entrante (IMAP)",
        "Puerto IMAP",
        "Seguridad de conexión",
        "Carpeta guardar enviados",
        "Probar conexión IMAP",
        "Destinatario",
        "Enviar correo de prueba",
    ]
    assert [panel.label for panel in app.expander][-2:] == [
        "Que llegue: lo que tu dominio dice de tus envíos",
        "Explícame este error",
    ]
    assert ":small[Puerto]" in words(app)
    assert (modes.label, modes.options) == ("Seguridad Conexión", ["Ninguna", "SSL", "TLS"])
    assert (receipt.label, receipt.options) == ("Confirmación lectura", ["Sí", "No"])
    assert (incoming.label, incoming.options) == (
        "Seguridad de conexión",
        ["Ninguna", "SSL", "STARTTLS", "SSL (Autofirmado)", "STARTTLS (Autofirmado)"],
    )
    assert folder.label == "Carpeta guardar enviados"
    # Of an empty account the one button that finds the rest is the page's action, beside Guardar.
    primary = [button.label for button in app.main.button if button.proto.type == "primary"]
    assert primary == ["Guardar", "Configurar mi correo"]
    assert {button.proto.type for button in app.main.button} == {"primary", "secondary"}


def test_gmail_is_explained_and_filled_in(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """Both servers, and no folder, since Gmail files the copy; user and typed password stay what they were."""
    app = open_with(monkeypatch, workbench, ana, account(imap=ServerDraft("h", 143, Security.SSL_PINNED, "ab" * 32)))
    fill(app, user="ana@gmail.example", password="abcdefghijklmnop")
    open_panel(app, "gmail")
    explained = words(app)
    click(app, "gmail_fill")
    value = {field.key: field.value for field in (*app.text_input, *app.selectbox, *app.button_group)}

    for said in (
        "Activa la **verificación en dos pasos**",
        "Crea una **contraseña de aplicación**",
        "En «Usuario Correo» escribe tu dirección completa.",
        "En «Contraseña Correo» pega esas 16 letras, sin espacios.",
        "El botón rellena servidores, puertos y seguridad.",
    ):
        assert said in explained
    assert [value[f"mail_account_smtp_{name}"] for name in ("host", "port", "security")] == [
        "smtp.gmail.com",
        "465",
        Security.SSL,
    ]
    assert [value[f"mail_account_imap_{name}"] for name in ("host", "port", "security")] == [
        "imap.gmail.com",
        "993",
        Security.SSL,
    ]
    assert (value["mail_account_sent_folder"], app.session_state["mail_account_imap_pin"]) == ("", "")
    assert (value["mail_account_user"], value[_PASSWORD]) == ("ana@gmail.example", "abcdefghijklmnop")
    assert workbench.mail_account.get(ana).version == 1


@pytest.mark.parametrize("in_keyring", [False, True])
def test_where_the_password_lives_is_said_and_that_there_is_one(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, in_keyring: bool
) -> None:
    """Beside an empty field: our own vault and its folder, or the system's keyring by its name."""
    keyring = MemoryKeyring({})
    if in_keyring:
        use_keyring(workbench, keyring)
    app = open_with(monkeypatch, workbench, ana, account())
    field = app.text_input(key=_PASSWORD)
    place = next(caption for caption in app.caption if ":material/lock:" in caption.value)
    title, where, state = ("Cofre cifrado", str(workbench.settings.data_dir / "vault"), "guardada en el cofre cifrado")
    if in_keyring:
        title, where, state = "Llavero del sistema", keyring.name, "guardada en el llavero"

    assert place.value == f":material/lock: {title}"
    assert where in plain(place.proto.help)
    assert (field.value, field.placeholder) == ("", state)


def test_a_stored_password_is_in_no_element_of_the_page(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Neither as it is nor as it travels to the server: not in the field, the steps, the transcript nor the dialog."""
    draft = workbench.sandbox.use_for(ana)
    assert draft.password is not None
    secret = draft.password.reveal()
    travelling = base64.b64encode(f"\0{draft.user}\0{secret}".encode()).decode()
    app = open_with(monkeypatch, workbench, ana, draft)
    pages = [everything_drawn(app)]
    pages += [everything_drawn(click(app, button)) for button in ("smtp_run", "imap_run", "test_run", "save")]

    assert all(draft.user in page for page in pages)
    assert "guardada en el cofre cifrado" in pages[0]
    assert "Lo que esto no prueba" in pages[3]
    assert not any(secret in page or travelling in page for page in pages)
    assert app.text_input(key=_PASSWORD).value == ""


def test_a_password_that_is_not_kept_is_not_called_saved(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """It comes back otherwise than written: the reason is said, what was typed stands, nothing is stored."""
    keyring = Lying({})
    use_keyring(workbench, keyring)
    app = fill(open_with(monkeypatch, workbench, ana), user="ana@tosma.example", password="s3creta")
    keyring.lies = True
    click(app, "save")

    assert "La contraseña no se ha guardado" in "\n".join(error.proto.title for error in app.error)
    assert [toast.value for toast in app.toast] == []
    assert (app.text_input(key=_PASSWORD).value, app.text_input(key=_PASSWORD).placeholder) == (
        "s3creta",
        "aún no guardada",
    )
    assert workbench.mail_account.get(ana).version == 0
    keyring.lies = False
    click(app, "save")
    assert [toast.value for toast in app.toast] == ["Guardado"]
    assert workbench.mail_account.get(ana).version == 1


def test_a_password_of_another_account_is_asked_for_beside_its_field(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The vault holds another day's password: the field says so, no test starts, and typing it again cures it."""
    app = open_with(monkeypatch, workbench, ana, account())
    assert "uelve a escribirla" not in words(app)
    workbench.vault.set(secret_name(ana.user_id), Secret("de otro dia"), bond={"smtp": "smtp.otro.example"})
    app.run()
    assert app.text_input(key=_PASSWORD).placeholder == "vuelve a escribirla"
    assert "Vuelve a escribirla" in words(app)
    click(app, "smtp_run")
    assert workbench.runs.find_last(ana, Cell.SMTP) is None

    fill(app, password="s3creta-de-ana")
    click(app, "save")

    assert "uelve a escribirla" not in words(app)
    assert workbench.mail_account.get(ana).password_set


@pytest.mark.parametrize(("kind", "why"), [(Shrinking, "devolvió otra cosa"), (Indiscreet, "respondió con un error")])
def test_a_password_that_is_not_kept_leaves_the_one_before(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, kind: type[Shrinking | Indiscreet], why: str
) -> None:
    """It cannot be read back, or not as it was: account and stored password are what they were, and it is said."""
    keyring = kind({})
    use_keyring(workbench, keyring)
    app = fill(open_with(monkeypatch, workbench, ana, account()), password="una nueva y mucho más larga")
    keyring.broken = True
    click(app, "save")
    keyring.broken = False
    app.run()
    field = app.text_input(key=_PASSWORD)

    assert why in "\n".join(error.proto.title for error in app.error)
    assert [toast.value for toast in app.toast] == []
    assert (field.value, field.placeholder) == ("una nueva y mucho más larga", "guardada en el llavero")
    assert workbench.mail_account.get(ana).version == 1
    assert workbench.vault.get(secret_name(ana.user_id)) == Secret("s3creta-de-ana")
    assert not any(value.startswith("una nueva") for value in keyring.entries.values())


@pytest.mark.parametrize(
    ("leg", "port", "warning"),
    [
        (Leg.SMTP, 465, "El puerto 465 suele ir con la seguridad SSL."),
        (Leg.IMAP, 143, "El puerto 143 suele ir con la seguridad Ninguna o STARTTLS."),
    ],
)
def test_a_port_that_contradicts_its_security_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, leg: Leg, port: int, warning: str
) -> None:
    """It is said; saved and tested it is all the same."""
    app = open_with(monkeypatch, workbench, ana)
    values = {f"{leg}_host": "127.0.0.1", f"{leg}_port": str(port)}
    fill(app, user="ana@tosma.example", password="s3creta", **values)
    said = words(app)
    click(app, "save")
    click(app, f"{leg}_run")
    stored = workbench.mail_account.get(ana).draft

    assert warning in said
    assert warning in words(app)
    assert (stored.smtp if leg is Leg.SMTP else stored.imap).port == port
    assert workbench.runs.find_last(ana, Cell(leg.value)) is not None


@pytest.mark.parametrize(
    ("smtp", "chosen", "port"),
    [
        (ServerDraft("h.example", 25, Security.NONE), Security.SSL, "465"),
        (ServerDraft("h.example", 587, Security.STARTTLS), Security.SSL, "465"),
        (ServerDraft("h.example", 465, Security.STARTTLS), Security.NONE, "465"),
        (ServerDraft("h.example", 2525, Security.STARTTLS), Security.SSL, "2525"),
    ],
)
def test_a_saved_port_follows_the_choice_unless_it_was_typed(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, smtp: ServerDraft, chosen: Security, port: str
) -> None:
    """A port that its security brings follows the next choice; any other was somebody's, and stays."""
    app = open_with(monkeypatch, workbench, ana, account(smtp=smtp))
    choose_security(app, chosen)

    assert app.text_input(key=_PORT).value == port


def test_a_typed_port_stays_and_an_emptied_one_follows_again(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """What was typed is never overwritten."""
    app = open_with(monkeypatch, workbench, ana)
    fresh = app.text_input(key=_PORT).value
    app.text_input(key=_PORT).set_value("2525").run()
    typed = choose_security(app, Security.SSL).text_input(key=_PORT).value
    app.text_input(key=_PORT).set_value("").run()
    emptied = choose_security(app, Security.NONE).text_input(key=_PORT).value

    assert (fresh, typed, emptied) == ("587", "2525", "25")


# Said, and no obstacle: the test is not started here.
WARNINGS = {("user", "ana@@tosma"), ("password", " abc"), ("password", "ab\u200bc")}


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("user", "", "Falta este dato"),
        ("user", " ana@tosma.example", "escribe «ana@tosma.example»"),
        ("user", "ana@@tosma", "ana@@tosma"),
        ("password", "", "Falta este dato"),
        ("password", "a&b", "&"),
        ("password", " abc", "espacio"),
        ("password", "ab\u200bc", "que no se ve"),
        ("smtp_host", "https://smtp.tosma.example/", "Escribe solo el nombre"),
        ("smtp_host", "pop.tosma.example", "pop"),
        ("smtp_host", "smtp\u200b.tosma.example", "invisibles"),
        ("smtp_port", "70000", "65535"),
        ("smtp_port", "0", "65535"),
    ],
)
def test_each_mistake_is_said_beside_its_field_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, field: str, typed: str, said: str
) -> None:
    """Before any connection: no run is made for what blocks, and what was typed stands."""
    app = open_with(monkeypatch, workbench, ana)
    values = {"user": "ana@tosma.example", "password": "abc", "smtp_host": "127.0.0.1", "smtp_port": "9", field: typed}
    for name, value in values.items():
        app.text_input(key=f"mail_account_{name}").set_value(value)
    app.run()
    if (field, typed) not in WARNINGS:
        app.button(key="mail_account_smtp_run").click().run()

    assert not app.exception
    assert said in words(app)
    assert app.text_input(key=f"mail_account_{field}").value == typed
    assert workbench.runs.find_last(ana, Cell.SMTP) is None


def test_the_password_of_the_test_mailbox_stays_in_the_program(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """It is saved and proven with, and is no field's value; for another server it does not count."""
    app = open_with(monkeypatch, workbench, ana)
    open_panel(app, "sandbox")
    app.button(key="mail_account_sandbox_fill").click().run()
    assert not app.exception
    assert app.text_input(key=_PASSWORD).value == ""
    assert app.text_input(key=_PASSWORD).placeholder == "la del buzón de pruebas"
    app.button(key="mail_account_save").click().run()
    stored = workbench.mail_account.get(ana)
    secret = workbench.vault.get(f"mail-account/{ana.user_id}") or workbench.vault.get(f"sandbox/{ana.user_id}")

    assert stored.password_set
    assert secret is not None
    assert secret.reveal() not in "\n".join(str(block) for block in app.text_input)
    *_, ended = workbench.runs.follow(ana, workbench.mail_runs.start_probe(ana, Leg.SMTP, stored.draft))
    assert ended.verdict is not None
    assert ended.verdict.key == "ok"


def test_the_test_mailboxs_password_is_for_no_other_server(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Whoever changes the server afterwards types a password."""
    app = open_with(monkeypatch, workbench, ana)
    open_panel(app, "sandbox")
    app.button(key="mail_account_sandbox_fill").click().run()
    app.text_input(key="mail_account_smtp_host").set_value("smtp.otro.example").run()
    app.button(key="mail_account_smtp_run").click().run()

    assert not app.exception
    assert app.text_input(key=_PASSWORD).placeholder == "aún no guardada"
    assert "Falta este dato" in words(app)
    assert workbench.runs.find_last(ana, Cell.SMTP) is None


@pytest.mark.parametrize("cell", [Cell.SMTP, Cell.IMAP, Cell.TEST_MAIL])
def test_a_page_opened_while_a_test_runs_shows_it_to_its_end(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, cell: Cell
) -> None:
    """A reload, a second tab: the run goes on, its steps are drawn, and the page ends with the stored result."""
    workbench.mail_account.save(ana, account(), version=0)
    gate = threading.Event()
    step = Step(leg=Leg.IMAP if cell is Cell.IMAP else Leg.SMTP, stage=Stage.DNS, status=Status.OK, ms=3)

    def steps() -> Iterator[Step]:
        yield step
        assert gate.wait(20)
        yield step

    job = Job(
        steps,
        lambda _steps, ms: Verdict("ok", "dns", ms),
        lambda _steps, _verdict, _session: {
            "sent": True,
            "recipient": "ana@tosma.example",
            "queue_id": "Q1",
            "copy": "none",
        },
    )
    workbench.runs.start(ana, cell, "f", job)
    monkeypatch.setattr(results, "give_way", gate.set)
    app = open_page(monkeypatch, workbench, ana, SCRIPT)

    assert not app.exception
    run = workbench.runs.find_last(ana, cell)
    assert run is not None
    assert not run.is_running
    assert words(app).count("prueba 1") == 1


def test_each_step_shows_its_time_and_the_words_of_the_server(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Under the verdict, in one place, a line a step; a refusal in the server's own words, and never the password."""
    script = replace(SMTP_CASES["friendly"], replies={"rcpt_to": b"550 5.1.1 No such user here"}, users={})
    with smtp_server(script) as server:
        smtp = ServerDraft("127.0.0.1", server.port, Security.NONE)
        app = click(open_with(monkeypatch, workbench, ana, account(smtp=smtp)), "smtp_run")
    aside = (
        "Devoluciones",
        "Comprobación diaria",
        "Transcripción",
        "Que llegue: lo que tu dominio dice de tus envíos",
        "Explícame este error",
        "Mensaje para tu proveedor",
    )
    fold, before = [expander for expander in app.expander if expander.label not in aside]
    listed = [line for part in (before, fold) for line in plain(part.markdown[-1].value).splitlines()]
    lines = [re.sub(r"^(:red\[)?:material/\w+: ", "", line) for line in listed]
    said = {line.split(" · ")[0]: line.partition("`")[2].strip("` ") for line in lines}

    assert re.fullmatch(r"Falló en el paso \d+: Destinatario · (\d+ ms|\d+,\d s)", plain(fold.label))
    assert fold.proto.expanded
    assert plain(fold.markdown[-1].value).startswith(":red[:material/error: Destinatario")
    assert plain(before.label) == f"{len(lines) - 1} pasos anteriores"
    assert not before.proto.expanded
    assert all(re.search(r" · (\d+ ms|\d+,\d s)(?=[\s\]]|$)", line) for line in lines)
    assert said["Saludo"] == "220 mail.test ESMTP ready"
    assert said["Identificación"] == "235 2.7.0 Authentication successful"
    assert said["Destinatario"] == "550 5.1.1 No such user here"
    assert "s3creta-de-ana" not in str(said)
    run = workbench.runs.find_last(ana, Cell.SMTP)
    assert run is not None
    assert run.verdict is not None
    (shown,) = app.error
    title, fix = verdict_texts(run.cell, run.verdict)
    assert (plain(shown.proto.title), plain(shown.value)) == (title, fix)
    assert "ana@tosma.example" in title
    assert fix


def test_of_a_self_signed_server_only_the_confirmed_certificate_is_accepted(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, certificates: Certificates
) -> None:
    """Its card comes before any credential; once confirmed the test passes, and another one is refused unheard."""
    pinned, other = certificates.self_signed, certificates.other_self_signed
    with imap_server("friendly", pinned, implicit_tls=True) as server:
        imap = ServerDraft("127.0.0.1", server.port, Security.SSL_PINNED)
        draft = account(user="ana@example.com", password=Secret("correcto-Caballo.9"), imap=imap, sent_folder="Sent")
        app = click(open_with(monkeypatch, workbench, ana, draft), "imap_run")
        first_card, first_lines = card_of(app), list(server.lines)
        label = app.button(key="mail_account_imap_cure").label
        click(app, "imap_cure")
        passed, signed_in = words(app), server.heard(b"AUTHENTICATE")
        click(app, "save")
        stored = workbench.mail_account.get(ana).draft.imap
        heard = len(server.lines)
        server.context = other.server_context()
        click(app, "imap_run")
        refused = [plain(error.proto.title) for error in app.error]
        heard_since = server.lines[heard:]

    assert first_card == expected_card(pinned)
    assert label.startswith("Confirmar huella")
    assert first_lines == []
    assert "La cuenta entra y guarda copias." in passed
    assert f"Solo se acepta el certificado confirmado: {pinned.sha256[:16].upper()}…" in passed
    assert signed_in
    assert stored == replace(imap, pin=pinned.sha256)
    assert refused == ["El certificado de 127.0.0.1 ya no es el que aceptaste"]
    assert card_of(app) == expected_card(other)
    assert heard_since == []
    assert "mail_account_imap_cure" not in [button.key for button in app.button]


def test_a_name_of_the_certificate_that_leads_to_the_server_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """On the card, with the button that takes it; without such a name nothing is asked."""
    card = {"sha256": "ab" * 32, "names": ["server7.hoster.example"], "issuer": "X", "chain": "trusted"}
    draft = account(password=Secret("s3creta-de-ana"))
    app = open_with(monkeypatch, workbench, ana, draft)
    asked: list[bool] = []
    for patch in ({"host": "server7.hoster.example"}, {}):
        step = Step("imap", "tls", Status.ERROR, key="cert_wrong_name", patch=patch, details={"certificate": card})
        job = Job(lambda step=step: iter((step,)), lambda steps, ms: build_verdict(steps, total_ms=ms))
        fingerprint = workbench.mail_runs.fingerprint(ana, Cell.IMAP, workbench.mail_account.get(ana).draft)
        list(workbench.runs.follow(ana, workbench.runs.start(ana, Cell.IMAP, fingerprint, job)))
        shown = words(app.run()).replace("\\", "")
        asked.append("¿Usar server7.hoster.example como servidor?" in shown)
        assert ("mail_account_imap_cure" in [button.key for button in app.button]) is bool(patch)

    assert asked == [True, False]


def card_of(app: AppTest) -> dict[str, str]:
    """The certificate as the page shows it, the fingerprint without its line ends."""
    (text,) = [code.value for code in app.code if code.value.startswith("Huella SHA-256")]
    lines = re.sub(r"(?<=[:\dA-F])\n(?=[\dA-F]{2}:)", ":", text).replace(": \n", ": ").splitlines()
    return dict(line.split(": ", 1) for line in lines)


def expected_card(certificate: Certificate) -> dict[str, str]:
    shown = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
    first, last = (day.strftime("%d/%m/%Y") for day in (shown.not_valid_before_utc, shown.not_valid_after_utc))
    return {
        "Huella SHA-256": bytes.fromhex(certificate.sha256).hex(":").upper(),
        "Nombres": join(NAMES),
        "Lo firma": "localhost",
        "Vale": f"del {first} al {last}",
        "Confianza": "lo ha firmado el propio servidor",
    }


def test_a_missing_folder_is_created_by_its_button(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Only when asked: the first test says that it is missing, the button makes it and tests again."""
    draft = replace(workbench.sandbox.use_for(ana), sent_folder="Facturas 2026")
    app = click(open_with(monkeypatch, workbench, ana, draft), "imap_run")
    missing = workbench.runs.find_last(ana, Cell.IMAP)
    button = app.button(key="mail_account_imap_create_folder")
    label = plain(button.label)
    click(app, "imap_create_folder")
    made = workbench.runs.find_last(ana, Cell.IMAP)

    assert missing is not None
    assert missing.verdict is not None
    assert missing.verdict.key == "folder_missing"
    assert "create" not in [step.stage for step in missing.steps]
    assert label == "Crear la carpeta «Facturas 2026»"
    assert made is not None
    assert made.verdict is not None
    assert made.verdict.key == "ok"
    assert "La cuenta entra y guarda copias." in words(app)


def dialog_words(app: AppTest) -> str:
    """What stands in the dialog, and nowhere else."""
    (dialog,) = [node for node in app if isinstance(node, Block) and node.type == "dialog"]
    return plain("\n".join(str(getattr(node, "value", "")) for node in dialog if not isinstance(node, Block)))


def test_the_dialog_says_what_the_test_mail_proves_and_what_not(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Accepted, under which number, where the copy is; nothing about arrival, other servers or readers."""
    draft = workbench.sandbox.use_for(ana)
    app = open_with(monkeypatch, workbench, ana, draft)
    click(app, "test_run")
    run = workbench.runs.find_last(ana, Cell.TEST_MAIL)
    said = dialog_words(app)

    assert run is not None
    assert run.result is not None
    assert len(str(run.result["queue_id"])) > 3
    assert f"Tu servidor ha aceptado el mensaje para {draft.user}" in said
    assert f"Identificador en el servidor: {run.result['queue_id']}" in said
    assert "Copia guardada en «Enviados»" in said
    assert "Lo que esto no prueba" in said
    for unproven in ("llegue a la bandeja de entrada", "el servidor de cada cliente", "Que el destinatario lo lea"):
        assert unproven in said


def test_a_set_up_that_went_well_offers_the_test_mail_to_oneself(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """One click from its outcome to what that mail proves, whatever recipient the cell of the test mail names."""
    draft = workbench.sandbox.use_for(ana)
    smtp, imap = (
        {"host": each.host, "port": each.port, "security": "none", "source": "guess"}
        for each in (draft.smtp, draft.imap)
    )
    found = {"user": draft.user, "smtp": smtp, "imap": imap, "folder": "", "folder_from": "", "questions": []}
    job = Job(
        lambda: iter((Step("smtp", "auth", Status.OK),)),
        lambda _steps, ms: Verdict("ok", "auth", ms),
        lambda _steps, _verdict, _session: found,
    )
    *_, run = workbench.runs.follow(ana, workbench.runs.start(ana, Cell.SETUP, "mark", job))
    app = open_with(monkeypatch, workbench, ana, draft)
    assert "mail_account_setup_test" not in {str(button.key) for button in app.button}
    app.session_state["mail_account_setup_shown"] = run.id
    app.text_input(key="mail_account_recipient").set_value("otra@cliente.example").run()
    click(app, "setup_test")

    sent = workbench.runs.find_last(ana, Cell.TEST_MAIL)
    assert sent is not None
    assert sent.number == 1
    assert f"Tu servidor ha aceptado el mensaje para {draft.user}" in dialog_words(app)
    click(app)
    assert workbench.runs.find_last(ana, Cell.TEST_MAIL) == sent


def test_what_is_proven_and_not_saved_is_said_with_the_button(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """In the dialog and in the cell; the button saves as Guardar does, and then nothing is left to say."""
    app = open_with(monkeypatch, workbench, ana)
    open_panel(app, "sandbox")
    click(app, "sandbox_fill")
    click(app, "test_run")
    in_dialog, everywhere = dialog_words(app), words(app)
    saved_before = workbench.mail_account.get(ana).version
    click(app, "dialog_save")
    after = words(app)

    assert "Probado. Falta guardar." in in_dialog
    assert everywhere.count("Probado. Falta guardar.") == 2
    assert (saved_before, workbench.mail_account.get(ana).version) == (0, 1)
    assert "Probado. Falta guardar." not in after
    assert "Todo guardado" in after


@pytest.mark.parametrize(("host", "port", "is_port"), [("8.8.8.8", "443", True), ("169.254.169.254", "587", False)])
def test_a_refused_target_says_whether_it_is_the_port(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, host: str, port: str, is_port: bool
) -> None:
    """The port that is none of mail is named; the setting that allows a private address is named."""
    smtp = ServerDraft(host, port, Security.NONE)
    app = click(open_with(monkeypatch, workbench, ana, account(smtp=smtp)), "smtp_run")
    run = workbench.runs.find_last(ana, Cell.SMTP)
    said = words(app)

    assert run is not None
    assert run.verdict is not None
    assert run.verdict.key == "forbidden_target"
    assert ("El puerto 443 no es de correo" in said) is is_port
    assert "CG_MAIL_ALLOW_PRIVATE" in said


@pytest.mark.parametrize("leg", list(Leg))
def test_a_test_that_cannot_start_says_why_in_its_cell(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, leg: Leg
) -> None:
    """The password that has to be typed again is asked for where the click was, until it is typed; nowhere else."""
    with SCRIPTED[leg]() as server:
        app = open_with(monkeypatch, workbench, ana, account())
        fill(app, **{f"{leg}_host": "127.0.0.1", f"{leg}_port": str(server.port)})
        click(app, f"{leg}_run")
        told = [plain(error.value) for error in app.error]
        nothing = workbench.runs.find_last(ana, Cell(leg.value))
        fill(app, password="s3creta-de-ana")
        cured = [plain(error.value) for error in app.error]

    (reason,) = told
    assert "Contraseña Correo" in reason
    assert "Escribe otra vez la contraseña" in reason
    assert nothing is None
    assert cured == []


def test_a_read_receipt_is_asked_for_only_when_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """«Sí» asks for it to the own address (RFC 8098), in the mail and in its text; «No» takes it back."""
    draft = workbench.sandbox.use_for(ana)
    app = open_with(monkeypatch, workbench, ana, draft)
    for wanted in (True, False):
        app.button_group(key="mail_account_read_receipt").set_value(wanted).run()
        click(app, "test_run")
    without, with_receipt = (
        workbench.sandbox.get_message(ana, line.id) for line in workbench.sandbox.list_messages(ana)
    )

    assert ("Disposition-Notification-To", draft.user) in with_receipt.headers
    assert "Disposition-Notification-To" not in dict(without.headers)
    assert ["confirmación de lectura" in message.text for message in (with_receipt, without)] == [True, False]


def test_the_sender_is_filled_in_when_it_is_asked_for_and_shown_in_the_test_mail(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Folded until then; what is typed stays when it closes, is saved, and stands in the head of the mail."""
    app = open_with(monkeypatch, workbench, ana, workbench.sandbox.use_for(ana))
    assert "mail_account_sender_name" not in [field.key for field in app.text_input]
    app.session_state["mail_account_sender"] = True
    app.run()
    fill(app, sender_name="Tosma, Facturación", sender_reply_to="respuestas@tosma.example")
    app.toggle(key="mail_account_sender_copy").set_value(True).run()
    app.session_state["mail_account_sender"] = False
    app.run()
    click(app, "save")
    click(app, "test_run")
    (line,) = workbench.sandbox.list_messages(ana)
    head = dict(workbench.sandbox.get_message(ana, line.id).headers)
    stored = workbench.mail_account.get(ana).draft.sender

    assert stored == SenderDraft("Tosma, Facturación", "respuestas@tosma.example", copy_to_self=True)
    assert str(make_header(decode_header(head["From"]))).startswith("Tosma, Facturación <")
    assert head["Reply-To"] == "respuestas@tosma.example"


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("sender_name", "Tosma <a@tosma.example>", "Escribe solo el nombre."),
        ("sender_name", "a@tosma.example", "Escribe solo el nombre."),
        ("sender_name", "x" * 121, "120"),
        ("sender_reply_to", "tosma", "no es una dirección de correo"),
        ("sender_reply_to", "Ana <a@tosma.example>", "no es una dirección de correo"),
    ],
)
def test_a_sender_that_cannot_be_is_said_below_it_and_nothing_is_saved(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, field: str, typed: str, said: str
) -> None:
    """Also once it is closed again."""
    app = open_with(monkeypatch, workbench, ana)
    app.session_state["mail_account_sender"] = True
    app.run()
    fill(app, user="ana@tosma.example", **{field: typed})
    app.session_state["mail_account_sender"] = False
    click(app, "save")

    assert said in words(app)
    assert workbench.mail_account.get(ana).version == 0


def test_the_test_mailbox_takes_the_sender_over(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """It fills in servers, not who one is."""
    sender = SenderDraft("Tosma", "r@tosma.example", copy_to_self=True)
    app = open_with(monkeypatch, workbench, ana, MailAccountDraft("ana@tosma.example", sender=sender))
    open_panel(app, "sandbox")
    click(app, "sandbox_fill")
    click(app, "save")

    assert workbench.mail_account.get(ana).draft.sender == sender
    assert workbench.mail_account.get(ana).draft.smtp.host == "127.0.0.1"


def test_the_dialog_of_a_mail_that_has_not_left_promises_nothing(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The outcome and the verdict; no number, no copy, no list of what is left to prove."""
    script = replace(SMTP_CASES["friendly"], replies={"rcpt_to": b"550 5.1.1 No such user here"}, users={})
    with smtp_server(script) as server:
        smtp = ServerDraft("127.0.0.1", server.port, Security.NONE)
        app = click(open_with(monkeypatch, workbench, ana, account(smtp=smtp)), "test_run")
    run = workbench.runs.find_last(ana, Cell.TEST_MAIL)
    said = dialog_words(app)

    assert run is not None
    assert run.verdict is not None
    assert "El mensaje no ha salido" in said
    assert verdict_texts(run.cell, run.verdict)[1] in said
    for promised in ("ha aceptado", "Identificador", "Copia guardada", "Lo que esto no prueba"):
        assert promised not in said


def test_an_open_tab_waits_for_a_run_elsewhere_and_runs_once(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """A run of another process that says nothing is followed to its end in one go: no run of the page in between."""
    workbench.mail_account.save(ana, account(), version=0)
    elsewhere = ":".join([new_owner().partition(":")[0], "another-space", "1", "1", "abc"])
    fingerprint = workbench.mail_runs.fingerprint(ana, Cell.SMTP, workbench.mail_account.get(ana).draft)
    store, seen, follow = ProbeRunStore(workbench.database), list[bool](), workbench.runs.follow
    left = store.create(ana.user_id, Cell.SMTP, fingerprint, workbench.clock(), elsewhere)
    assert left is not None

    def follow_to_its_end(*given: Any, **named: Any) -> Iterator[Run]:
        for now in follow(*given, **named):
            seen.append(now.is_running)
            if now.is_running:
                store.finish(replace(left, finished=workbench.clock(), verdict=Verdict("interrupted")))
            yield now

    monkeypatch.setattr(workbench.runs, "follow", follow_to_its_end)
    app = open_with(monkeypatch, workbench, ana)

    assert not app.exception
    assert seen == [True, False]
    assert ":orange-badge[:material/stop_circle: Interrumpido]" in words(app)
    assert [warning.proto.title for warning in app.warning] == ["La prueba se interrumpió"]
    assert not app.error
