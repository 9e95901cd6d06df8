"""The templates section: versions, history, images, cleaning, and messages made of templates."""

from __future__ import annotations

import base64
import email
import imaplib
import io
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy

import pytest
from PIL import Image
from sqlmodel import select

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import InvalidInput, NotFound, StaleVersion
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft
from cgcore.runs import Cell
from cgcore.storage.tables import MailTemplateRow, TemplateImageRow, TemplateVersionRow, UserRow
from cgcore.templates.compile import TemplateSource
from cgcore.templates.render import RenderRequest
from cgcore.templates.stored import default_source
from cgcore.templates.variables import list_samples
from cgcore.workbench import Workbench
from tests.servers.identity import set_clock
from tests.servers.messages import comparable

ROOT = Actor(0, "", role=Role.ADMIN)
QUOTE, INVOICE = DocumentType.QUOTE, DocumentType.SALES_INVOICE


def add_user(workbench: Workbench, name: str, full_name: str = "", mail: str = "") -> Actor:
    with workbench.database.session() as session:
        row = UserRow(username=name, username_key=name, full_name=full_name, mail=mail)
        session.add(row)
        session.flush()
        return Actor(row.id or 0, name, full_name, mail)


def logo(colour: str = "red") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def test_a_template_is_the_default_until_saved_and_belongs_to_its_user(workbench_on_each: Workbench) -> None:
    """Version 0 is the built-in one; a save of one type or user changes no other."""
    section = workbench_on_each.templates
    ana, luis = add_user(workbench_on_each, "ana"), add_user(workbench_on_each, "luis")
    saved = section.save(ana, QUOTE, "S", "<p>b</p>", version=0)

    assert (saved.version, saved.is_default) == (1, False)
    assert section.get(ana, QUOTE) == saved
    assert section.get(ana, INVOICE).version == 0
    assert section.get(luis, QUOTE).is_default
    assert [entry.action for entry in workbench_on_each.activity.list(ana)["items"]] == ["template_saved"]


def test_a_stale_save_is_refused_with_what_stands_there(workbench_on_each: Workbench) -> None:
    """Of two who read one version the second is told, and nothing is lost."""
    section = workbench_on_each.templates
    ana = add_user(workbench_on_each, "ana")
    section.save(ana, QUOTE, "uno", "<p>uno</p>", version=0)

    with pytest.raises(StaleVersion) as refused:
        section.save(ana, QUOTE, "dos", "<p>dos</p>", version=0)
    assert refused.value.stored == {"subject": "uno", "body": "<p>uno</p>"}
    assert section.get(ana, QUOTE).subject == "uno"


def test_late_characters_make_no_second_version_and_no_second_line(workbench: Workbench) -> None:
    """What arrives after the click belongs to that click."""
    section = workbench.templates
    ana = add_user(workbench, "ana")
    first = section.save(ana, QUOTE, "S", "<p>hol</p>", version=0)
    section.save(ana, QUOTE, "S", "<p>hola</p>", version=first.version, amends=True)

    assert [version.body for version in section.list_versions(ana, QUOTE)] == ["<p>hola</p>"]
    assert len(workbench.activity.list(ana)["items"]) == 1
    assert section.get(ana, QUOTE).body == "<p>hola</p>"


def test_the_history_keeps_an_image_once_and_gives_it_back(workbench_on_each: Workbench) -> None:
    """Ten saves of a template with a logo store the logo once in the history."""
    section = workbench_on_each.templates
    ana = add_user(workbench_on_each, "ana")
    body = f'<p>{{i}}<img src="{logo()}" alt="Logo"></p>'
    for index in range(40):
        section.save(ana, QUOTE, "S", body.replace("{i}", str(index)), version=index)

    with workbench_on_each.database.read() as session:
        assert len(session.exec(select(TemplateImageRow)).all()) == 1
        assert all("base64" not in row.body for row in session.exec(select(TemplateVersionRow)).all())
    versions = section.list_versions(ana, QUOTE)
    assert versions[0].body == section.get(ana, QUOTE).body == body.replace("{i}", "39")
    assert len(versions) == 30


def test_version_numbers_go_on_after_a_row_was_deleted(workbench_on_each: Workbench) -> None:
    """A version that somebody still holds does not come back with another text."""
    section = workbench_on_each.templates
    ana = add_user(workbench_on_each, "ana")
    section.save(ana, QUOTE, "uno", "", version=0)
    with workbench_on_each.database.session() as session:
        session.delete(session.exec(select(MailTemplateRow)).one())

    assert section.save(ana, QUOTE, "dos", "", version=0).version == 2


def test_restore_and_copy_are_saves(workbench_on_each: Workbench) -> None:
    """Both leave the state before in the history."""
    section = workbench_on_each.templates
    ana = add_user(workbench_on_each, "ana")
    section.save(ana, INVOICE, "F", "<p>f</p>", version=0)
    copied = section.copy(ana, INVOICE, QUOTE, version=0)
    restored = section.restore(ana, QUOTE, version=copied.version)

    assert (copied.subject, copied.body) == ("F", "<p>f</p>")
    assert restored.is_default
    assert [version.subject for version in section.list_versions(ana, QUOTE)] == [default_source(QUOTE).subject, "F"]


def test_markup_is_cleaned_on_the_way_in_and_on_the_way_out(workbench: Workbench) -> None:
    """A row changed behind our back is no way around the sanitiser."""
    section = workbench.templates
    ana = add_user(workbench, "ana")
    saved = section.save(ana, QUOTE, "a\r\nBcc: x", "<p onclick=x>a<script>b</script></p>", version=0)
    with workbench.database.session() as session:
        row = session.exec(select(MailTemplateRow)).one()
        row.body = "<p>x<img src=x onerror=alert(1)></p>"
        session.add(row)

    assert (saved.subject, saved.body) == ("a Bcc: x", "<p>a</p>")
    assert "onerror" not in section.get(ana, QUOTE).body
    assert "onerror" not in section.render(ana, QUOTE, RenderRequest()).html


def test_a_part_left_out_is_the_stored_one_and_one_given_empty_is_empty(workbench: Workbench) -> None:
    """Rendering for a user."""
    section = workbench.templates
    ana = add_user(workbench, "ana")
    section.save(ana, QUOTE, "S {serie}", "<p>cuerpo</p>", version=0)
    section.save_signature(ana, "<p>firma</p>", version=0)

    assert section.render_for_user("ANA", QUOTE, RenderRequest()).text == "cuerpo\n\n-- \nfirma\n"
    assert section.render_for_user("ana", QUOTE, RenderRequest(signature="")).text == "cuerpo\n"
    assert section.render_for_user("ana", INVOICE, RenderRequest(body="<p>x</p>")).text == "x\n\n-- \nfirma\n"
    with pytest.raises(NotFound):
        section.render_for_user("nadie", QUOTE, RenderRequest())


def test_the_preview_is_the_whole_message(workbench: Workbench) -> None:
    """mixed(alternative(plain, related(html, image)), pdf of an ASCII name); every cid resolves, nothing is embedded."""
    ana = add_user(workbench, "ana", "Ana Tosma", "ana@electricidadtosma.es")
    source = TemplateSource("Aviso {cliente}", f'<p>Hola<img src="{logo()}" alt="L"></p>', "<p>{usuario}</p>")
    sample = {"cliente": "Pérez & Hijos\r\nBcc: x@y.es", "serie": "Ñ/1", "numero": ""}
    moment = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    preview = workbench.template_mail.preview(ana, INVOICE, source, sample, date=moment)
    parsed = email.message_from_bytes(preview.raw, policy=policy.default)

    assert [part.get_content_type() for part in parsed.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    assert parsed["Subject"] == "Aviso Pérez & Hijos Bcc: x@y.es"
    assert parsed["Bcc"] is None
    assert [part.get_filename() for part in parsed.iter_attachments()] == ["Factura_N-1.pdf"]
    assert parsed["Date"].datetime == moment
    assert parsed["Message-ID"].endswith("@electricidadtosma.es>")
    html, image = [part for part in parsed.walk() if part.get_content_type() in ("text/html", "image/png")]
    assert f'cid:{image["Content-ID"][1:-1]}"' in html.get_content()
    assert b"data:image" not in preview.raw
    assert html.get_content().strip() == preview.rendered.html
    plain = parsed.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == "Hola[L]\n\n-- \nAna Tosma\n"


WRONG = "{nunero}"


@pytest.mark.parametrize(
    ("source", "field"),
    [
        (TemplateSource(WRONG, "<p>x</p>", ""), "subject"),
        (TemplateSource("x", f"<p>{WRONG}</p>", ""), "body"),
        (TemplateSource("x", "<p>x</p>", f"<p>{WRONG}</p>"), "signature"),
        (TemplateSource("x", f'<p><a href="https://x.es/{WRONG}">x</a></p>', ""), "body"),
        (TemplateSource("x", f'<p><img src="{logo()}" alt="{WRONG}"></p>', ""), "body"),
    ],
    ids=["subject", "body", "signature", "link", "alternative text"],
)
def test_a_message_with_an_unresolved_variable_is_never_sent(
    workbench: Workbench, source: TemplateSource, field: str
) -> None:
    """The refusal names it, and nothing leaves."""
    ana = add_user(workbench, "ana", mail="ana@x.es")
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)

    with pytest.raises(InvalidInput) as refused:
        workbench.template_mail.send_test(ana, QUOTE, source, {})
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [(field, "unknown_variable")]
    assert WRONG in refused.value.problems[0].message
    assert workbench.runs.find_last(ana, Cell.TEMPLATE_MAIL) is None
    assert workbench.sandbox.list_messages(ana) == []


def test_resumen_tells_defaults_own_templates_and_errors(workbench: Workbench) -> None:
    """One line, with the moment of the last change; the one signature is no template, and is said."""
    section = workbench.templates
    ana = add_user(workbench, "ana")
    start = workbench.clock()
    signed, written, broken = (start + timedelta(days=days) for days in (1, 2, 3))

    def line() -> tuple[str, object, datetime | None]:
        found = section.overview(ana)
        return found.code, found.values["count"], found.at

    assert line() == ("templates_default", 0, None)
    set_clock(workbench, lambda: signed)
    section.save_signature(ana, "<p>Ana</p>", version=0)
    assert line() == ("templates_signature", 0, signed)
    set_clock(workbench, lambda: written)
    section.save(ana, QUOTE, "S", "<p>x</p>", version=0)
    assert line() == ("templates_own", 1, written)
    set_clock(workbench, lambda: broken)
    section.save(ana, QUOTE, "{nunero}", "<p>x</p>", version=1)
    assert line() == ("templates_errors", 1, broken)


def test_what_is_read_back_by_imap_is_what_was_previewed(workbench: Workbench) -> None:
    """Editor, stored, sent, read: the same bytes but for Date and Message-ID, and what servers add on top."""
    ana = add_user(workbench, "ana", "Ana Tosma", "ana@electricidadtosma.es")
    account = workbench.sandbox.use_for(ana)
    workbench.mail_account.save(ana, account, version=0)
    workbench.company.save(ROOT, CompanyDraft("Electricidad Tosma, SL"), 0)
    ana = replace(ana, mail="ana.tosma@ejemplo.es")  # not the address of the account
    body = f'<p>Señor {{cliente}}: <strong>{{numero}}</strong> — 1.234,56 €</p><ol><li>uno</li></ol><p><img src="{logo()}" alt="L"></p>'
    section = workbench.templates
    section.save(ana, INVOICE, "Factura {numero} para {cliente}", body, version=0)
    source = section.source(ana, INVOICE)
    sample = {"cliente": "Pérez & Hijos <Ñ>", "numero": "0042"}
    preview = workbench.template_mail.preview(ana, INVOICE, source, sample)
    run = workbench.template_mail.send_test(ana, INVOICE, source, sample)
    *_, ended = workbench.runs.follow(ana, run)
    received, copy = (read_by_imap(workbench, account, folder) for folder in ("INBOX", account.sent_folder))

    assert ended.verdict is not None
    assert ended.verdict.key == "ok"
    assert comparable(received) == comparable(copy) == comparable(preview.raw)
    assert (ended.result or {})["recipient"] == ana.mail
    assert email.message_from_bytes(received, policy=policy.default)["To"].addresses[0].addr_spec == ana.mail


NAMED = TemplateSource("De {empresa}", "<p>Hola</p>", "<p>{usuario} · {EMPRESA}</p>")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("company", "full_name", "missing"),
    [("", "", ["empresa", "usuario"]), ("Tosma", "", ["usuario"]), (" ", "Ana", ["empresa"])],
    ids=["neither", "no name", "no company"],
)
def test_no_invented_name_leaves_in_a_mail(
    workbench: Workbench, role: Role, company: str, full_name: str, missing: list[str]
) -> None:
    """The preview shows a sample and says so; the sending is refused with what is missing and who can mend it."""
    ana = replace(add_user(workbench, "ana", full_name, "ana@x.es"), role=role)
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)
    if company.strip():
        workbench.company.save(ROOT, CompanyDraft(company), 0)

    preview = workbench.template_mail.preview(ana, INVOICE, NAMED, {})
    with pytest.raises(InvalidInput) as refused:
        workbench.template_mail.send_test(ana, INVOICE, NAMED, {})
    told = " ".join(problem.message for problem in refused.value.problems)

    assert [problem.field for problem in refused.value.problems] == missing == list(preview.invented)
    assert ("Falta el nombre de tu empresa" in told) is ("empresa" in missing)
    assert ("quien administra" in told) is ("empresa" in missing and role is Role.USER)
    assert preview.message["From"].addresses[0].display_name in (company.strip(), full_name)
    assert workbench.runs.find_last(ana, Cell.TEMPLATE_MAIL) is None
    assert workbench.sandbox.list_messages(ana) == []


def test_a_message_names_the_company_whatever_the_sample_document(workbench: Workbench) -> None:
    """The sample of hard cases brings a company of its own: it is never the one that a mail is from."""
    ana = add_user(workbench, "ana", "Ana Gil", "ana@x.es")
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)
    workbench.company.save(ROOT, CompanyDraft("Tosma"), 0)
    samples = [sample for sample in list_samples() if "empresa" in sample.values]
    for sample in samples:
        *_, ended = workbench.runs.follow(ana, workbench.template_mail.send_test(ana, INVOICE, NAMED, sample.values))
        assert not ended.failed
    messages = workbench.sandbox.list_messages(ana)

    assert samples
    assert len(messages) == len(samples)
    for row in messages:
        raw = workbench.sandbox.get_message(ana, row.id).raw
        parsed = email.message_from_bytes(raw, policy=policy.default)
        assert parsed["Subject"] == "De Tosma"
        assert parsed["From"].addresses[0].display_name == "Tosma"
        assert b"Zaragoza" not in raw


def test_a_message_that_names_nobody_needs_no_names(workbench: Workbench) -> None:
    """A template without company and user can be tried on the first day; it is from the address alone."""
    ana = add_user(workbench, "ana", mail="ana@x.es")
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)
    source = TemplateSource("Aviso", "<p>Hola</p>", "")

    *_, ended = workbench.runs.follow(ana, workbench.template_mail.send_test(ana, INVOICE, source, {}))
    sender = workbench.template_mail.preview(ana, INVOICE, source, {}).message["From"].addresses[0]

    assert not ended.failed
    assert sender.display_name == ""


def read_by_imap(workbench: Workbench, account: MailAccountDraft, folder: str) -> bytes:
    """Return the first message of a folder of the test mailbox, as a mail program reads it."""
    context = ssl.create_default_context(cafile=workbench.sandbox.probe_targets()[0].ca_file)
    assert account.password is not None
    with imaplib.IMAP4_SSL(account.imap.host, int(account.imap.port), ssl_context=context, timeout=10) as client:
        client.login(account.user, account.password.reveal())
        client.select(f'"{folder}"', readonly=True)
        (found, *_) = client.fetch("1", "(BODY.PEEK[])")[1]
    assert isinstance(found, tuple)
    return found[1]
