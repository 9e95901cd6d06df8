"""What can be stored can be exported, and what was exported can be imported: whatever people write."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import InvalidInput, StaleVersion
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.series.series import SeriesDraft
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.users import Particulars
from tests.conftest import make_settings

ROOT = Actor(0, "", role=Role.ADMIN)
ODD = "\u00a0\u200b\u00ad👩‍👩‍👧\ufe0f\u200e\u2028\u202e\x00\x1b\x85\n\t\ue000\ufffe e\u0301Ñ{}<>&\"'"
words = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=25)


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with nothing in it, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    open_workbench(make_settings(folder)).close()
    return folder


@contextmanager
def installation(empty: Path) -> Iterator[Workbench]:
    """A copy of the empty installation."""
    with TemporaryDirectory() as folder:
        shutil.copytree(empty, folder, dirs_exist_ok=True)
        workbench = open_workbench(make_settings(Path(folder)))
        yield workbench
        workbench.close()


def store_everywhere(workbench: Workbench, text: str, more: str) -> int:
    """Write ``text`` and ``more`` by every writer that a file tells of; what one refuses is not stored."""
    workbench.users.add(ROOT, NewUser("ana", role=Role.ADMIN))
    ana = Actor(workbench.users.get(ROOT, "ana").id, "ana", role=Role.ADMIN)
    mail = f"{text.strip()}@tosma.es"
    account = MailAccountDraft(
        user="ana",
        smtp=ServerDraft("smtp.tosma.es", 587, Security.STARTTLS),
        imap=ServerDraft("imap.tosma.es", 993, Security.SSL, pin=more),
        sent_folder=text,
    )
    writers: list[Callable[[], object]] = [
        lambda: workbench.company.save(ROOT, CompanyDraft(f"T {text}", "", more), 0),
        lambda: workbench.series.add(ROOT, SeriesDraft("F", text, next_numbers={DocumentType.QUOTE: 1})),
        lambda: workbench.series.add(ROOT, SeriesDraft(more[:10], text, next_numbers={DocumentType.QUOTE: 1})),
        lambda: workbench.series.defaults.save(ana, {DocumentType.QUOTE: "F"}, None),
        lambda: workbench.series.defaults.save(ana, {DocumentType.QUOTE: more[:10]}, None),
        lambda: workbench.users.add(ROOT, NewUser(f"b{text}", full_name=more, mail="b@tosma.es")),
        lambda: workbench.users.add(ROOT, NewUser("luis", full_name=text)),
        lambda: workbench.users.add(ROOT, NewUser("eva", mail=mail)),
        lambda: workbench.users.save(ROOT, "ana", Particulars(text, "", Role.ADMIN), 1),
        lambda: workbench.mail_account.save(ana, account, version=0),
        lambda: workbench.mail_account.save(ana, replace(account, user=text.strip()), version=1),
        lambda: workbench.templates.save(ana, DocumentType.QUOTE, text, f"<p>{more}</p>{text}", version=0),
        lambda: workbench.templates.save_signature(ana, f"<p>{text}</p>", version=0),
    ]
    stored = 0
    for write in writers:
        with suppress(InvalidInput, StaleVersion):
            write()
            stored += 1
    return stored


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=words, more=words)
@example(text="a\u00a0b", more="c\u200bd")
@example(text="Ma\u00adría 👩‍👩‍👧", more="\u200e\ue000")
@example(text="Ñ\x1b", more="\u202e")
def test_store_export_import_export_is_the_same(empty_folder: Path, text: str, more: str) -> None:
    """By every writer: the file of one installation brought into an empty one, and exported there, is the same file."""
    with installation(empty_folder) as first, installation(empty_folder) as second:
        stored = store_everywhere(first, text, more)
        data = first.portable.export_all(ROOT)
        second.portable.apply(ROOT, data.encode())
        again = second.portable.export_all(ROOT)

    assert stored >= 1
    assert again == data


@pytest.mark.parametrize("text", ["Ana\u00a0María", "S\u00adL\u200b", "👩‍👩‍👧 Tosma"])
def test_spaces_and_signs_that_do_not_show_are_welcome_everywhere(empty_folder: Path, text: str) -> None:
    """What a word processor brings along is stored as it is, by each writer, and not refused by one of them."""
    with installation(empty_folder) as workbench:
        store_everywhere(workbench, text, text)
        file = workbench.portable.export_all(ROOT)
        company, luis = workbench.company.get(ROOT).name, workbench.users.get(ROOT, "luis").full_name

    assert (company, luis) == (f"T {text}", text)
    assert f'"sent_folder": "{text}"' in file
    assert f'"subject": "{text}"' in file
    assert f'"name": "{text}"' in file


@pytest.mark.parametrize("text", ["a\x00b", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "a" * 100_000])
def test_what_no_field_takes_is_refused_by_every_writer(empty_folder: Path, text: str) -> None:
    """And so it stands in no file."""
    with installation(empty_folder) as workbench:
        for write in (
            lambda: workbench.company.save(ROOT, CompanyDraft(f"T{text}"), 0),
            lambda: workbench.series.add(ROOT, SeriesDraft("F", text, next_numbers={DocumentType.QUOTE: 1})),
            lambda: workbench.users.add(ROOT, NewUser("luis", full_name=text)),
            lambda: workbench.users.add(ROOT, NewUser("luis", mail=f"a{text}@tosma.es")),
            lambda: workbench.users.add(ROOT, NewUser(f"l{text}")),
            lambda: workbench.mail_account.save(Actor(1, "x"), MailAccountDraft(sent_folder=text), version=0),
            lambda: workbench.mail_account.save(Actor(1, "x"), MailAccountDraft(user=f"a{text}"), version=0),
        ):
            with pytest.raises(InvalidInput):
                write()
        file = workbench.portable.export_all(ROOT)

    assert "luis" not in file
    assert len(file) < 1000
