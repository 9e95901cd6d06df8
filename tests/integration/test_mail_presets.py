"""The company's mail servers: kept out of a proven account, found first by whoever has an address of the domain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cgcore.activity import ActivityFilters
from cgcore.cli import main
from cgcore.errors import InvalidInput, NotAllowed, NotFound
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AuthKind, MailAccountDraft, Security, ServerDraft
from cgcore.mail.preset import MailPreset, choose_preset, find_preset_problem, preset_of
from cgcore.portable.reading import Refused
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.storage.mail_presets import put_preset
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.runs import Job
from tests.conftest import make_settings
from tests.servers.house import add_user

SMTP = ServerDraft("mail.hoster.test", 465, Security.SSL)
IMAP = ServerDraft("mail.hoster.test", 993, Security.SSL)
ACCOUNT = MailAccountDraft("ana@tosma.com.es", Secret("Kx9"), SMTP, IMAP, sent_folder="Sent")
PRESET = MailPreset("tosma.com.es", SMTP, IMAP)


@pytest.fixture
def ana(workbench_on_each: Workbench) -> Actor:
    """An administrator with a stored account."""
    actor = replace(add_user(workbench_on_each, "ana", Role.ADMIN), mail="ana@tosma.com.es")
    workbench_on_each.mail_account.save(actor, ACCOUNT, version=0)
    return actor


def prove(workbench: Workbench, actor: Actor, *cells: Cell, key: str = "ok") -> None:
    """Let the tests of the stored account come to ``key``."""
    draft = workbench.mail_account.get(actor).draft
    status = Status.OK if key == "ok" else Status.ERROR
    for cell in cells:
        job = Job(lambda: iter((Step("smtp", "auth", status),)), lambda _steps, ms: Verdict(key, "auth", ms))
        mark = workbench.mail_runs.fingerprint(actor, cell, draft)
        list(workbench.runs.follow(actor, workbench.runs.start(actor, cell, mark, job)))


def kept(workbench: Workbench, actor: Actor) -> MailPreset:
    """Prove the account and keep its servers."""
    prove(workbench, actor, Cell.SMTP, Cell.IMAP)
    return workbench.mail_presets.keep(actor)


def test_a_proven_account_becomes_the_company_s_in_one_act(workbench_on_each: Workbench, ana: Actor) -> None:
    """Kept under its domain, told in the activity log, and never a secret in it."""
    assert kept(workbench_on_each, ana) == PRESET

    assert workbench_on_each.mail_presets.list(ana) == [PRESET]
    line = workbench_on_each.activity.list(ana, filters=ActivityFilters(action="mail_preset_saved"))["items"][0]
    assert (line.object, line.detail) == ("tosma.com.es", "mail.hoster.test mail.hoster.test")
    assert "Kx9" not in repr(line)


@pytest.mark.parametrize("cells", [(), (Cell.SMTP,), (Cell.IMAP,)])
def test_what_was_not_proven_is_not_kept(workbench_on_each: Workbench, ana: Actor, cells: tuple[Cell, ...]) -> None:
    """Both servers, and just as they are stored now."""
    prove(workbench_on_each, ana, *cells)

    assert workbench_on_each.mail_presets.find_problem(ana) == "preset_unproven"
    with pytest.raises(InvalidInput):
        workbench_on_each.mail_presets.keep(ana)
    assert workbench_on_each.mail_presets.list(ana) == []


def test_an_account_that_was_changed_or_failed_since_is_not_proven(workbench_on_each: Workbench, ana: Actor) -> None:
    """The test was of other servers; or it says no by now."""
    prove(workbench_on_each, ana, Cell.SMTP, Cell.IMAP)
    moved = replace(ACCOUNT, smtp=replace(SMTP, host="smtp.hoster.test"), password=Secret("Kx9"))
    workbench_on_each.mail_account.save(ana, moved, version=1)
    assert workbench_on_each.mail_presets.find_problem(ana) == "preset_unproven"

    prove(workbench_on_each, ana, Cell.SMTP, Cell.IMAP)
    assert workbench_on_each.mail_presets.find_problem(ana) == ""
    prove(workbench_on_each, ana, Cell.IMAP, key="bad_credentials")
    assert workbench_on_each.mail_presets.find_problem(ana) == "preset_unproven"


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        (replace(ACCOUNT, user="ana@gmail.com"), "preset_public_domain"),
        (replace(ACCOUNT, user="apikey"), "preset_no_domain"),
        (replace(ACCOUNT, smtp=replace(SMTP, security=Security.NONE)), "preset_unsafe"),
        (replace(ACCOUNT, imap=replace(IMAP, security=Security.SSL_PINNED, pin="ab" * 32)), "preset_unsafe"),
        (replace(ACCOUNT, imap=ServerDraft()), "preset_unsafe"),
        (replace(ACCOUNT, auth=AuthKind.GOOGLE), "preset_by_provider"),
        (ACCOUNT, ""),
    ],
)
def test_an_account_that_cannot_stand_for_others_is_told_apart(draft: MailAccountDraft, code: str) -> None:
    """A public provider, no domain, no valid encryption, no password."""
    assert find_preset_problem(draft, "ana@otra.example") == code


def test_a_user_name_without_a_domain_is_the_first_part_of_ones_own_address() -> None:
    """Where it is; then that is the form of every user name of the domain."""
    draft = replace(ACCOUNT, user="ana")

    assert find_preset_problem(draft, "ana@tosma.com.es") == ""
    assert preset_of(draft, "ana@tosma.com.es") == replace(PRESET, username_form="local_part")
    assert find_preset_problem(draft, "ana.gil@tosma.com.es") == "preset_no_domain"


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        ("tosma.com.es", "tosma.com.es"),
        ("ventas.tosma.com.es", "tosma.com.es"),
        ("taller.tosma.com.es", "taller.tosma.com.es"),
        ("otra.com.es", None),
        ("com.es", None),
        ("tosma.es", None),
        ("nottosma.com.es", None),
    ],
)
def test_whose_a_domain_is_is_told_by_the_public_suffix_list(domain: str, found: str | None) -> None:
    """A name below the same registered one is the company's too; the neighbour under com.es is not."""
    presets = [replace(PRESET, domain="taller.tosma.com.es"), PRESET]
    preset = choose_preset(presets, domain)

    assert (preset.domain if preset else None) == found


def test_only_an_administrator_keeps_lists_and_removes(workbench_on_each: Workbench, ana: Actor) -> None:
    """Another user finds what is kept, and changes nothing."""
    luis = replace(add_user(workbench_on_each, "luis"), mail="luis@tosma.com.es")
    section = workbench_on_each.mail_presets
    kept(workbench_on_each, ana)
    for forbidden in (section.keep, section.list, section.find_problem, lambda who: section.remove(who, PRESET.domain)):
        with pytest.raises(NotAllowed):
            forbidden(luis)

    assert section.find(luis, "otro@tosma.com.es") == PRESET
    assert section.find(luis, "otro@otra.com.es") is None
    section.remove(ana, "tosma.com.es")
    lines = workbench_on_each.activity.list(ana, filters=ActivityFilters(action="mail_preset_removed"))["items"]
    assert [line.object for line in lines] == ["tosma.com.es"]
    assert section.find(luis, "otro@tosma.com.es") is None
    with pytest.raises(NotFound):
        section.remove(ana, "tosma.com.es")


def test_a_new_account_of_the_domain_begins_with_its_own_address(workbench_on_each: Workbench, ana: Actor) -> None:
    """So that the password alone is missing; an account that was saved, or another domain, stays as it is."""
    luis = replace(add_user(workbench_on_each, "luis"), mail="luis@tosma.com.es")
    eva = replace(add_user(workbench_on_each, "eva"), mail="eva@otra.com.es")
    kept(workbench_on_each, ana)

    def proposed(actor: Actor) -> str:
        return workbench_on_each.mail_presets.propose(actor, workbench_on_each.mail_account.get(actor)).draft.user

    assert (proposed(luis), proposed(eva)) == ("luis@tosma.com.es", "")
    workbench_on_each.mail_account.save(luis, MailAccountDraft(smtp=SMTP), version=0)
    assert proposed(luis) == ""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Workbench]:
    """Another installation."""
    found = open_workbench(make_settings(tmp_path / "other"))
    yield found
    found.close()


def test_the_company_s_servers_travel_in_the_file(workbench_on_each: Workbench, ana: Actor, other: Workbench) -> None:
    """As a part of the company; a file without them leaves them alone, an empty part takes them away."""
    kept(workbench_on_each, ana)
    text = workbench_on_each.portable.export_all(ana)
    zoe = add_user(other, "zoe", Role.ADMIN)
    other.portable.apply(zoe, text.encode())
    assert other.mail_presets.list(zoe) == [PRESET]
    assert other.portable.plan(zoe, text.encode()).changes == ()

    value = json.loads(text)
    assert value["company"].pop("mail_servers") == {"tosma.com.es": PRESET.as_json()}
    other.portable.apply(zoe, json.dumps(value).encode())
    assert other.mail_presets.list(zoe) == [PRESET]
    value["company"]["mail_servers"] = {}
    other.portable.apply(zoe, json.dumps(value).encode())
    assert other.mail_presets.list(zoe) == []


@pytest.mark.parametrize(
    ("domain", "change"),
    [
        ("tosma.com.es", {"smtp": {"host": "mail.hoster.test", "port": 25, "security": "none"}}),
        ("tosma.com.es", {"smtp": {"host": "mail.hoster.test", "port": "465", "security": "ssl"}}),
        ("tosma.com.es", {"imap": {"host": "no es un nombre", "port": 993, "security": "ssl"}}),
        ("tosma.com.es", {"imap": {"host": "", "port": 993, "security": "ssl"}}),
        ("tosma.com.es", {"username_form": "cualquiera"}),
        ("tosma.com.es", {"password": "x"}),
        ("TOSMA.com.es", {}),
        ("tosma", {}),
    ],
)
def test_servers_of_a_file_are_judged_like_typed_ones(
    workbench: Workbench, domain: str, change: dict[str, Any]
) -> None:
    """No plain text, no name that is none, nothing unknown."""
    ana = add_user(workbench, "ana", Role.ADMIN)
    preset = {**PRESET.as_json(), **change}
    file = {"format": "cloud-gestion", "version": 1, "company": {"mail_servers": {domain: preset}}}

    with pytest.raises(Refused, match=r"company\.mail_servers"):
        workbench.portable.apply(ana, json.dumps(file).encode())
    assert workbench.mail_presets.list(ana) == []


def test_discovery_of_a_person_knows_the_company_s_servers(workbench: Workbench) -> None:
    """They come first among the sources; whether they answer is another matter."""
    luis = add_user(workbench, "luis")
    closed = ServerDraft("127.0.0.1", 1, Security.SSL)
    with workbench.database.session() as session:
        put_preset(session, MailPreset("tosma.invalid", closed, closed), workbench.clock())

    first = workbench.discovery.discover(luis, "luis@ventas.tosma.invalid").sources[0]
    assert (first.source, first.status, first.detail) == ("company", "found", "tosma.invalid")
    assert workbench.discovery.discover(luis, "luis@otra.invalid").sources[0].status == "nothing"


def test_the_command_line_knows_the_servers_of_its_data_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workbench: Workbench, tmp_path: Path
) -> None:
    """The same object as the API gives; a folder without a database keeps nothing, and is left without one."""
    closed = ServerDraft("127.0.0.1", 1, Security.SSL)
    with workbench.database.session() as session:
        put_preset(session, MailPreset("tosma.invalid", closed, closed), workbench.clock())
    told: list[dict[str, Any]] = []
    for folder in (workbench.settings.data_dir, tmp_path / "nothing"):
        monkeypatch.setenv("CG_DATA_DIR", str(folder))
        with pytest.raises(SystemExit):
            main(["discover", "luis@ventas.tosma.invalid", "--json"])
        told.append(json.loads(capsys.readouterr().out)["sources"][0])

    assert [(one["source"], one["status"]) for one in told] == [("company", "found"), ("company", "off")]
    assert not (tmp_path / "nothing").exists()
