"""Nothing is computed while a transaction that writes is open: no hash, no cleaning, no decoding, no comparing."""

from __future__ import annotations

import base64
import functools
import importlib
import io
import json
import pkgutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import cgcore.workbench
from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import StorageBusy
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft
from cgcore.settings import Settings
from cgcore.templates.canonical import canonical_html
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from tests.servers.house import add_user

# What takes time, each by the module that has it.
HEAVY = {
    "cgcore.identity.passwords": ("PasswordHasher.make_hash", "PasswordHasher.check"),
    "cgcore.templates.canonical": ("canonical_html",),
    "cgcore.templates.parse": ("parse_html",),
    "cgcore.templates.sanitise": ("clean_html",),
    "cgcore.templates.images": ("open_image", "prepare", "decode"),
    "cgcore.templates.compile": ("compile_template",),
    "cgcore.templates.stored": ("detach", "detach_images"),
    "cgcore.portable.content": ("read_content",),
    "cgcore.portable.changes": ("compare",),
    "cgcore.workbench.company": ("prepare_logo",),
    "cgcore.workbench.portable_import": ("decide", "decide_for"),
}


@pytest.fixture
def entered(workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bool]]:
    """Which heavy function was entered, and for each time whether this thread had a transaction that writes."""
    seen: dict[str, list[bool]] = {}
    for found in pkgutil.walk_packages(cgcore.workbench.__path__, "cgcore.workbench."):
        # All of it now: what is imported later would keep what it is given here.
        importlib.import_module(found.name)

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def watch(*given: Any, **named: Any) -> Any:
            seen.setdefault(name, []).append(workbench_on_each.database.is_writing)
            return call(*given, **named)

        return watch

    canonical_html.cache_clear()
    for place, names in HEAVY.items():
        module = importlib.import_module(place)
        for name in names:
            owner, _, attribute = name.rpartition(".")
            holder = getattr(module, owner) if owner else module
            call = getattr(holder, attribute)
            monkeypatch.setattr(holder, attribute, wrapped := watched(f"{place}.{name}", call))
            if not owner:
                # Each module that has taken it by name has a reference of its own.
                for other in list(sys.modules.values()):
                    if getattr(other, "__name__", "").startswith("cgcore") and vars(other).get(attribute) is call:
                        monkeypatch.setattr(other, attribute, wrapped)
    return seen


def picture() -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), "#0b6bcb").save(buffer, "PNG")
    return buffer.getvalue()


def test_no_write_waits_for_a_computation(workbench_on_each: Workbench, entered: dict[str, list[bool]]) -> None:
    """By every use case that hashes, cleans, decodes or compares, saves and imports alike."""
    bench, password = workbench_on_each, Secret("una frase bastante larga")
    code = bench.identity.accounts.issue_first_use_code()
    ana = bench.identity.accounts.first_use(code, "ana", password).actor
    bench.users.add(ana, NewUser("luis", password))
    luis = bench.identity.sessions.log_in("luis", password).actor
    bench.identity.accounts.change_password(luis, password, Secret("otra frase bastante larga"))
    bench.identity.accounts.set_password(ana, "luis", password)
    bench.identity.accounts.reset_password(
        Secret(bench.identity.accounts.issue_reset_link(ana, "luis").reveal().rpartition("/")[2]), password
    )
    bench.identity.codes.issue_grant(ana, "issue_key", password)
    bench.company.save(ana, CompanyDraft("Tosma", "", "", picture()), 0)
    bench.mail_account.save(ana, MailAccountDraft(user="ana"), version=0)
    html = f'<p>Hola<img src="data:image/png;base64,{base64.b64encode(picture()).decode()}"></p>'
    bench.templates.save(ana, DocumentType.QUOTE, "Va {numero}", html, version=0)
    bench.templates.copy(ana, DocumentType.QUOTE, DocumentType.SALES_ORDER, version=0)
    bench.templates.restore(ana, DocumentType.QUOTE, version=1)
    bench.templates.save_signature(ana, html, version=0)
    file = json.loads(bench.portable.export_all(ana))
    file["company"]["logo"] = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
    file["users"][0]["templates"]["delivery_note"] = {"subject": "x", "body": html + html}
    data = json.dumps(file).encode()
    bench.portable.plan(ana, data)
    bench.portable.apply(ana, data)
    bench.portable.apply(ana, bench.portable.export_user(ana, "ana").encode(), "luis")

    assert {name for name, times in entered.items() if any(times)} == set()
    assert {f"{place}.{name}" for place, names in HEAVY.items() for name in names} - set(entered) <= {
        "cgcore.templates.compile.compile_template"
    }


def test_a_preview_and_a_dry_run_wait_for_no_writer(settings: Settings, workbench: Workbench) -> None:
    """While another process holds the lock: the preview is whole, an import says that it could not be stored."""
    ana = add_user(workbench, "ana", Role.ADMIN)
    file = json.loads(workbench.portable.export_all(ana))
    file["company"]["name"] = "Nuevo"
    data = json.dumps(file).encode()
    other = sqlite3.connect(Path(settings.data_dir) / "cloud-gestion.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    planned = workbench.portable.plan(ana, data)
    with pytest.raises(StorageBusy), workbench.database.session(patience_s=0.05):
        pass
    other.execute("ROLLBACK")
    other.close()

    assert [(change.field, change.after) for change in planned.changes] == [("name", "Nuevo")]
    assert workbench.portable.apply(ana, data) == planned


def test_what_was_saved_between_deciding_and_writing_is_not_lost(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import is decided anew over what stands there now."""
    ana = add_user(workbench_on_each, "ana", Role.ADMIN)
    luis = add_user(workbench_on_each, "luis")
    file = json.loads(workbench_on_each.portable.export_all(ana))
    file["users"][1]["full_name"] = "Importado"
    section = workbench_on_each.portable
    decide = section._decide
    tries: list[int] = []

    def save_meanwhile(*given: Any) -> Any:
        decision = decide(*given)
        if not tries:
            user = workbench_on_each.users.get(luis, "luis")
            workbench_on_each.users.save_own(luis, "Entre medias", "luis@tosma.es", user.version)
        tries.append(len(decision.changes))
        return decision

    monkeypatch.setattr(section, "_decide", save_meanwhile)
    section.apply(ana, json.dumps(file).encode())

    assert len(tries) == 2
    assert workbench_on_each.users.get(ana, "luis").full_name == "Importado"


def test_an_import_of_many_people_asks_few_questions(workbench: Workbench) -> None:
    """The number of statements of a dry run does not grow with the people that the file names."""
    from sqlalchemy import event

    ana = add_user(workbench, "ana", Role.ADMIN)
    counted: list[int] = []

    def count(*_given: Any) -> None:
        counted[-1] += 1

    event.listen(workbench.database.engine, "before_cursor_execute", count)
    for people in (1, 400):
        users = [{"name": "ana", "role": "admin"}, *({"name": f"u{number}"} for number in range(people))]
        data = json.dumps({"format": "cloud-gestion", "version": 1, "users": users}).encode()
        counted.append(0)
        plan = workbench.portable.plan(Actor(ana.user_id, "ana", role=Role.ADMIN), data)
        assert len(plan.notes) == people

    assert counted[0] == counted[1]
