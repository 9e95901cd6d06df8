"""The configuration as one file: round trip, preview, refusals that change nothing, never a secret."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import CloudGestionError, InvalidInput, NotAllowed, NotFound, StaleVersion
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.sender import SenderDraft
from cgcore.series.series import SeriesDraft, SeriesKind
from cgcore.series.starters import StarterLayout
from cgcore.settings import Settings
from cgcore.storage.tables import MailTemplateRow, SignatureRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.activity import detail_words
from tests.conftest import make_settings
from tests.servers.house import add_user

T = DocumentType
SECRET = "S3cr3t-ñ"
LOGO = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
CANARY = f'<p>Hola {{cliente}} <strong>ñ€</strong></p><p><img src="{LOGO}" alt="Logo"></p>'


@pytest.fixture
def admin(workbench_on_each: Workbench) -> Actor:
    """The administrator of a furnished house."""
    return furnish(workbench_on_each)


@pytest.fixture
def empty(settings: Settings) -> Any:
    """Another installation, with an administrator and nothing else."""
    other = open_workbench(make_settings(settings.data_dir.parent / "other"))
    yield other
    other.close()


def furnish(workbench: Workbench) -> Actor:
    """Fill every part that a file holds."""
    admin, luis = add_user(workbench, "ana", Role.ADMIN), add_user(workbench, "luis")
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), "#0b6bcb").save(buffer, "PNG")
    workbench.company.save(admin, CompanyDraft("Tosma «ñ»", "B12345674", "C/ Mayor\nMadrid", buffer.getvalue()), 0)
    workbench.series.create_starter_set(admin, StarterLayout.PER_DOCUMENT)
    workbench.series.add(admin, SeriesDraft("F2", "Otra", SeriesKind.SIMPLIFIED, False, {T.SALES_INVOICE: 21043}))
    workbench.series.add(admin, SeriesDraft("P2", "", next_numbers={T.QUOTE: 7}))
    workbench.series.defaults.save(luis, {T.QUOTE: "P2"}, None)
    leave_orphans(workbench, admin, add_user(workbench, "nora"))
    account = MailAccountDraft(
        user="luis@ejemplo.es",
        password=Secret(SECRET),
        smtp=ServerDraft("smtp.ejemplo.es", 587, Security.STARTTLS),
        imap=ServerDraft("imap.ejemplo.es", 993, Security.SSL),
        sent_folder="Enviados ñ",
        sender=SenderDraft("Luis de Tosma", "respuestas@ejemplo.es", True),
    )
    workbench.mail_account.save(luis, account, version=0)
    with workbench.database.session() as session:
        session.add(MailTemplateRow(user_id=luis.user_id, document_type="quote", subject="Va {numero}", body=CANARY))
        session.add(SignatureRow(user_id=luis.user_id, html="<p>Luis</p>"))
    return admin


def leave_orphans(workbench: Workbench, admin: Actor, nora: Actor) -> None:
    """Defaults of a series switched off, of one without the type and of one that is gone; an account that is closed."""
    kinds = {"OFF": T.SALES_ORDER, "LESS": T.QUOTE, "GONE": T.DELIVERY_NOTE}
    for code, kind in kinds.items():
        workbench.series.add(admin, SeriesDraft(code, next_numbers={kind: 1, T.WORK_REPORT: 1}))
        workbench.series.defaults.save(nora, {kind: code}, None)
    company = workbench.series.defaults.get_company(admin)
    workbench.series.defaults.save_company(admin, {T.SALES_ORDER: "OFF"}, company.version)
    workbench.series.save(admin, SeriesDraft("OFF", active=False, next_numbers={T.SALES_ORDER: 1}), 1)
    workbench.series.save(admin, SeriesDraft("LESS", next_numbers={T.WORK_REPORT: 1}), 1)
    workbench.series.delete(admin, "GONE", 1)
    workbench.users.disable(admin, "nora")


def exported(workbench: Workbench, actor: Actor, username: str = "") -> dict[str, Any]:
    """The file as JSON values."""
    section = workbench.portable
    return json.loads(section.export_user(actor, username) if username else section.export_all(actor))


def as_bytes(value: Any) -> bytes:
    """A file."""
    return json.dumps(value).encode()


def test_the_file_has_the_form_that_is_promised(workbench_on_each: Workbench, admin: Actor) -> None:
    """Every name of the format, objects as in the API, no version and no mark of a password."""
    value = exported(workbench_on_each, admin)
    ana, luis, nora = value["users"]

    assert list(value) == ["format", "version", "company", "series", "users"]
    assert (value["format"], value["version"]) == ("cloud-gestion", 1)
    assert set(value["company"]) == {"name", "tax_id", "address", "logo", "series"}
    assert value["company"]["logo"].startswith("data:image/png;base64,")
    assert set(value["series"][0]) == {"code", "name", "kind", "active", "document_types"}
    assert list(luis) == [
        "name", "full_name", "mail", "role", "mail_account", "templates", "signature", "series_defaults",
    ]  # fmt: skip
    assert luis["mail_account"]["smtp"] == {"host": "smtp.ejemplo.es", "port": 587, "security": "starttls"}
    assert luis["mail_account"]["sender"] == {
        "name": "Luis de Tosma",
        "reply_to": "respuestas@ejemplo.es",
        "copy_to_self": True,
    }
    assert luis["templates"] == {"quote": {"subject": "Va {numero}", "body": CANARY}}
    assert (luis["signature"], luis["series_defaults"]) == ({"html": "<p>Luis</p>"}, {"quote": "P2"})
    assert (ana["mail_account"], ana["templates"], ana["signature"]) == (None, {}, None)
    assert nora["active"] is False


def test_no_secret_leaves_in_a_file(workbench_on_each: Workbench, admin: Actor) -> None:
    """Neither the mail password nor anything named like one."""
    for text in (
        workbench_on_each.portable.export_all(admin),
        workbench_on_each.portable.export_user(admin, "luis"),
        workbench_on_each.portable.export_user(admin, "luis", only_templates=True),
    ):
        assert SECRET not in text
        assert "password" not in text
        assert "hash" not in text


def test_bringing_a_file_back_changes_nothing(workbench_on_each: Workbench, admin: Actor) -> None:
    """The plan is empty, and so is the difference afterwards."""
    data = workbench_on_each.portable.export_all(admin).encode()
    planned = workbench_on_each.portable.plan(admin, data)
    done = workbench_on_each.portable.apply(admin, data)

    assert planned.changes == done.changes == ()
    assert workbench_on_each.portable.export_all(admin).encode() == data


def test_a_round_trip_through_another_installation_is_the_identity(
    workbench_on_each: Workbench, admin: Actor, empty: Workbench
) -> None:
    """Export, import elsewhere, export there: byte for byte the same; people come without password."""
    data = workbench_on_each.portable.export_all(admin).encode()
    root = Actor(0, "", role=Role.ADMIN)
    planned = empty.portable.plan(root, data)
    untouched = exported(empty, root)
    done = empty.portable.apply(root, data, fingerprint=planned.fingerprint)

    assert untouched == {"format": "cloud-gestion", "version": 1, "series": [], "users": [], "company": {
        "name": "", "tax_id": "", "address": "", "logo": None, "series": {},
    }}  # fmt: skip
    assert planned == done
    assert empty.portable.export_all(root).encode() == data
    assert sum("Queda señalada" in note for note in done.notes) == 4
    assert not empty.users.get(root, "nora").active
    assert not empty.users.get(root, "luis").has_password
    assert empty.mail_account.get(Actor(empty.users.get(root, "luis").id, "luis")).password_set is False


def test_the_switch_of_the_daily_watch_goes_along(workbench_on_each: Workbench, admin: Actor, empty: Workbench) -> None:
    """Told where it is off; a file that brings an account without a word of it switches the watch on again."""
    luis, root = Actor(workbench_on_each.users.get(admin, "luis").id, "luis"), Actor(0, "", role=Role.ADMIN)
    on = workbench_on_each.portable.export_all(admin).encode()
    workbench_on_each.mail_watch.switch(luis, enabled=False)
    off = workbench_on_each.portable.export_all(admin).encode()
    assert [user.get("mail_watch") for user in json.loads(off)["users"]] == [None, False, None]

    empty.portable.apply(root, off)
    there = Actor(empty.users.get(root, "luis").id, "luis")
    assert not empty.mail_watch.get(there).enabled
    assert empty.portable.export_all(root).encode() == off
    assert [(one.field, one.before, one.after) for one in empty.portable.apply(root, on).changes] == [
        ("mail_watch", "false", "")
    ]
    assert empty.mail_watch.get(there).enabled
    assert not empty.portable.apply(root, on).changes


def test_the_search_for_bounces_goes_along(workbench_on_each: Workbench, admin: Actor, empty: Workbench) -> None:
    """Told where it is on; a file that brings an account without a word of it ends it."""
    luis, root = Actor(workbench_on_each.users.get(admin, "luis").id, "luis"), Actor(0, "", role=Role.ADMIN)
    off = workbench_on_each.portable.export_all(admin).encode()
    workbench_on_each.bounces.switch(luis, active=True)
    on = workbench_on_each.portable.export_all(admin).encode()
    assert [user.get("bounce_search") for user in json.loads(on)["users"]] == [None, True, None]

    empty.portable.apply(root, on)
    there = Actor(empty.users.get(root, "luis").id, "luis")
    assert empty.bounces.get(there).active
    noted = [entry for entry in empty.activity.list(root)["items"] if entry.action == "bounce_search_begun"]
    assert [entry.object for entry in noted] == ["luis"]
    assert empty.portable.export_all(root).encode() == on
    assert [(one.field, one.before, one.after) for one in empty.portable.apply(root, off).changes] == [
        ("bounce_search", "true", "")
    ]
    assert not empty.bounces.get(there).active
    assert not empty.portable.apply(root, off).changes


def test_a_preview_lists_each_change_and_makes_none(workbench_on_each: Workbench, admin: Actor) -> None:
    """Before and after of each value; the database, the activity log included, is as it was."""
    value = exported(workbench_on_each, admin)
    value["company"]["name"] = "Nuevo nombre"
    value["series"][0]["name"] = "Otro"
    value["users"][1]["series_defaults"] = {"quote": "P"}
    before = snapshot(workbench_on_each)
    plan = workbench_on_each.portable.plan(admin, as_bytes(value))
    code = value["series"][0]["code"]

    assert [(str(change.object), change.field, change.before, change.after) for change in plan.changes] == [
        ("empresa", "name", "Tosma «ñ»", "Nuevo nombre"),
        (f"serie {code}", "name", plan.changes[1].before, "Otro"),
        ("usuario luis", "series_defaults.quote", "P2", "P"),
    ]
    assert snapshot(workbench_on_each) == before


def test_a_plan_that_has_changed_since_is_not_carried_out(workbench_on_each: Workbench, admin: Actor) -> None:
    """What is imported is what was looked at."""
    value = exported(workbench_on_each, admin)
    value["company"]["name"] = "Nuevo nombre"
    plan = workbench_on_each.portable.plan(admin, as_bytes(value))
    workbench_on_each.company.save(admin, CompanyDraft("Entre medias"), workbench_on_each.company.get(admin).version)
    with pytest.raises(StaleVersion):
        workbench_on_each.portable.apply(admin, as_bytes(value), fingerprint=plan.fingerprint)

    assert workbench_on_each.company.get(admin).name == "Entre medias"


def test_a_mail_password_does_not_follow_to_another_server(workbench_on_each: Workbench, admin: Actor) -> None:
    """An imported server address drops the stored password, in the vault too, and the plan says so."""
    value = exported(workbench_on_each, admin)
    luis = Actor(workbench_on_each.users.get(admin, "luis").id, "luis")
    kept = workbench_on_each.portable.apply(admin, as_bytes(value))
    value["users"][1]["mail_account"]["smtp"]["host"] = "smtp.ladron.es"
    plan = workbench_on_each.portable.plan(admin, as_bytes(value))
    still_there = workbench_on_each.vault.get(f"mail/{luis.user_id}")
    workbench_on_each.portable.apply(admin, as_bytes(value))

    assert kept.notes == ()
    assert "«luis»" in plan.notes[0]
    assert still_there == Secret(SECRET)
    assert workbench_on_each.vault.get(f"mail/{luis.user_id}") is None
    assert workbench_on_each.mail_account.get(luis).password_set is False


def test_one_users_file_is_brought_to_another_user(workbench_on_each: Workbench, admin: Actor) -> None:
    """Mail account, templates, signature and defaults go over; name, role and everybody else stay."""
    file = workbench_on_each.portable.export_user(admin, "luis").encode()
    add_user(workbench_on_each, "eva")
    workbench_on_each.portable.apply(admin, file, "eva")
    luis, eva = (
        exported(workbench_on_each, admin, "luis")["users"][0],
        exported(workbench_on_each, admin, "eva")["users"][0],
    )

    assert {name: eva[name] for name in ("mail_account", "templates", "signature", "series_defaults")} == {
        name: luis[name] for name in ("mail_account", "templates", "signature", "series_defaults")
    }
    assert (eva["name"], eva["full_name"], eva["role"]) == ("eva", "Eva", "user")


def test_a_templates_file_touches_templates_only(workbench_on_each: Workbench, admin: Actor) -> None:
    """Series defaults and account of the one who takes them stay."""
    file = json.loads(workbench_on_each.portable.export_user(admin, "luis", only_templates=True))
    file["users"][0]["templates"]["quote"]["subject"] = "Otro asunto"
    before = exported(workbench_on_each, admin, "luis")["users"][0]
    workbench_on_each.portable.apply(admin, as_bytes(file), "luis")
    after = exported(workbench_on_each, admin, "luis")["users"][0]

    assert set(file["users"][0]) == {"name", "templates", "signature"}
    assert (file["company"], file["series"]) == (None, None)
    assert after.pop("templates")["quote"]["subject"] == "Otro asunto"
    assert before.pop("templates")
    assert after == before


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """An edit of the file: put ``value`` at ``path`` (dots, numbers index lists)."""

    def apply(file: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = file
        for part in parents:
            place = place[part]
        place[last] = value

    return apply


BROKEN = {
    "other format": (change("format", "otra"), "other_format"),
    "no format": (lambda file: file.pop("format"), "other_format"),
    "newer version": (change("version", 2), "newer_version"),
    "text version": (change("version", "1"), "wrong_version"),
    "true version": (change("version", True), "wrong_version"),
    "unknown part": (change("plugins", []), "unknown_field"),
    "a password": (change("users.1.mail_account.password", "x"), "secret_field"),
    "a hash": (change("users.1.password_hash", "x"), "secret_field"),
    "company is a list": (change("company", []), "wrong_type"),
    "users is an object": (change("users", {}), "wrong_type"),
    "user is a text": (change("users.1", "luis"), "wrong_type"),
    "no user name": (change("users.1.name", None), "missing_field"),
    "empty user name": (change("users.1.name", ""), "refused"),
    "user twice": (change("users.1.name", "ANA"), "repeated_user"),
    "unknown role": (change("users.1.role", "root"), "wrong_value"),
    "nobody administers": (change("users.0.role", "user"), "last_admin"),
    "mail without at": (change("users.1.mail", "nada"), "refused"),
    "bidirectional name": (change("users.1.full_name", "Luis\u202e"), "unprintable"),
    "wrong tax number": (change("company.tax_id", "B12345675"), "refused"),
    "svg logo": (change("company.logo", "data:image/svg+xml;base64,PHN2Zy8+"), "wrong_value"),
    "remote logo": (change("company.logo", "https://malo.example/l.png"), "wrong_value"),
    "broken logo": (change("company.logo", "data:image/png;base64,AAAA"), "refused"),
    "series twice": (change("series.1.code", "ac"), "repeated_series"),
    "series code too long": (change("series.0.code", "X" * 11), "refused"),
    "series code in other case": (change("series.0.code", "ac"), "other_case"),
    "unknown kind": (change("series.0.kind", "rara"), "wrong_value"),
    "number zero": (change("series.0.document_types", {"quote": 0}), "refused"),
    "number as text": (change("series.0.document_types", {"quote": "1"}), "wrong_value"),
    "number true": (change("series.0.document_types", {"quote": True}), "wrong_value"),
    "huge number": (change("series.0.document_types", {"quote": 10**40}), "refused"),
    "unknown type": (change("series.0.document_types", {"invoice": 1}), "unknown_field"),
    "rectificativa for invoices": (change("users.1.series_defaults", {"sales_invoice": "R"}), "refused"),
    "company default forbidden": (change("company.series.sales_invoice", "R"), "refused"),
    "default of an unknown type": (change("users.1.series_defaults", {"x": "P"}), "unknown_field"),
    "default as number": (change("users.1.series_defaults", {"quote": 1}), "wrong_value"),
    "template of a type without one": (change("users.1.templates.purchase_invoice", {}), "unknown_field"),
    "subject with a line break": (change("users.1.templates.quote.subject", "a\nBcc: x"), "unprintable"),
    "account port as text": (change("users.1.mail_account.smtp.port", "x"), "wrong_value"),
    "account security unknown": (change("users.1.mail_account.smtp.security", "tls1.0"), "wrong_value"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_or_hostile_file_is_refused_whole(workbench: Workbench, name: str) -> None:
    """The message names the place, nothing is changed: not one row, not one line of the activity log."""
    edit, code = BROKEN[name]
    admin = furnish(workbench)
    file = exported(workbench, admin)
    # Something good before and behind the fault: it must not be stored either.
    file["company"]["address"] = "Otra"
    file["users"].append({"name": "zoe"})
    edit(file)
    before = snapshot(workbench)
    for use_case in (workbench.portable.plan, workbench.portable.apply):
        with pytest.raises(InvalidInput) as caught:
            use_case(admin, as_bytes(file))

        assert [problem.code for problem in caught.value.problems] == [code]
        assert "{" not in caught.value.problems[0].message.replace("{}", "")
    assert snapshot(workbench) == before


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"\x00\xff\xfe", "not_text"),
        (b"{", "not_json"),
        (b"[]", "other_format"),
        (b"null", "other_format"),
        (b'"cloud-gestion"', "other_format"),
        (b"[" * 200_000, "too_deep"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "too_deep"),
        (b'{"format":"cloud-gestion","format":"cloud-gestion","version":1}', "duplicate_key"),
        (b'{"format":"cloud-gestion","version":NaN}', "wrong_value"),
        (b'{"format":"cloud-gestion","version":' + b"9" * 10_000 + b"}", "not_json"),
        (b"PK\x03\x04" + b"\x00" * 50, "not_json"),
        (b" " * 50_000_001, "too_big"),
    ],
)
def test_what_is_no_configuration_is_told_so(workbench: Workbench, data: bytes, code: str) -> None:
    """Clear words for every kind of wrong file, and no fault of ours."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    with pytest.raises(InvalidInput) as caught:
        workbench.portable.apply(admin, data)

    assert [problem.code for problem in caught.value.problems] == [code]


def test_markup_of_a_file_is_cleaned_like_a_save(workbench: Workbench) -> None:
    """A script or a handler in an imported body or signature does not reach the database."""
    admin = furnish(workbench)
    hostile = '<p onclick="x()">Hola<script>alert(1)</script><img src="javascript:x"></p>'
    file = exported(workbench, admin, "luis")
    file["users"][0]["templates"]["quote"]["body"] = hostile
    file["users"][0]["signature"]["html"] = hostile
    workbench.portable.apply(admin, as_bytes(file), "luis")
    stored = exported(workbench, admin, "luis")["users"][0]

    for text in (stored["templates"]["quote"]["body"], stored["signature"]["html"]):
        assert "Hola" in text
        assert not any(word in text for word in ("script", "onclick", "alert"))


def test_a_user_moves_only_their_own_part(workbench_on_each: Workbench, admin: Actor) -> None:
    """Own export and import work; all, another's and the house's are refused."""
    section, luis = workbench_on_each.portable, Actor(workbench_on_each.users.get(admin, "luis").id, "luis")
    own = section.export_user(luis, "luis").encode()
    everything = section.export_all(admin).encode()
    done = section.apply(luis, own, "luis")
    for refused, error in (
        (lambda: section.export_all(luis), NotAllowed),
        (lambda: section.export_user(luis, "ana"), NotFound),
        (lambda: section.export_user(luis, "nadie"), NotFound),
        (lambda: section.plan(luis, own), NotAllowed),
        (lambda: section.apply(luis, everything), NotAllowed),
        (lambda: section.apply(luis, own, "ana"), NotFound),
    ):
        with pytest.raises(error):
            refused()

    assert done.changes == ()
    assert issubclass(NotFound, CloudGestionError)


def snapshot(workbench: Workbench) -> list[str]:
    """Every row of every table but the log-ins' clock, as text."""
    from sqlalchemy import text

    from cgcore.storage.tables import metadata

    with workbench.database.read() as session:
        return [
            f"{table.name}: {row}"
            for table in metadata.sorted_tables
            for row in sorted(map(str, session.connection().execute(text(f'SELECT * FROM "{table.name}"'))))  # noqa: S608
        ]


def test_an_import_is_in_the_trail(workbench_on_each: Workbench, admin: Actor) -> None:
    """Who brought it, and what it touched."""
    file = exported(workbench_on_each, admin)
    file["company"]["name"] = "Nuevo"
    workbench_on_each.portable.apply(admin, as_bytes(file))
    last, *_ = workbench_on_each.activity.list(admin)["items"]

    assert (last.action, last.actor_name, last.detail) == ("configuration_imported", "ana", "")
    assert [change.code for change in last.changes] == ["portable.of_company"]
    assert detail_words(last) == "empresa"
